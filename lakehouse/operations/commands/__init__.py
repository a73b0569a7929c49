"""The verbs of ``ops_utils.py``, one module each.

Loaded by ``operations.command``, by their names.
Import: ``runner`` to write one.
"""
