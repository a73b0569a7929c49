#!/usr/bin/env python
"""Writes docs/METRICS.md, docs/vente.schema.json and the generated parts of docs/reference (the settings, the scripts' options),
docs/TROUBLESHOOTING.md (its table of symptoms), docs/ARCHITECTURE.md (the packages), docs/SCALING.md (from docs/scaling.json), docs/BENCHMARKS.md and its plots (from
docs/benchmarks.json).
``--check`` only compares.

A generated part stands between ``<!-- generated: NAME -->`` and ``<!-- end: NAME -->``.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parent.parent
if str(PROJECT) not in sys.path:
    sys.path.insert(0, str(PROJECT))

import dashboard  # noqa: E402  # the scripts lie one folder up
import setup_utils  # noqa: E402
import spark_streaming_delta  # noqa: E402
import streaming_silver  # noqa: E402
from benchmarks import projection, publish  # noqa: E402
from lakehouse import config  # noqa: E402
from lakehouse.config import changes  # noqa: E402
from lakehouse.contract import json_schema  # noqa: E402
from lakehouse.explorer import command  # noqa: E402
from lakehouse.observability import metrics  # noqa: E402
from lakehouse.operations import command as operations_command  # noqa: E402
from lakehouse.producer import command as producer_command  # noqa: E402

SETTINGS = PROJECT / "docs" / "reference" / "settings.md"
OPTIONS = PROJECT / "docs" / "reference" / "options.md"
TROUBLES = PROJECT / "docs" / "TROUBLESHOOTING.md"
ARCHITECTURE = PROJECT / "docs" / "ARCHITECTURE.md"
SCALING_PAGE = PROJECT / "docs" / "SCALING.md"
SCALING = PROJECT / "docs" / "scaling.json"
METRICS = PROJECT / "docs" / "METRICS.md"
SCHEMA = PROJECT / "docs" / "vente.schema.json"


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Each script's command line, as it is parsed."""
    return {
        "producer_ventes.py": producer_command.parser(),
        "spark_streaming_delta.py": spark_streaming_delta._parser(),
        "streaming_silver.py": streaming_silver._parser(),
        "query_utils.py": command.make_parser(),
        "dashboard.py": dashboard.parser(),
        "setup_utils.py": setup_utils.parser(),
        "ops_utils.py": operations_command.make_parser(),
    }


def verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The sub-commands of a parser, by name; those of a group by both names: ``audit verify``."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, one in action.choices.items():
                inner = verbs(one)
                found |= {f"{name} {word}": deeper for word, deeper in inner.items()} if inner else {name: one}
    return found


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").strip()


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        f"| {' | '.join(_cell(cell) if i > 1 else cell for cell in line)} |" for i, line in enumerate(lines)
    )


def settings_table() -> str:
    """One table a section, in the order of config.ini."""
    parts = []
    for section in dict.fromkeys(row.section for row in config.settings()):
        rows = []
        for row in config.settings():
            if row.section == section:
                default = f"`{row.default}`" if row.default else "(empty)"
                rows.append((f"`{row.key}`", row.type, default, row.unit, row.help))
        parts.append(f"`[{section}]`\n\n{_table(('key', 'type', 'default', 'unit', 'what it does'), rows)}")
    return "\n\n".join(parts)


def changes_table() -> str:
    """The settings on which something that is stored depends, with what a change of each does."""
    effects = "\n".join(f"- **{name}**: {meaning}" for name, meaning in changes.EFFECTS.items())
    rows = [
        (f"`[{name.partition('.')[0]}] {name.partition('.')[2]}`", change.depends, change.effect, change.what)
        for name, change in changes.CHANGES.items()
    ]
    return f"{effects}\n\n{_table(('setting', 'what rests on it', 'effect', 'what a change does'), rows)}"


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        if action.option_strings:
            names = ", ".join(action.option_strings)
            shown = action.metavar or (action.dest.upper() if action.nargs is None else "")
            name = f"`{names} {shown}`" if shown and not action.choices else f"`{names}`"
        else:
            name = str(action.metavar or action.dest)
        choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
        yield name, f"{action.help or ''}{choices}"


def options_table() -> str:
    """Every script with its options; those that every script has stand once, in the text before."""
    parts = []
    for script, parser in parsers().items():
        shared = ("`--config", "`--json", "`--dry-run", "`--yes") if script == "ops_utils.py" else ("`--config",)
        found = [row for row in _options(parser) if not row[0].startswith(shared)]
        for verb, one in verbs(parser).items():
            found.append((verb, " ".join((one.description or "").split())))
            found += [(f"{verb} {row[0]}", row[1]) for row in _options(one) if not row[0].startswith(shared)]
        table = _table(("option", "what it does"), found) if found else "No options of its own."
        parts.append(f"`{script}`\n\n{table}")
    return "\n\n".join(parts)


def _anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def symptoms() -> str:
    """The entries of TROUBLESHOOTING.md by area: the beginning of each message, with a link to its entry."""
    rows = []
    for area in re.split(r"^## ", TROUBLES.read_text(encoding="utf-8"), flags=re.M)[1:]:
        name = area.split("\n", 1)[0]
        for entry in re.split(r"^### ", area, flags=re.M)[1:]:
            title = entry.split("\n", 1)[0]
            (message,) = re.findall(r"^```text\n(.*?)^```", entry, re.MULTILINE | re.DOTALL)
            text = re.sub(r"…(\W?…)+", "…", re.sub(r"<[^<>]*>", "…", " ".join(message.split())))
            begins = (
                textwrap.shorten(text, 75, placeholder=" …", break_on_hyphens=False)
                .replace("`", "'")
                .replace("|", "\\|")
            )
            rows.append((name, f"`{begins}`", f"[{title}](#{_anchor(title)})"))
            name = ""
    return _table(("area", "message", "entry"), rows)


