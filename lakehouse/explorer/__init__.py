"""Questions to the lake without a JVM: the queries, the command line, the menu, SQL, and the output formats.

Used by the script ``query_utils.py``, ``dashboard`` and ``operations``.
Import: ``queries``, ``formats``, ``command``.
"""
