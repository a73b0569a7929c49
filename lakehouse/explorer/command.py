"""The explorer's command line: what is typed → a request → an answer, printed or written to a file.

Heavy modules (deltalake, rich, sqlglot) are imported where they are used: a cold start to the first rows stays
under 0.6 s.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from lakehouse import cli
from lakehouse.config.settings import Config
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.explorer.answers import Answers
from lakehouse.explorer.arguments import (
    MAX_ROWS,
    TIMEOUT,
    find,
    parse_count,
    parse_day,
    parse_identity,
    parse_seconds,
    parse_time,
    parse_versions,
)
from lakehouse.explorer.formats.titles import LANGUAGES
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Entry, Filters
from lakehouse.lake import cuts
from lakehouse.lake.result import Flow, Result

EXAMPLES = (
    "query_utils.py                                   the menu",
    "query_utils.py --batch                           the daily report",
    "query_utils.py top-clients --limit 10 --pays France --du 2026-11-01 --au 2026-11-22",
    "query_utils.py revenue-by-country --format csv --output countries.csv",
    "query_utils.py row-counts --at 2026-11-22T08:00",
    "query_utils.py history ventes_stream",
    'query_utils.py --sql "SELECT pays, SUM(montant) FROM ventes_stream GROUP BY pays"',
)


def description() -> str:
    """The list of questions, from the registry."""
    size = max(len(entry.name) for entry in registry.ENTRIES)
    lines = [f"  {entry.name.ljust(size)}  {entry.title}: {entry.help}" for entry in registry.ENTRIES]
    return "Ask the sales lake, without a JVM. Without arguments: a menu.\n\nquestions:\n" + "\n".join(lines)


def make_parser() -> argparse.ArgumentParser:
    """The explorer's command line."""
    made = cli.parser("query_utils.py", description(), EXAMPLES)
    made.add_argument("question", nargs="?", help="one of the questions above, or the name of a table")
    made.add_argument("table", nargs="?", help="for history: the table (default ventes_stream); for glossary: the name")
    made.add_argument("--batch", action="store_true", help="the daily report")
    made.add_argument("--sql", metavar="SELECT", help="one SELECT over the tables by their own names")
    cut = made.add_argument_group("filters")
    cut.add_argument("--du", type=_type(parse_day), metavar="DAY", help="first business day, such as 2026-11-01")
    cut.add_argument("--au", type=_type(parse_day), metavar="DAY", help="last business day, included")
    cut.add_argument("--pays", action="append", default=[], help="country; repeat for several")
    cut.add_argument("--segment", action="append", default=[], help="Particulier or Entreprise; repeat for several")
    cut.add_argument("--client", type=_type(parse_identity), metavar="ID", help="client_id, for client-sales")
    cut.add_argument("--limit", type=_type(parse_count), metavar="N", help="rows at most; 0 for all")
    when = made.add_argument_group("time travel")
    when.add_argument("--version", action="append", default=[], metavar="N", help="version of the table, or TABLE=N")
    when.add_argument(
        "--at", metavar="TIME", help="state at that time; ISO 8601, in the business zone when it has none"
    )
    when.add_argument(
        "--cut", metavar="ID", help="one moment of all tables, as Silver recorded it: its number, or last"
    )
    out = made.add_argument_group("output")
    out.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    out.add_argument("--output", metavar="FILE", help="write there instead of on the screen")
    out.add_argument("--language", choices=LANGUAGES, default="en", help="of the column titles of tables (default en)")
    out.add_argument("--no-chart", action="store_true", help="tables only")
    out.add_argument("--watch", type=_type(parse_seconds), metavar="SECONDS", help="ask again until Ctrl-C")
    caps = made.add_argument_group("limits of --sql")
    caps.add_argument("--max-rows", type=_type(parse_count), default=MAX_ROWS, metavar="N", help=f"default {MAX_ROWS}")
    caps.add_argument(
        "--timeout", type=_type(parse_seconds), default=TIMEOUT, metavar="SECONDS", help=f"default {TIMEOUT}"
    )
    return made


def _type(parse: Callable[[str], object]) -> Callable[[str], Any]:
    return cli.checked(parse)


def filters_of(args: argparse.Namespace) -> Filters:
    """The filters as typed; ``--limit 0`` is None, no limit; without ``--limit`` the entry's own default comes later."""
    if args.du and args.au and args.du > args.au:
        raise ConfigError(f"--du {args.du} lies after --au {args.au}: exchange them.")
    return Filters(args.du, args.au, tuple(args.pays), tuple(args.segment), args.limit or None, client=args.client)


