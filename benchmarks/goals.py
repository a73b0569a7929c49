"""PURE. The goals that the project set itself before it was measured, and what the figures of docs/benchmarks.json say to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import report
from benchmarks.report import Grid

Figures = Mapping[str, Any]
FLAT_MB_PER_HOUR = 50.0
"""What counts as a slope of about 0: 2 % of the 2.5 GB an hour."""


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
    ours, textbook = ({run["contender"]: run for run in found["runs"]}.get(who) for who in ("ours", "textbook"))
    if ours is None:
        return UNKNOWN
    share = None if textbook is None else ours["p50"] / textbook["p50"]
    text = f"p50 {ours['p50']:.2f} s, p99 {ours['p99']:.2f} s, {'no figure' if share is None else f'{share:.2f} ×'}"
    own = ours["p50"] <= 1.0 and ours["p99"] <= 2.5
    return Verdict(text, False if not own else None if share is None else share <= 0.25)


def soak(found: Figures) -> Verdict:
    tail, drift = found["p99"] / found["p50"], found["last_p50"] / found["first_p50"]
    short = "" if found["seconds"] >= 1800 else f" (of {found['seconds'] / 60:g} minutes only)"
    reached = tail <= 2.5 and drift <= 1.1
    return Verdict(f"p99/p50 {tail:.2f}, last/first {drift:.2f}{short}", None if short and reached else reached)


def _silver(found: Figures, history: str, kind: str) -> float:
    return median(run["seconds"] for run in found["runs"] if run["history"] == history and run["kind"] == kind)


def silver_history(found: Figures) -> Verdict:
    shares = {kind: _silver(found, "large", kind) / _silver(found, "small", kind) for kind in ("today", "spread")}
    text = f"{shares['today']:.2f} × (one day), {shares['spread']:.2f} × ({found['spread_days']} days){_history(found)}"
    return Verdict(text, _enough(found, max(shares.values()) <= 1.25))


def silver_recompute(found: Figures) -> Verdict:
    full = found["lakes"]["large"]["full_seconds"]
    shares = {kind: full / _silver(found, "large", kind) for kind in ("today", "spread")}
    differing = sum(lake["differing_cells"] for lake in found["lakes"].values())
    equal = "cell-equal" if not differing else f"{differing} cells DIFFER"
    text = f"{shares['today']:.0f} × (one day), {shares['spread']:.0f} × ({found['spread_days']} days), {equal}{_history(found)}"
    return Verdict(text, _enough(found, min(shares.values()) >= 50 and not differing))


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
    return Verdict(f"{ours:.1f} s, {ours / textbook:.2f} ×", ours <= 10 and ours / textbook <= 0.5)


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
    reached = size <= 2500 and abs(slope) <= FLAT_MB_PER_HOUR
    return Verdict(f"{size / 1000:.2f} GB, {slope:+.0f} MB an hour{short}", None if short and reached else reached)


def low_rate(found: Figures) -> Verdict:
    ours, pair = ({run["contender"]: run["share"] for run in found["runs"]}[who] for who in ("ours", "textbook pair"))
    return Verdict(f"{ours:.0%} of a core, {ours / pair:.2f} ×", ours <= 0.2 and ours / pair <= 0.5)


def sending(found: Figures) -> Verdict:
    ours, constant = (report.typical(found["runs"], who, "rate") for who in ("ours", "constant"))
    return _times(_over(ours, constant), 0.85, at_least=True)


GOALS = (
    Goal(1, "backlog drain, exact (deduplicated, quarantined), against the textbook job", "≥ 2 ×", "drain", drain_against("textbook", 2.0)),
    Goal(2, "the same against the bare loop", "≥ 1.0 ×", "drain", drain_against("bare loop", 1.0)),
    Goal(3, "the same against ConsumerPerformance", "≥ 0.30 ×", "drain", drain_against("ConsumerPerformance", 0.30)),
    Goal(4, "Kafka timestamp → visible in Bronze at 1,000 sales/s", "p50 ≤ 1.0 s, p99 ≤ 2.5 s, p50 ≤ 0.25 × the textbook job's", "latency", latency),
    Goal(5, "the same over 30 minutes with compaction and checkpoints", "p99/p50 ≤ 2.5; last 5 minutes' p50 ≤ 1.1 × the first's", "soak", soak),
    Goal(6, "Silver: the same 50,000 new sales over 50 million rows of history against 0.5 million", "≤ 1.25 ×", "silver", silver_history),
    Goal(7, "Silver: against the full recompute at 50 million rows, cell-equal, distincts included", "≥ 50 × faster", "silver", silver_recompute),
    Goal(8, "explorer: cold process → first Silver rows", "≤ 0.5 s", "explorer", explorer),
    Goal(9, "Bronze job: start → first commit, warm JARs", "≤ 10 s, ≤ 0.5 × the textbook job's", "start", start),
    Goal(10, "resident memory, whole default pipeline, after 1 hour", f"≤ 2.5 GB, slope ≈ 0 (± {FLAT_MB_PER_HOUR:g} MB an hour)", "memory", memory),
    Goal(11, "producer at full speed against kafka-python sending one constant message", "≥ 0.85 ×", "producer", sending),
    Goal(12, "CPU of the whole default pipeline, a sale every 2 s, after 10 minutes, beside a textbook pair of jobs", "≤ 20 % of a core, ≤ 0.5 ×", "low-rate", low_rate),
    Goal(13, "explorer, a cold process on a small lake: a named question · --sql · --batch", "≤ 0.2 s · ≤ 0.5 s · ≤ 0.6 s", "explorer", cold),
    Goal(14, "empty clone → first sale; second start → first sale; first sale → first Silver figure", "≤ 120 s; ≤ 30 s; ≤ 30 s", "first-hour", first_hour),
)  # fmt: skip


def verdict(goal: Goal, sections: Mapping[str, Any]) -> tuple[str, str]:
    """(what was measured, ``reached`` | ``missed`` | ``open`` | ``not measured``). ``open``: measured, but not at the goal's size."""
    if goal.section not in sections:
        return "–", "not measured"
    found = goal.check(sections[goal.section]["figures"])
    return found.measured, {True: "reached", False: "missed", None: "open"}[found.reached]


def grid(sections: Mapping[str, Any]) -> Grid:
    rows = tuple((str(goal.number), goal.figure, goal.goal, *verdict(goal, sections), goal.section) for goal in GOALS)
    return Grid("Goals", ("#", "figure", "goal", "measured", "verdict", "section"), rows, texts=6)
