"""Results as text tables for people, and as CSV, JSON and Parquet for programs.

Used by ``explorer``, ``dashboard`` and ``operations``.
Import: ``values``, ``text_table``, ``terminal``, ``export``.
"""
