"""What operators do to the lake: status, reconciliation, recovery, and the verbs of ``ops_utils.py``.

Used by the script ``ops_utils.py``, ``dashboard`` and ``setup``.
Import: ``command``, ``status``, ``reconcile``, ``recovery``.
"""
