"""Reconciliation: every consumed offset accounted for, Bronze against Silver, the producer's truth against Bronze.

Used by ``operations.commands``, ``dashboard`` and ``setup``.
Import: ``report``, ``sent_vs_stored``, ``producer_truth``.
"""
