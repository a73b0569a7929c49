"""Compaction, retention and erasure: what a job does to its tables between two batches.

Used by ``bronze``, ``silver`` and ``operations``.
Import: ``scheduler``, ``erasure``, ``retention``, ``small_files``.
"""
