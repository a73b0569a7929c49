"""The batch job: new Bronze rows merged into the Silver aggregates, a full build, a comparison with the recompute.

Used by the script ``streaming_silver.py`` and by ``setup``.
Import: ``job``.
"""
