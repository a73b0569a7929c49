"""PURE. From what one machine measured to what 10 thousand, 100 thousand and 1 million sales a second would take.

Every figure is a formula over named inputs. An input says where it comes from: a measurement with its command, a setting's
default, or an assumption that a reader replaces with his own. The tables are those of docs/SCALING.md, which
docs/generate.py writes from docs/scaling.json.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RATES = (10_000, 100_000, 1_000_000)
DAY, MONTH = 86_400, 30 * 86_400


@dataclass(frozen=True)
class Input:
    """One named input; ``origin`` is where its value comes from."""

    value: float
    unit: str
    means: str
    origin: str


@dataclass(frozen=True)
class Step:
    """What one rate takes. Sizes in GB (10⁹ bytes), cost in EUR a month."""

    rate: int
    partitions: int
    executors: int
    silver_cores: int
    brokers: int
    kafka_gb: float
    state_ids: float
    state_gb: float
    bronze_gb_day: float
    files_day: float
    compacted_day: float
    exact_dedup_sales: float
    cost: float


def inputs(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Input]:
    """docs/scaling.json's ``inputs``, typed."""
    return {name: Input(**one) for name, one in found.items()}


def project(rate: int, given: Mapping[str, Input]) -> Step:
    """The step for ``rate`` sales a second."""
    g = {name: one.value for name, one in given.items()}
    width = g["executor_cores"]
    # a task reads one partition on one core, and must also catch up after a stop
    cores = math.ceil(rate * g["headroom"] / g["sales_per_core"])
    executors = math.ceil(cores / width)
    partitions = max(4, math.ceil(executors * width))
    silver_cores = math.ceil(rate * g["headroom"] / g["silver_sales_per_core"])
    written = rate * g["message_bytes"] * g["copies"]
    brokers = max(3, math.ceil(written * g["headroom"] / (g["broker_mb"] * 1e6)))
    kafka_gb = written * g["retention_days"] * DAY / 1e9
    state_ids = rate * 2 * g["watermark_seconds"]  # an identity stays for up to twice the delay
    bronze_day = rate * g["bronze_bytes"] * DAY
    cores_paid = executors * width + silver_cores + brokers * g["broker_cores"] + g["driver_cores"]
    cost = (
        cores_paid * 730 * g["core_price"]
        + kafka_gb * g["disk_price"]
        + bronze_day / 1e9 * 30 * g["bronze_months"] * g["object_price"]
    )
    return Step(
        rate, partitions, executors, silver_cores, brokers, kafka_gb, state_ids, state_ids * g["state_bytes"] / 1e9,
        bronze_day / 1e9, DAY / g["batch_seconds"] * executors * width, bronze_day / (g["file_mb"] * 1e6),
        rate * g["batch_seconds"] * g["late_share"], cost,
    )  # fmt: skip


def inputs_table(given: Mapping[str, Input]) -> str:
    rows = [(f"`{name}`", _short(one.value), one.unit, one.means, one.origin) for name, one in given.items()]
    return table(("input", "value", "unit", "what it is", "where it comes from"), rows)


def projection_table(given: Mapping[str, Input]) -> str:
    """One column a rate, one line a figure, with its formula."""
    steps = [project(rate, given) for rate in RATES]
    lines: Sequence[tuple[str, str, Sequence[str]]] = (
        ("partitions, executor cores", "rate × headroom ÷ sales_per_core", [f"{s.partitions:,}" for s in steps]),
        ("executors of Bronze", "÷ executor_cores", [f"{s.executors:,}" for s in steps]),
        ("cores of Silver", "rate × headroom ÷ silver_sales_per_core", [f"{s.silver_cores:,}" for s in steps]),
        ("brokers", "rate × message_bytes × copies × headroom ÷ broker_mb, 3 at least", [f"{s.brokers:,}" for s in steps]),
        ("Kafka's disks", "rate × message_bytes × copies × retention_days", [_size(s.kafka_gb) for s in steps]),
        ("identities in the state", "rate × 2 × watermark_seconds", [f"{s.state_ids:,.0f}" for s in steps]),
        ("the state", "× state_bytes", [_size(s.state_gb) for s in steps]),
        ("Bronze, a day", "rate × bronze_bytes × 86,400", [_size(s.bronze_gb_day) for s in steps]),
        ("files a day, written", "86,400 ÷ batch_seconds × executor cores", [f"{s.files_day:,.0f}" for s in steps]),
        ("files a day, compacted", "Bronze ÷ file_mb", [f"{s.compacted_day:,.0f}" for s in steps]),
        ("sales through exact deduplication, a batch", "rate × batch_seconds × late_share", [f"{s.exact_dedup_sales:,.0f}" for s in steps]),
        ("cost, EUR a month", "cores, Kafka's disks, Bronze for bronze_months", [_short(s.cost) for s in steps]),
    )  # fmt: skip
    rows = [(name, *figures, formula) for name, formula, figures in lines]
    return table(("at", *(f"{rate:,} sales/s" for rate in RATES), "formula"), rows)


def measured_tables(found: Mapping[str, Any]) -> str:
    """What ``benchmarks.scaling`` measured, or the command that would."""
    if not found.get("measured"):
        return "Not measured on a quiet machine yet. One command measures and writes it here: `make scaling`."
    parts = []
    for title, kept in found["measured"].items():
        heads = list(dict.fromkeys(head for one in kept for head in one["row"]))
        lines = [tuple(_cell(one["row"].get(head)) for head in heads) for one in kept]
        parts.append(f"**{title}**\n\n{table(tuple(heads), lines)}")
        parts.append("\n".join(_runs(kept)))
    return "\n\n".join(parts)


def _runs(kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where and when the rows of one table were measured: a line for each run, with its rows' cases."""
    runs: dict[str, list[str]] = {}
    for one in kept:
        about, case = one["about"], next(iter(one["row"].values()))
        machine = about["machine"]
        text = (
            f"{about['date'][:10]}, commit {about['commit']}: {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gb']:.0f} GB, load {machine['load']:.1f} before the start."
        )
        runs.setdefault(text, []).append(str(case))
    return [
        f"{', '.join(cases)}: {text}" if len(runs) > 1 else f"`make scaling`, {text}" for text, cases in runs.items()
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [tuple(head), tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return _short(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _short(value: float) -> str:
    """Three digits that count: 12,300; 4.5; 0.023."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    rounded = round(value, 2 - math.floor(math.log10(abs(value))))
    text = f"{rounded:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _size(gb: float) -> str:
    return f"{_short(gb / 1000)} TB" if gb >= 1000 else f"{_short(gb)} GB"
