"""PURE. docs/benchmarks.json → the generated parts of docs/BENCHMARKS.md, its plots, and the same tables for a terminal.

A section that was not measured says so, with the command that would measure it. Nothing here knows a figure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

from benchmarks import charts, goals, report
from benchmarks.report import Grid, number, ratio, slope, typical

Figures = Mapping[str, Any]
QUIET = 0.5
"""Load of the machine before the start above which a section is marked."""


def drain(found: Figures) -> list[Grid]:
    runs = found["runs"]
    ours = typical(runs, "ours", "rate")
    rows = []
    for name in report.names(runs):
        own = [run for run in runs if run["contender"] == name]
        tool = own[0]["held"] is None
        rows.append((
            name, str(len(own)), number(typical(runs, name, "seconds"), 1), number(typical(runs, name, "rate")),
            report.spread(runs, name, "rate"), number(typical(runs, name, "processing_rate")),
            number(typical(runs, name, "cpu_per_million"), 1), number(typical(runs, name, "peak_mb")),
            "–" if tool else "equal" if all(run["correct"] for run in own) else "DIFFER", ratio(ours, typical(runs, name, "rate")),
        ))  # fmt: skip
    head = ("contender", "turns", "start to exit s", "sales/s", "of the turns", "sales/s processing", "CPU s per million",
            "peak MB", "rows, ids, cents", "ours ÷ it")  # fmt: skip
    notes = [f"- {name}: {text}" for name, text in found["does"].items()]
    notes += failures(found)
    notes.append(f"- in environments of their own: {', '.join(found['packages'])}")
    title = f"Drain of {found['sales']:,} distinct sales of {found['value_bytes'] / found['sales']:.0f} bytes, medians"
    return [Grid(title, head, tuple(rows), ("\n".join(notes),))]


def failures(found: Figures) -> list[str]:
    """A line for each contender that gave no figures."""
    return [
        f"- {one['contender']} has no figures from turn {one['turn']} on: {one['why'].splitlines()[0][:200]}"
        for one in found["failures"]
    ]


def latency(found: Figures) -> list[Grid]:
    rows = tuple(
        (run["contender"], number(run["p50"], 2), number(run["p99"], 2), number(run["worst"], 2), number(run["sales"]),
         number(run["versions"]), number(run["first_sale"], 1))
        for run in found["runs"]
    )  # fmt: skip
    head = ("contender", "p50 s", "p99 s", "worst s", "sales", "commits", "start to first sale s")
    title = f"Kafka timestamp to visible in Bronze, {found['rate']:,} sales/s for {found['seconds']:g} s"
    return [Grid(title, head, rows, tuple(failures(found)))]


def soak(found: Figures) -> list[Grid]:
    window = found["window_seconds"] / 60
    head = (
        "",
        "p50 s",
        "p99 s",
        "worst s",
        f"first {window:g} min p50 s",
        f"last {window:g} min p50 s",
        "sales",
        "commits",
    )
    names = ("p50", "p99", "worst", "first_p50", "last_p50")
    row = ("ours", *(number(found[name], 2) for name in names), number(found["sales"]), number(found["versions"]))
    return [Grid(f"The same over {found['seconds'] / 60:g} minutes, {found['rate']:,} sales/s", head, (row,))]


def silver(found: Figures) -> list[Grid]:
    rows = []
    for history, lake in found["lakes"].items():
        kinds = (
            ("few", found.get("few"), 1),
            ("today", found["new"], 1),
            ("spread", found["new"], found["spread_days"]),
        )
        for kind, new, days in kinds:
            own = [run for run in found["runs"] if run["history"] == history and run["kind"] == kind]
            if not own:  # figures of an earlier release
                continue

            def middle(name: str, digits: int = 0, own: list[Figures] = own) -> str:
                return number(median(run[name] for run in own), digits) if name in own[0] else "–"

            rows.append((
                lake.get("engine", "spark"), number(lake["sales"]), number(new), str(days), middle("seconds", 2),
                middle("process_seconds", 2), middle("cpu_seconds", 2), middle("files"), middle("rows"), middle("jobs"),
                number(lake["full_seconds"], 1), f"{lake['full_seconds'] / median(run['seconds'] for run in own):.0f} ×",
                number(lake["differing_cells"]),
            ))  # fmt: skip
    head = ("engine", "rows of history", "new sales", "days of them", "pass s", "with lock and snapshot s", "CPU s", "files scanned",
            "rows scanned", "Spark jobs", "full recompute s", "full ÷ pass", "differing cells")  # fmt: skip
    title = f"A pass over the same new sales; {found['days']} days and {found['clients']:,} clients of history"
    return [Grid(title, head, tuple(rows), texts=1)]


def explorer(found: Figures) -> list[Grid]:
    rows = tuple(
        (name, f"{value} ×" if " / " in name else f"{value} s") for name, value in found.items() if name != "sales"
    )
    return [Grid(f"The explorer over {found['sales']:,} sales, medians", ("what", "measured"), rows)]


def start(found: Figures) -> list[Grid]:
    textbook = median(found["seconds"]["textbook"])
    rows = tuple(
        (name, str(len(seconds)), number(median(seconds), 1), f"{min(seconds):.1f} – {max(seconds):.1f}", ratio(median(seconds), textbook))
        for name, seconds in found["seconds"].items()
    )  # fmt: skip
    return [
        Grid(
            "Command to first commit in Bronze, JARs in the cache",
            ("", "turns", "s", "of the turns", "÷ textbook"),
            rows,
        )
    ]


def first_hour(found: Figures) -> list[Grid]:
    shares = {
        "packages": "packages", "Java": "Java", "JARs": "JARs", "set-up": "set-up, in all", "start": "start of all processes",
        "first sale": "first sale in Bronze", "first Silver figure": "first Silver figure",
    }  # fmt: skip
    rows = [
        (title, *(number(run[name], 1) if name in run else "–" for run in (found["cold"], found["warm"])))
        for name, title in shares.items()
    ]
    rows.append(("class archive, between the two", number(found["archive"], 1), "–"))
    title = f"The first hour: an empty clone, then the second start; packages by {found['tool']}"
    return [Grid(title, ("s", "first", "second"), tuple(rows))]


def memory(found: Figures) -> list[Grid]:
    parts = tuple((name, number(value)) for name, value in found["by_process"].items())
    total = ("all", number(found["pss_mb"]))
    # what else runs on the machine takes its share of a shared page, and gives it back: only PSS shows that
    settled = [(at, rss) for at, _, rss in found["samples"] if at >= found["warm_up_minutes"] * 60]
    note = (
        f"RSS sum {found['rss_mb']:,.0f} MB; highest PSS sum {found['peak_pss_mb']:,.0f} MB; slope after "
        f"{found['warm_up_minutes']:g} minutes of warm-up: {found['slope_mb_per_hour']:+.0f} MB an hour, of RSS "
        f"{slope(settled) * 3600:+.0f} MB."
    )
    title = f"`setup_utils.py run` at its defaults, after {found['minutes']:g} minutes"
    return [Grid(title, ("process", "PSS MB"), (*parts, total), (note,))]


def producer(found: Figures) -> list[Grid]:
    runs, names = found["runs"], report.names(found["runs"])
    ours = typical(runs, "ours", "rate")
    rows = tuple(
        (
            {"constant": "kafka-python, one constant message"}.get(name, name), number(typical(runs, name, "rate")),
            report.spread(runs, name, "rate"), number(typical(runs, name, "process_seconds"), 1),
            number(typical(runs, name, "cpu_per_million"), 1), ratio(ours, typical(runs, name, "rate")),
        )
        for name in names
    )  # fmt: skip
    head = ("contender", "messages/s", "of the turns", "start to exit s", "CPU s per million", "ours ÷ it")
    return [
        Grid(
            f"{found['count']:,} messages of {found['bytes']} bytes at full speed, medians",
            head,
            rows,
            tuple(failures(found)),
        )
    ]


def low_rate(found: Figures) -> list[Grid]:
    runs = {run["contender"]: run for run in found["runs"]}
    names = dict.fromkeys(name for run in runs.values() for name in run["shares"])
    rows = [(name, *(_percent(run["shares"].get(name)) for run in runs.values())) for name in names]
    rows.append(("all", *(_percent(run["share"]) for run in runs.values())))
    rows.append(("commits in Bronze a minute", *(number(run["commits_per_second"] * 60, 1) for run in runs.values())))
    rows.append(("PSS MB", *(number(run["pss_mb"]) for run in runs.values())))
    title = (
        f"A sale every two seconds: CPU in % of one core, over {found['minutes']:g} minutes after "
        f"{found['warm_up_minutes']:g} minutes"
    )
    return [Grid(title, ("process", *runs), tuple(rows))]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share * 100:.1f}"


GRIDS: dict[str, Callable[[Figures], list[Grid]]] = {
    "drain": drain, "latency": latency, "soak": soak, "silver": silver, "explorer": explorer, "start": start,
    "first-hour": first_hour, "memory": memory, "low-rate": low_rate, "producer": producer,
}  # fmt: skip


def plots(sections: Mapping[str, Any]) -> dict[str, str]:
    """File name in docs/images → SVG, for the sections that were measured."""
    found = {name: one["figures"] for name, one in sections.items()}
    made: dict[str, str] = {}
    if one := found.get("drain"):
        middle = [(name, typical(one["runs"], name, "rate") or 0.0) for name in report.names(one["runs"])]
        rows = [(name, rate, f"{rate:,.0f}") for name, rate in middle]
        made["bench-drain.svg"] = charts.bars("Sales a second, start of the process to its exit", rows)
    if one := found.get("latency"):
        rows = [
            (f"{run['contender']}, {which}", run[which], f"{run[which]:.2f} s")
            for run in one["runs"]
            for which in ("p50", "p99")
        ]
        made["bench-latency.svg"] = charts.bars("Seconds from Kafka's timestamp to visible in Bronze", rows)
    if one := found.get("soak"):
        series = [
            (name, [(at / 60, point[place]) for at, *point in one["points"]])
            for place, name in enumerate(("p50", "p99"))
        ]
        made["bench-soak.svg"] = charts.lines("Seconds until visible, each 10 s of the run", "minutes", series)
    if one := found.get("silver"):
        rows = []
        for kind in ("today", "spread"):
            for history, lake in one["lakes"].items():
                value = median(
                    run["seconds"] for run in one["runs"] if run["history"] == history and run["kind"] == kind
                )
                rows.append((f"{kind}, {lake['sales'] / 1e6:g} M rows", value, f"{value:.2f} s"))
        made["bench-silver.svg"] = charts.bars(f"Seconds of a pass over {one['new']:,} new sales", rows)
    if one := found.get("memory"):
        series = [
            (name, [(sample[0] / 60, sample[place]) for sample in one["samples"]])
            for place, name in ((1, "PSS"), (2, "RSS"))
        ]
        made["bench-memory.svg"] = charts.lines("MB of all processes", "minutes", series)
    return made


def part(name: str, kept: Mapping[str, Any]) -> str:
    """The generated part of one section."""
    section = kept["sections"].get(name)
    if section is None:
        return f"Not measured yet. This measures it and writes it here: `{command(name)}`."
    parts = [report.markdown(grid) for grid in GRIDS[name](section["figures"])]
    if f"bench-{name}.svg" in plots({name: section}):
        parts.append(f"![{name}](images/bench-{name}.svg)")
    return "\n\n".join([*parts, origin(section)])


def command(name: str) -> str:
    return f"python -m benchmarks.run --only {name} --write"


def origin(section: Figures) -> str:
    """Where a section's figures come from: command, date, commit, machine, versions."""
    about = section["about"]
    machine, versions = about["machine"], about["versions"]
    busy = " (**the machine was busy**)" if machine["load"] > QUIET else ""
    changed = ", ".join(f"{name}={text}" for name, text in about["settings_changed"].items())
    return (
        f"`{section['command']}`, {about['date'][:16].replace('T', ' ')} UTC, commit {about['commit']}: {machine['processor']}, "
        f"{machine['cores']} cores, {machine['memory_gb']:.0f} GB, {machine['system']}, load {machine['load']:.1f} before the "
        f"start{busy}; " + ", ".join(f"{name} {text}" for name, text in versions.items())
        + (f"; settings: {changed}" if changed else "; every setting at its default") + "."
    )  # fmt: skip


def goals_part(kept: Mapping[str, Any]) -> str:
    return report.markdown(goals.grid(kept["sections"]))
