"""Writes ``docs/FAULT_REPORT.md`` from the histories that are kept. Pure but for reading and writing these files."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from campaign.claims import CLAIMS, OUT_OF_SCOPE
from campaign.planted.bugs import BUGS

_FINDINGS = Path(__file__).parent / "findings.md"
_UPDATES = Path(__file__).parent / "updates.md"

Kept = dict[str, Any]
"""A ``history.Record`` as it was written."""


def _histories(folder: Path) -> Iterator[tuple[str, str, Kept]]:
    """Kind, SHA-256 and record of each."""
    for path in sorted(folder.rglob("history-*.json.gz")):
        content = path.read_bytes()
        yield path.parent.name, hashlib.sha256(content).hexdigest(), json.loads(gzip.decompress(content))


def _share(values: Sequence[float], share: float) -> str:
    return f"{sorted(values)[min(len(values) - 1, int(share * len(values)))]:.0f} s" if values else "–"


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |" for line in lines)


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
        ("job or verb", "killed …", "times"),
        [(job, name, times) for job in sorted(found) for name, times in sorted(found[job].items())],
    )


def _sweeps(named: Sequence[tuple[str, str, Kept]]) -> str:
    rows = [
        (kind.removeprefix("sweep-").replace("-", " "), sum(each["hit"] for each in one["strikes"] if each["fault"] == "crash point"),
         "yes" if one.get("whole", True) else "time was over")
        for kind, _, one in named if kind.startswith("sweep-")
    ]  # fmt: skip
    return _table(("job or verb", "kills", "all steps"), rows) if rows else "None was run."


def _stops(kept: Sequence[Kept]) -> str:
    """One line for each job, fault and exit code: how often, and what was named to be typed."""
    found: dict[tuple[str, str, int], list[dict[str, Any]]] = defaultdict(list)
    for stop in (each for one in kept for each in one.get("stops", ())):
        found[stop["job"], stop["fault"], stop["code"]].append(stop)
    rows = []
    for key in sorted(found):
        commands = sorted({re.sub(r"\d+", "N", each["command"]) for each in found[key]} - {""})
        named = ", ".join(f"`{command}`" for command in commands) or "start again"
        rows.append((*key, len(found[key]), _share([each["seconds"] for each in found[key]], 0.5), named))
    return _table(("job", "after", "exit code", "times", "seconds from its start, median", "what it named"), rows)


def _planted(folder: Path) -> str:
    path = folder / "planted.json"
    if not path.exists():
        return "Not run."
    found = json.loads(path.read_text(encoding="utf-8"))
    caught = sum(map(bool, found.values()))
    said = [(name, by.split(":")[0] if by else "**not found**") for name, by in found.items()]
    left = len(BUGS) - len(found)
    rest = f"{left} more were not planted in this run." if left else "All were planted."
    return f"{caught} of {len(found)} were found. {rest}\n\n" + _table(("bug", "found by"), said)


def commit(tree: Path) -> str:
    """Of the code that runs; ``unknown`` without git."""
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=tree, capture_output=True, text=True, check=False)
    return done.stdout.strip()[:12] or "unknown"


def write(folder: Path, target: Path) -> None:
    """The report of all histories below ``folder``."""
    named = list(_histories(folder))
    kept = [one for _, _, one in named]
    violations = Counter(each["claim"] for one in kept for each in one["violations"])
    recovered = [seconds for one in kept for seconds in one["recovered"]]
    late = sum(seconds > 30 for seconds in recovered)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    strikes = sum(len(one["strikes"]) for one in kept)
    commits = ", ".join(f"`{one}`" for one in sorted({one.get("commit") or "7f825355367e" for one in kept}))
    text = f"""# Fault report

What the project claims about losses and doubles, what was done to break it, and what came of it. Written by
`python -m campaign --report` from the histories of a run; anyone can run it again: `make campaign`.

## The run

{len(named)} histories, {sum(one["messages"] for one in kept)} messages, {strikes} runs, faults and verbs,
{sum(one["seconds"] for one in kept) / 3600:.1f} hours of work on {os.cpu_count()} cores, {memory:.0f} GiB; Python {platform.python_version()};
commits {commits}. One history again: `python -m campaign --seed N`. Faults are drawn from the seed, but
when a signal meets a process depends on the machine; the record of a history says where it did. DuckDB read the tables of
{sum(bool(one.get("second_reader")) for one in kept)} histories as well.

## The claims

A violation that is explained and fixed, or that was the campaign's own, stands under [Findings](#findings).

{_table(("id", "claim", "violations"), [(claim, sentence, violations[claim]) for claim, sentence in CLAIMS.items()])}

Acknowledged: `send` returned the message's place. Visible: a reader of the newest version sees it. Lost: acknowledged, and
in neither table, nor a copy of a sale that is. Doubled: a place or an id that stands twice.

## The faults

A hit is proved: the process was at work when it was struck; its own log of steps ends with the step it was killed at; the
preloaded library counted the writes that failed, the wrong times that were read or the connections that went to the proxy; or
the file or the messages were there and are gone. Of a verb a hit is that it ended well.

{_faults(kept)}

Recovery, from the start after the fault to the end of the work that was left: half within {_share(recovered, 0.5)}, 99 %
within {_share(recovered, 0.99)}, the longest {_share(recovered, 1.0)}; {late} of {len(recovered)} took more than 30 s, on a machine that ran
other work beside.

## Stops

Runs that ended by themselves, with an error. What was named was typed.

{_stops(kept)}

## Steps at which the writers were killed

`VENTES_CRASH_AT=n` kills a process at the n-th step of its writers (`lakehouse/crash_points.py`). A sweep kills a job or a verb
at step 1, 2, 3 … until a run has no more of them.

{_sweeps(named)}

{_steps(kept)}

## How good are the checkers?

Each of these bugs was planted into a copy of the product, which a short history then ran.

{_planted(folder)}

## Upgrades

A lake with its checkpoints, its broker's disk and unread messages, as the code of commit `077476b` wrote it, is opened, gone on
with and reconciled by the present code: `tests/e2e/test_upgrade.py`. No version is tagged yet: from `v0.2.0` on, each tag is to
have such a lake under `tests/fixtures`, made by `tests/fixtures/make_lake.py` from the tag's own tree.

## Findings

{_FINDINGS.read_text(encoding="utf-8").strip()}

## Updates

{_UPDATES.read_text(encoding="utf-8").strip()}

## What the checkers cannot see

{chr(10).join(f"- {each}" for each in OUT_OF_SCOPE)}

## The histories

{_table(("kind", "seed", "messages", "violations", "SHA-256 of the record"), [(kind, one["seed"], one["messages"], len(one["violations"]), f"`{digest[:16]}`") for kind, digest, one in named])}
"""
    target.write_text(text, encoding="utf-8")
