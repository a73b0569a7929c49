"""The sale contract and the tables of the lake, as data: no I/O, no imports from the project but errors.

Used by every package.
Import: ``sale``, ``tables``, ``table_properties``, ``json_schema``.
"""
