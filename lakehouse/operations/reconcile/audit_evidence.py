"""What the audit log vouches for: the runs of each verb, erasures, declared losses, and what a person accepted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakehouse.config import Config
from lakehouse.maintenance import erasure
from lakehouse.observability import audit_log

VERB = "audit accept"
"""The verb by which a person takes what ``reconcile`` cannot explain as it is."""
TYPE = f"python ops_utils.py {VERB}"


@dataclass(frozen=True)
class Finding:
    """A difference that a person may accept. ``key``: what is accepted, as JSON has it; another one is not."""

    text: str
    key: tuple[Any, ...]


@dataclass(frozen=True)
class Evidence:
    """``runs``: by verb; ``erasures``: rows by erasure; ``running``: erasures whose request is still open; ``losses``: topic,
    partition, first and last offset; ``accepted``: keys of findings; ``fault``: what is wrong with the log itself."""

    runs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    erasures: Mapping[str, int] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    losses: frozenset[tuple[Any, ...]] = frozenset()
    accepted: frozenset[tuple[Any, ...]] = frozenset()
    fault: str | None = None

    def open(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings that no person accepted."""
        return [one for one in findings if one.key not in self.accepted]


def read(config: Config) -> Evidence:
    """Evidence from the lake's audit log as it is now."""
    log = audit_log.AuditLog(audit_log.folder(config))
    runs: dict[str, set[str]] = defaultdict(set)
    erasures: dict[str, int] = {}
    losses: set[tuple[Any, ...]] = set()
    accepted: set[tuple[Any, ...]] = set()
    for entry in log.entries():
        verb, summary = str(entry.get("verb")), entry.get("summary") or {}
        runs[verb].add(str(entry.get("run")))
        losses |= {tuple(loss) for loss in entry.get(audit_log.LOSSES, ())}
        if verb == "erase" and "receipt" in summary:
            erasures[str(summary["receipt"]).removesuffix(".json")] = int(summary.get("rows", 0))
        if verb == VERB:
            accepted |= {tuple(key) for key in summary.get("accepted", ())}
    requests = erasure.folder(config).glob("erase-*.json")
    return Evidence(
        {verb: frozenset(found) for verb, found in runs.items()},
        erasures,
        frozenset(path.stem.removeprefix("erase-") for path in requests),
        frozenset(losses),
        frozenset(accepted),
        log.verify().fault,
    )
