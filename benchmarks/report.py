"""PURE. Figures → medians, ratios beside their goals, tables for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from benchmarks.drain import DrainRun
    from benchmarks.kafka_tools import Consumed
    from benchmarks.latency import LatencyRun


@dataclass(frozen=True)
class Ratio:
    """One of our figures over another's. ``goal`` is None for one that is only shown."""

    name: str
    value: float
    goal: float | None = None
    at_least: bool = True

    @property
    def verdict(self) -> str:
        """``reached``, ``missed``, or a dash without a goal."""
        if self.goal is None:
            return "–"
        return "reached" if (self.value >= self.goal) is self.at_least or self.value == self.goal else "missed"

    @property
    def goal_text(self) -> str:
        return "–" if self.goal is None else f"{'≥' if self.at_least else '≤'} {self.goal:.2f} ×"


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest of the values, in ascending order, that ``share`` (0..1] of them do not exceed (nearest rank)."""
    if not ordered:
        raise ValueError("a percentile of no values")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def typical(runs: Sequence[DrainRun], contender: str, figure: Callable[[DrainRun], float]) -> float:
    """The median of a figure over a contender's turns."""
    return median(figure(run) for run in runs if run.contender == contender)


def ratios(runs: Sequence[DrainRun], consumed: Consumed | None, latencies: Sequence[LatencyRun]) -> list[Ratio]:
    """Our figures over the textbook job's, medians over the turns, for what was measured."""
    found = []
    if runs:
        ours, textbook = (typical(runs, name, lambda run: run.rate) for name in ("ours", "textbook"))
        found.append(Ratio("drain, process start to exit: ours / textbook", ours / textbook, 1.0))
        pair = [typical(runs, name, lambda run: run.processing_rate) for name in ("ours", "textbook")]
        found.append(Ratio("drain, first batch to last commit: ours / textbook", pair[0] / pair[1]))
        if consumed is not None:
            ratio = ours / consumed.records_per_second
            found.append(Ratio("drain, process start to exit: ours / ConsumerPerformance", ratio))
    if latencies:
        by_name = {run.contender: run for run in latencies}
        ours_run, textbook_run = by_name["ours"], by_name["textbook"]
        found += [
            Ratio("latency p50: ours / textbook", ours_run.p50 / textbook_run.p50, 0.4, at_least=False),
            Ratio("latency p99: ours / textbook", ours_run.p99 / textbook_run.p99),
            Ratio("start to first sale visible: ours / textbook", ours_run.first_sale / textbook_run.first_sale),
        ]
    return found


def drain_table(runs: Sequence[DrainRun], consumed: Consumed | None, sales: int, does: Mapping[str, str]) -> Table:
    """One row a turn; ``does`` tells what each contender guarantees."""
    table = _table(f"Backlog drain of {sales:,} sales", ("contender", "turn"), (
        "start to exit s", "sales/s", "processing s", "sales/s processing", "batches", "CPU s per million", "peak MB",
        "rows and cents",
    ))  # fmt: skip
    for run in runs:
        table.add_row(
            run.contender, str(run.turn), f"{run.seconds:.1f}", f"{run.rate:,.0f}", f"{run.processing_seconds:.1f}",
            f"{run.processing_rate:,.0f}", str(run.batches), _number(run.cpu_per_million), _number(run.peak_mb),
            "equal" if run.correct else "DIFFER",
        )  # fmt: skip
    if consumed is not None:
        seconds = consumed.records / consumed.records_per_second
        table.add_row(
            "ConsumerPerformance", "–", f"{seconds:.1f}", f"{consumed.records_per_second:,.0f}", "–",
            f"{consumed.fetch_records_per_second:,.0f}", "–", "–", "–", "–",
        )  # fmt: skip
    table.caption = "\n".join(f"{name}: {text}" for name, text in does.items())
    return table


def latency_table(runs: Sequence[LatencyRun], rate: int, seconds: float) -> Table:
    """One row a contender."""
    table = _table(
        f"Kafka timestamp to visible in Bronze, {rate} sales/s for {seconds:g} s", ("contender",),
        ("p50 s", "p99 s", "worst s", "sales", "versions", "start to first sale s"),
    )  # fmt: skip
    for run in runs:
        table.add_row(
            run.contender, f"{run.p50:.2f}", f"{run.p99:.2f}", f"{run.worst:.2f}", f"{run.sales:,}", str(run.versions),
            f"{run.first_sale:.1f}",
        )  # fmt: skip
    return table


def ratio_table(found: Sequence[Ratio]) -> Table:
    """Each ratio beside its goal."""
    table = _table("Ratios", ("figure",), ("measured", "goal", "verdict"))
    for ratio in found:
        table.add_row(ratio.name, f"{ratio.value:.2f} ×", ratio.goal_text, ratio.verdict)
    return table


def headline(about: Mapping[str, Any]) -> str:
    """Date, machine and versions in three lines."""
    machine, versions = about["machine"], about["versions"]
    return (
        f"{about['date']}   commit {about['commit']}\n"
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {machine['system']}, "
        f"load before the start {machine['load']:.1f}\n"
        + ", ".join(f"{name} {text}" for name, text in versions.items())
    )


def _table(title: str, texts: Sequence[str], figures: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    for name in texts:
        table.add_column(name, no_wrap=True)
    for name in figures:
        table.add_column(name, justify="right")
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"