def _first_sentence(path: Path) -> str:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split())


def _imported(path: Path) -> set[str]:
    """Packages of the project that a module imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lakehouse":
            whole = node.module == "lakehouse"
            found |= {alias.name if whole else node.module.split(".")[1] for alias in node.names}
    return found


def packages() -> str:
    """The packages as a diagram of their imports, one table of them, and one of the modules of each."""
    root = PROJECT / "lakehouse"
    folders = sorted(path.parent for path in root.glob("*/__init__.py"))
    uses = {
        folder.name: set().union(*map(_imported, folder.rglob("*.py"))) & {one.name for one in folders} - {folder.name}
        for folder in folders
    }
    # an arrow that follows from two others says nothing new
    reach: dict[str, set[str]] = {}

    def below(name: str) -> set[str]:
        if name not in reach:
            reach[name] = uses[name] | set().union(*map(below, uses[name]))
        return reach[name]

    arrows = [
        f"    {name} --> {other}"
        for name in uses
        for other in sorted(uses[name])
        if not any(other in below(one) for one in uses[name] - {other})
    ]
    parts = ["```mermaid\nflowchart TD\n" + "\n".join(arrows) + "\n```"]
    rows = [(f"`{path.stem}`", _first_sentence(path)) for path in sorted(root.glob("*.py")) if path.stem != "__init__"]
    parts.append("`lakehouse/`\n\n" + _table(("module", "what it is"), rows))
    for folder in sorted(path.parent for path in root.rglob("*/__init__.py")):
        name = folder.relative_to(root).as_posix()
        modules = sorted(path for path in folder.glob("*.py") if path.stem != "__init__")
        rows = [(f"`{path.stem}`", _first_sentence(path)) for path in modules]
        head = f"`{name}/`: {_first_sentence(folder / '__init__.py')}"
        parts.append(head + ("\n\n" + _table(("module", "what it is"), rows) if rows else ""))
    return "\n\n".join(parts)


def _scaling() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCALING.read_text(encoding="utf-8"))
    return found


PARTS: dict[Path, dict[str, Callable[[], str]]] = {
    SETTINGS: {"settings": settings_table, "changes": changes_table},
    OPTIONS: {"options": options_table},
    TROUBLES: {"symptoms": symptoms},
    ARCHITECTURE: {"packages": packages},
    SCALING_PAGE: {
        "measured": lambda: projection.measured_tables(_scaling()),
        "inputs": lambda: projection.inputs_table(projection.inputs(_scaling()["inputs"])),
        "projection": lambda: projection.projection_table(projection.inputs(_scaling()["inputs"])),
    },
    publish.PAGE: publish.parts(),
}


def generated(text: str, page: Path) -> str:
    """``text`` of a page with every generated part as it should be. Raises ``SystemExit`` when a marker is missing."""
    for name, make in PARTS[page].items():
        start, end = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
        if len(pattern.findall(text)) != 1:
            raise SystemExit(f"{page.name} must hold {start} … {end} once.")
        text = pattern.sub(lambda _, start=start, end=end, make=make: f"{start}\n\n{make()}\n\n{end}", text)
    return text


def metrics_page() -> str:
    """docs/METRICS.md, from the registry in lakehouse/observability/metrics.py."""
    ports = {
        row.key.removesuffix("_metrics_port"): row.default
        for row in config.settings()
        if row.key.endswith("_metrics_port")
    }
    parts = [
        "# Metrics",
        "<!-- written by docs/generate.py from lakehouse/observability/metrics.py; do not edit -->",
        "Each process serves its own on `http://127.0.0.1:PORT/metrics`: "
        + ", ".join(f"{name} {port}" for name, port in ports.items())
        + " (`[MONITORING]`; a port that is taken is replaced, and `python ops_utils.py status --json` says what answers). "
        "Beside them stand prometheus_client's own `process_*` (CPU, memory, open files of the Python process; Spark's "
        "Java is a child of its own). Times that end in `_timestamp_seconds` are seconds since 1970.\n\n"
        f"{len(metrics.ALL)} metrics. Alerts over them: `ops/prometheus/alerts.yml`; panels: `ops/grafana/ventes.json`.",
    ]
    for group, title in metrics.GROUPS.items():
        rows = [
            (
                f"`{one.name}`",
                one.kind,
                ", ".join(f"`{label}`" for label in one.labels),
                one.help,
                ", ".join(f"{bound:g}" for bound in one.bounds),
            )
            for one in metrics.ALL
            if one.group == group
        ]
        buckets = any(row[4] for row in rows)
        head = ("metric", "kind", "labels", "what it is", "buckets")
        width = len(head) if buckets else len(head) - 1
        parts.append(f"## {title}\n\n{_table(head[:width], [row[:width] for row in rows])}")
    return "\n\n".join(parts) + "\n"


def schema_text() -> str:
    """docs/vente.schema.json, from lakehouse/contract/json_schema.py; amounts with all their digits."""

    def marked(value: Decimal) -> str:
        return f"@{value}@"

    text = json.dumps(json_schema.schema(), ensure_ascii=False, indent=2, default=marked)
    return re.sub(r'"@([0-9.]+)@"', r"\1", text) + "\n"


def main() -> int:
    """Write what is not up to date, or with ``--check`` name it; exit code 1 when something was named."""
    wanted = {
        **{page: generated(page.read_text(encoding="utf-8"), page) for page in PARTS},
        METRICS: metrics_page(),
        SCHEMA: schema_text(),
        **publish.images(),
    }
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.name} is not up to date. Type: .venv/bin/python docs/generate.py")
        return int(bool(stale))
    for path in stale:
        path.write_text(wanted[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
