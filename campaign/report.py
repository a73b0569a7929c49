"""Writes ``docs/FAULT_REPORT.md`` from the histories that are kept. Pure but for reading and writing these files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from campaign.claims import CLAIMS, OUT_OF_SCOPE

_FINDINGS = Path(__file__).parent / "findings.md"

Kept = dict[str, Any]
"""A ``history.Record`` as it was written."""


def _histories(folder: Path) -> Iterator[tuple[str, Kept]]:
    for path in sorted(folder.rglob("history-*.json.gz")):
        content = path.read_bytes()
        yield hashlib.sha256(content).hexdigest(), json.loads(gzip.decompress(content))


def _share(values: Sequence[float], share: float) -> str:
    return f"{sorted(values)[min(len(values) - 1, int(share * len(values)))]:.0f} s" if values else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _faults(kept: Sequence[Kept]) -> str:
    runs: Counter[tuple[str, str]] = Counter()
    hits: Counter[tuple[str, str]] = Counter()
    for strike in (each for one in kept for each in one["strikes"]):
        runs[strike["job"], strike["fault"]] += 1
        hits[strike["job"], strike["fault"]] += strike["hit"]
    return _table(("job", "fault", "runs", "hits"), [(*key, runs[key], hits[key]) for key in sorted(runs)])


def _steps(kept: Sequence[Kept]) -> str:
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for one in kept:
        for job, steps in one["steps"].items():
            found[job].update(steps)
    return _table(
        ("job", "killed …", "times"),
        [(job, name, times) for job in sorted(found) for name, times in sorted(found[job].items())],
    )


def _planted(folder: Path) -> str:
    path = folder / "planted.json"
    if not path.exists():
        return "Not run."
    found = json.loads(path.read_text(encoding="utf-8"))
    caught = sum(map(bool, found.values()))
    said = [(name, by.split(":")[0] if by else "**not found**") for name, by in found.items()]
    return f"{caught} of {len(found)} were found.\n\n" + _table(("bug", "found by"), said)


def _commit(tree: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=False)
    return done.stdout.strip()[:12] or "unknown"


def write(folder: Path, target: Path) -> None:
    """The report of all histories below ``folder``."""
    named = list(_histories(folder))
    kept = [one for _, one in named]
    violations = Counter(each["claim"] for one in kept for each in one["violations"])
    recovered = [seconds for one in kept for seconds in one["recovered"]]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    text = f"""# Fault report

What the project claims about losses and doubles, what was done to break it, and what came of it. Written by
`python -m campaign --report` from the histories of a run; anyone can run it again: `make campaign`.

## The run

{len(kept)} histories, {sum(one["messages"] for one in kept):,} messages, {sum(len(one["strikes"]) for one in kept)} faults,
{sum(one["seconds"] for one in kept) / 3600:.1f} hours of work; commit `{_commit(target.parent)}`, Python {platform.python_version()},
{os.cpu_count()} cores, {memory:.0f} GiB. One history again: `python -m campaign --seed N`. Kills are drawn from the seed, but
when a process meets them depends on the machine; the record of a history says where it did.

## The claims

{_table(("id", "claim", "violations"), [(name, sentence, violations[name]) for name, sentence in CLAIMS.items()])}

Acknowledged: `send` returned the message's place. Visible: a reader of the newest version sees it. Lost: acknowledged, and
in neither table, nor a copy of a sale that is. Doubled: a place or an id that stands twice.

## The faults

A hit is proved: the process was at work when it was struck, or its own log of steps ends with the step it was killed at.

{_faults(kept)}

Recovery, from the start after the fault to the end of the work that was left: half within {_share(recovered, 0.5)}, 99 %
within {_share(recovered, 0.99)}, the longest {_share(recovered, 1.0)}.

## Steps at which the writers were killed

`VENTES_CRASH_AT=n` kills a process at the n-th step of its writers (`lakehouse/crash_points.py`).

{_steps(kept)}

## How good are the checkers?

Each of these bugs was planted into a copy of the product, which a short history then ran.

{_planted(folder)}

## Findings

{_FINDINGS.read_text(encoding="utf-8").strip()}

## What the checkers cannot see

{chr(10).join(f"- {each}" for each in OUT_OF_SCOPE)}

## The histories

{_table(("seed", "messages", "violations", "SHA-256 of the record"), [(one["seed"], one["messages"], len(one["violations"]), f"`{digest[:16]}`") for digest, one in named])}
"""
    target.write_text(text, encoding="utf-8")