def check(args: argparse.Namespace) -> None:
    """Refuse options that exclude each other."""
    chosen = [
        name
        for name, given in (("a question", args.question), ("--batch", args.batch), ("--sql", args.sql is not None))
        if given
    ]
    if len(chosen) > 1:
        raise ConfigError(f"{' and '.join(chosen)} exclude each other: give one.")
    travels = [name for name, given in (("--cut", args.cut), ("--at", args.at), ("--version", args.version)) if given]
    if len(travels) > 1:
        raise ConfigError(f"{' and '.join(travels)} exclude each other: give one.")
    if args.format == "parquet" and not args.output:
        raise ConfigError("--format parquet needs --output FILE.")
    if args.batch and args.format in ("csv", "parquet"):
        raise ConfigError(f"--batch is many tables and cannot be --format {args.format}: use table or json.")
    if (args.batch or args.sql is not None) and (filters_of(args).narrowed or args.limit is not None):
        raise ConfigError(
            f"{chosen[0]} takes no filters: ask a question by its name, such as query_utils.py top-clients --pays France."
        )
    if not chosen and (args.format != "table" or args.output or args.watch):
        raise ConfigError(
            "--format, --output and --watch need a question, --batch or --sql. Questions: query_utils.py --help"
        )


def body(args: argparse.Namespace, config: Config) -> int:
    """Answer once, again and again, or by the menu; the exit code."""
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without UTF-8 shows escapes instead of a traceback
        sys.stdout.reconfigure(errors="backslashreplace")
    check(args)
    alone, named = parse_versions(args.version)
    zone = config.analytics.timezone
    at = parse_time(args.at, zone) if args.at else None
    cut = cuts.named(config, args.cut) if args.cut else None
    answers = Answers(
        config, version=alone, versions=named, at=at, cut=cut, chart=not args.no_chart, language=args.language
    )
    entry = find(args.question) if args.question else None
    if args.table and (entry is None or entry.kind not in ("history", "glossary")):
        raise ConfigError(f"{args.table!r} is one word too many: only history takes a table, and glossary a name.")
    if entry is not None and entry.kind == "history" and (args.version or args.at or cut):
        raise ConfigError(
            "history lists every version that the log still holds: it takes no --version, no --at and no --cut."
        )
    if (entry is None and not args.batch and args.sql is None) or (
        entry is not None and entry.kind in ("sql", "travel")
    ):
        from lakehouse.explorer.menu import Menu

        return Menu(answers, answers.resolved(filters_of(args))).run(entry)
    if entry is not None and "client" in entry.filters and args.client is None:
        args.client = ask_client(answers, entry)
    if not args.watch:
        return once(args, answers, entry)
    return watch(lambda: once(args, answers.again(), entry), args.watch, clear=sys.stdout.isatty() and not args.output)


def ask_client(answers: Answers, entry: Entry) -> int:
    """Whose sales are asked for; raises ``ConfigError`` where there is nobody to ask."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ConfigError(
            f"{entry.name} needs --client ID. Those who bought most: query_utils.py top-clients, every one: "
            f"query_utils.py profil-clients --limit 0"
        )
    from lakehouse.explorer import prompts

    try:
        return prompts.client(None, answers.clients, input, print)
    except EOFError:
        raise ConfigError(f"{entry.name} needs a client: --client ID.") from None


def once(args: argparse.Namespace, answers: Answers, entry: Entry | None) -> int:
    """One answer to where it belongs."""
    from lakehouse.explorer import output

    if args.batch:
        return output.report(answers, args.format, args.output)
    if args.sql is not None:
        result = answers.sql(args.sql, max_rows=args.max_rows or None, timeout=args.timeout)
        _check_versions(answers, result)
        return output.answer(answers, result, args.format, args.output)
    assert entry is not None
    filters = answers.resolved(filters_of(args))
    if args.limit is None:
        filters = answers.with_default_limit(entry, filters)
    found: Result | Flow
    if args.format != "table" and filters.limit is None and entry.limit is not None and entry.kind == "query":
        found = answers.flow(entry, filters)
    else:
        found = answers.ask(entry, filters, subject=args.table or "")
    _check_versions(answers, found)
    return output.answer(answers, found, args.format, args.output, entry=entry, filters=filters)


def _check_versions(answers: Answers, result: Result | Flow) -> None:
    """A version that nothing was read at would look as if it had been obeyed."""
    read = [source.table for source in result.sources]
    for table, version in answers.lake.versions.items():
        if table not in read:
            raise ConfigError(
                f"--version {table}={version} has no effect: this question reads {', '.join(read) or 'no table'}."
            )


def watch(ask: Callable[[], int], seconds: float, *, clear: bool, wait: Callable[[float], None] = time.sleep) -> int:
    """Ask, wait, ask again. Ctrl-C is its ordinary end: the last exit code.

    A table that is not there yet is said, and asked for again; a wrong argument ends the watch.
    """
    code = 0
    try:
        while True:
            if clear:
                print("\x1b[2J\x1b[H", end="")
            try:
                code = ask()
            except LakehouseError as error:
                if error.exit_code != LakehouseError.exit_code:
                    raise
                code = error.exit_code
                print(error, file=sys.stderr)
            sys.stdout.flush()
            wait(seconds)
    except KeyboardInterrupt:
        print()
        return code


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 answered, 1 something is missing or failed, 2 a wrong argument or a refused statement."""
    return cli.run(make_parser(), body, argv)
