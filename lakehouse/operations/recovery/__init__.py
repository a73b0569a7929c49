"""Backup and restore, rollback of a table, a rebuilt checkpoint, replayed rejects.

Used by ``operations.commands``.
Import: ``backup``, ``restore``, ``rebuild``, ``replay``.
"""
