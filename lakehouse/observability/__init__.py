"""What a process tells of itself: logs, metrics, health, run files, the audit log, and where a commit came from.

Used by every package but ``config`` and ``contract``.
Import: ``log``, ``metrics``, ``health``, ``process``, ``provenance``, ``audit_log``, ``run_files``.
"""
