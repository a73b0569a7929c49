"""PURE. The goals that the project set itself before it was measured, and what the figures of docs/benchmarks.json say to them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.report import Grid

Figures = Mapping[str, Any]
FLAT_MB_PER_HOUR = 20.0
"""What counts as a slope of 0."""


@dataclass(frozen=True)
class Verdict:
    """``measured`` as text; ``reached`` is None when the section has no figure for it (a contender failed)."""

    measured: str
    reached: bool | None


@dataclass(frozen=True)
class Goal:
    number: int
    figure: str
    goal: str
    section: str
    check: Callable[[Figures], Verdict]


UNKNOWN = Verdict("no figure", None)


def _times(value: float | None, limit: float, *, at_least: bool) -> Verdict:
    if value is None:
        return UNKNOWN
    return Verdict(f"{value:.2f} ×", value >= limit if at_least else value <= limit)


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def drain_against(name: str, limit: float) -> Callable[[Figures], Verdict]:
    """Medians of sales a second, start of the process to its exit, on both sides."""

    def check(found: Figures) -> Verdict:
        ours, other = (report.typical(found["runs"], who, "rate") for who in ("ours", name))
        verdict = _times(_over(ours, other), limit, at_least=True)
        wrong = [run for run in found["runs"] if run["contender"] in ("ours", name) and not run["correct"]]
        return Verdict(f"{verdict.measured}, a table DIFFERS", False) if wrong else verdict

    return check


def latency(found: Figures) -> Verdict:
    """The goals of 1,000 sales a second; another rate is *open*."""
    ours, textbook = ({run["contender"]: run for run in found["runs"]}.get(who) for who in ("ours", "textbook"))
    if ours is None:
        return UNKNOWN
    share = None if textbook is None else ours["p50"] / textbook["p50"]
    text = f"p50 {ours['p50']:.2f} s, p99 {ours['p99']:.2f} s, {'no figure' if share is None else f'{share:.2f} ×'}"
    own = ours["p50"] <= 0.75 and ours["p99"] <= 1.22
    return Verdict(text, False if not own else None if share is None else share <= 0.25)


def soak(found: Figures) -> Verdict:
    tail, drift = found["p99"] / found["p50"], found["last_p50"] / found["first_p50"]
    short = "" if found["seconds"] >= 1800 else f" (of {found['seconds'] / 60:g} minutes only)"
    reached = tail <= 2.5 and drift <= 1.1
    return Verdict(f"p99/p50 {tail:.2f}, last/first {drift:.2f}{short}", None if short and reached else reached)


def _silver(found: Figures, history: str, kind: str, figure: str = "seconds") -> float | None:
    """The median of the turns; None for what the run did not measure."""
    turns = [run.get(figure) for run in found["runs"] if run["history"] == history and run["kind"] == kind]
    return None if not turns or None in turns else median(turns)


def silver_few(found: Figures) -> Verdict:
    seconds, cpu = (_silver(found, "large", "few", figure) for figure in ("seconds", "cpu_seconds"))
    if seconds is None or cpu is None:
        return UNKNOWN
    return Verdict(f"{seconds:.2f} s, {cpu:.2f} CPU s{_history(found)}", seconds <= 0.8 and cpu <= 1.0)


def silver_pass(kind: str, limit: float) -> Callable[[Figures], Verdict]:
    """A pass over 50,000 new sales, over the larger history."""

    def check(found: Figures) -> Verdict:
        seconds = _silver(found, "large", kind)
        if seconds is None:
            return UNKNOWN
        return Verdict(f"{seconds:.2f} s{_history(found)}", _enough(found, seconds <= limit))

    return check


def silver_history(found: Figures) -> Verdict:
    shares = [
        _over(_silver(found, "large", kind), _silver(found, "small", kind)) or math.nan for kind in ("today", "spread")
    ]
    text = f"{shares[0]:.2f} × (one day), {shares[1]:.2f} × ({found['spread_days']} days){_history(found)}"
    return Verdict(text, _enough(found, all(share <= 1.25 for share in shares)))


def silver_build(found: Figures) -> Verdict:
    large = found["lakes"]["large"]
    full, share = large["full_seconds"], _over(large["full_seconds"], _silver(found, "large", "spread"))
    if share is None:
        return UNKNOWN
    differing = sum(lake["differing_cells"] for lake in found["lakes"].values())
    equal = "cell-equal" if not differing else f"{differing} cells DIFFER"
    text = f"{full:.0f} s, {share:.0f} ×, {equal}{_history(found)}"
    return Verdict(text, _enough(found, full <= 300 and share >= 50 and not differing))


def _enough(found: Figures, reached: bool) -> bool | None:
    """A goal about 50 million rows is not reached on fewer."""
    return None if reached and found["lakes"]["large"]["sales"] < 49_000_000 else reached


def _history(found: Figures) -> str:
    sales = found["lakes"]["large"]["sales"]
    return "" if sales >= 49_000_000 else f" (of {sales:,} rows only)"


def explorer(found: Figures) -> Verdict:
    seconds = found["cold: explorer"]
    return Verdict(f"{seconds:.2f} s", seconds <= 0.5)


def cold(found: Figures) -> Verdict:
    limits = {"a named question": 0.2, "--sql": 0.5, "--batch": 0.6}
    seconds = {what: found.get(f"cold on a small lake: {what}") for what in limits}
    if None in seconds.values():
        return UNKNOWN
    text = " · ".join(f"{value:.2f} s" for value in seconds.values())
    return Verdict(text, all(seconds[what] <= limit for what, limit in limits.items()))


def start(found: Figures) -> Verdict:
    ours, textbook = (median(found["seconds"][who]) for who in ("ours", "textbook"))
    return Verdict(f"{ours:.1f} s, {ours / textbook:.2f} ×", ours / textbook <= 0.5)


def second_start(found: Figures) -> Verdict:
    """``make run`` in a project that has run before, with its class archive: the first sale in Bronze, the first Silver figure."""
    sale, silver = found["warm"]["first sale"], found["warm"]["first Silver figure"]
    return Verdict(f"{sale:.1f} s, {silver:.1f} s", sale <= 8 and silver <= 12)


def first_hour(found: Figures) -> Verdict:
    """From the empty clone, and from the second command, to the first sale; and from there to the first Silver figure."""
    cold, warm = found["cold"], found["warm"]
    first = cold["set-up"] + cold["first sale"]
    silver = max(run["first Silver figure"] - run["first sale"] for run in (cold, warm))
    reached = first <= 120 and warm["first sale"] <= 30 and silver <= 30
    return Verdict(f"{first:.0f} s, {warm['first sale']:.0f} s, Silver {silver:.0f} s later", reached)


def memory(found: Figures) -> Verdict:
    size, slope = found["pss_mb"], found["slope_mb_per_hour"]
    short = "" if found["minutes"] >= 60 else f" (after {found['minutes']:g} minutes only)"
    reached = size <= 1500 and abs(slope) <= FLAT_MB_PER_HOUR
    return Verdict(f"{size / 1000:.2f} GB, {slope:+.0f} MB an hour{short}", None if short and reached else reached)


def _share(found: Figures, who: str) -> float | None:
    """CPU as a share of one core."""
    return {run["contender"]: run["share"] for run in found["runs"]}.get(who)


def low_rate(found: Figures) -> Verdict:
    ours = _share(found, "ours")
    return UNKNOWN if ours is None else Verdict(f"{ours:.0%} of a core", ours <= 0.2)


def low_rate_beside(found: Figures) -> Verdict:
    return _times(_over(_share(found, "ours"), _share(found, "textbook pair")), 0.5, at_least=False)


def sending(found: Figures) -> Verdict:
    ours, constant = (report.typical(found["runs"], who, "rate") for who in ("ours", "constant"))
    return _times(_over(ours, constant), 0.7, at_least=True)


GOALS = (
    Goal(1, "CPU of the whole default pipeline, a sale every 2 s, after 10 minutes", "≤ 20 % of a core", "low-rate", low_rate),
    Goal(2, "the same beside a textbook pair of jobs doing as little as they may", "≤ 0.5 ×", "low-rate", low_rate_beside),
    Goal(3, "Silver pass, 30 new sales, 365 days of history", "≤ 0.8 s, ≤ 1 CPU s", "silver", silver_few),
    Goal(4, "Silver pass, 50,000 new sales of one day over 50 million rows", "≤ 1.5 s", "silver", silver_pass("today", 1.5)),
    Goal(5, "the same over 60 days", "≤ 6 s", "silver", silver_pass("spread", 6.0)),
    Goal(6, "the same over a history of 50 million rows against one of 0.5 million", "≤ 1.25 × both", "silver", silver_history),
    Goal(7, "full build of 50 million rows; beside a pass of 60 days", "≤ 300 s, ≥ 50 ×, cell-equal", "silver", silver_build),
    Goal(8, "memory of the whole default pipeline after an hour", f"≤ 1.5 GB, slope 0 (± {FLAT_MB_PER_HOUR:g} MB an hour)", "memory", memory),
    Goal(9, "make run, warm → first sale in Bronze; → first Silver figure", "≤ 8 s; ≤ 12 s", "first-hour", second_start),
    Goal(10, "Bronze job: start → first commit, against the textbook job", "≤ 0.5 ×", "start", start),
    Goal(11, "Kafka timestamp → visible in Bronze at 1,000 sales/s", "p50 ≤ 0.75 s, p99 ≤ 1.22 s, p50 ≤ 0.25 × the textbook job's", "latency", latency),
    Goal(12, "backlog of 5 million, exact (deduplicated, quarantined), start to exit, against the textbook job", "≥ 1.5 ×", "drain", drain_against("textbook", 1.5)),
    Goal(13, "producer at full speed against kafka-python sending one constant message", "≥ 0.7 ×", "producer", sending),
    Goal(14, "explorer, a cold process on a small lake: a named question · --sql · --batch", "≤ 0.2 s · ≤ 0.5 s · ≤ 0.6 s", "explorer", cold),
    Goal(15, "empty clone → first sale; second start → first sale; first sale → first Silver figure", "≤ 120 s; ≤ 30 s; ≤ 30 s", "first-hour", first_hour),
    Goal(16, "latency of 1,000 sales/s over 30 minutes with compaction and checkpoints", "p99/p50 ≤ 2.5; last 5 minutes' p50 ≤ 1.1 × the first's", "soak", soak),
    Goal(17, "backlog of 5 million against the bare loop", "≥ 1.0 ×", "drain", drain_against("bare loop", 1.0)),
    Goal(18, "the same against ConsumerPerformance", "≥ 0.30 ×", "drain", drain_against("ConsumerPerformance", 0.30)),
    Goal(19, "explorer over 5 million sales: cold process → first Silver rows", "≤ 0.5 s", "explorer", explorer),
)  # fmt: skip
"""1 to 14 are what running it may cost; the others were set earlier, and stay."""


def verdict(goal: Goal, sections: Mapping[str, Any]) -> tuple[str, str]:
    """(what was measured, ``reached`` | ``missed`` | ``open`` | ``not measured``). ``open``: measured, but not at the goal's size."""
    if goal.section not in sections:
        return "–", "not measured"
    found = goal.check(sections[goal.section]["figures"])
    return found.measured, {True: "reached", False: "missed", None: "open"}[found.reached]


def grid(sections: Mapping[str, Any]) -> Grid:
    rows = tuple((str(goal.number), goal.figure, goal.goal, *verdict(goal, sections), goal.section) for goal in GOALS)
    return Grid("Goals", ("#", "figure", "goal", "measured", "verdict", "section"), rows, texts=6)
