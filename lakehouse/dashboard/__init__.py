"""The live dashboard: pages rendered on the server from the explorer's queries, refreshed in place by a small script.

Used by the script ``dashboard.py``.
Import: ``server``.
"""
