"""Delta tables, their history and streaming checkpoints, the Spark session, and the lock of a writing process.

Used by ``maintenance``, the jobs, ``explorer`` and ``operations``.
Import: ``reader``, ``result``, ``query``, ``delta_tables``, ``spark_tables``, ``checkpoint``, ``checkpoint_files``, ``checkpoint_folder``, ``job_progress``, ``writer_lock``, ``spark_session``.
"""
