"""Table properties by which the jobs and the operators' commands inform each other."""

from __future__ import annotations

EXACT_DEDUP_UNTIL = "ventes.porteExacteJusqua"
"""Table property of ``ventes_stream``: until this time every sale is compared with Bronze, because another checkpoint,
whose deduplication state is gone, or an operator's replay has written to the table."""

TOPIC_SINCE = "ventes.topicDepuis"
"""Table property of ``ventes_stream``: the topic's id, and the time from which on rows come from it. A topic that was
created anew counts its offsets from 0 again: only from that time on are a row's coordinates unique."""

SALT = "ventes.sel"
"""Table property of ``_effacements``: what goes before a vente_id in its hash."""

ERASE = "erase"
"""What the commits of an erasure say that they are. Silver cannot take such a commit in: it begins a new generation."""

INVALID = "invalide"
"""``etat`` of a Silver generation that an operator ended: the next pass builds a new one."""

KEPT_FROM = "ventes.conserveDepuis"
"""Table property of a Silver table with a ``jour``: retention has taken the days before this one away; they are neither
written again nor compared."""

RETENTION = "retention"
"""``what`` of the commits by which retention takes rows away."""
