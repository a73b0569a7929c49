"""Answers to where they belong: the screen, a pipe or a file, in the format that was asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import IO

from lakehouse.explorer.answers import Answers, SectionAnswer, sources
from lakehouse.explorer.formats import export
from lakehouse.explorer.formats.titles import with_titles
from lakehouse.explorer.queries.model import Entry, Filters
from lakehouse.lake.result import Flow, Result


@contextlib.contextmanager
def _stream(output: str | None) -> Iterator[IO[str]]:
    if output is None:
        yield sys.stdout
    else:
        with export.replacing(output) as stream:
            yield stream


def answer(
    answers: Answers,
    result: Result | Flow,
    kind: str,
    output: str | None,
    *,
    entry: Entry | None = None,
    filters: Filters | None = None,
) -> int:
    """One result; 0. What it was read from stands under a table, and on stderr for the other formats."""
    if kind == "parquet":
        assert output is not None
        export.to_parquet(result, output)
    else:
        with _stream(output) as stream:
            if kind == "csv":
                export.to_csv(result, stream, harmless=stream.isatty())
            elif kind == "json":
                export.to_json(result, stream)
            else:
                assert isinstance(result, Result)
                _table(answers, result, stream, entry, filters)
    if kind != "table":
        from lakehouse.explorer.formats.terminal import footer_text

        count = result.count if isinstance(result, Flow) else len(result.rows)
        print(footer_text(result, answers.zone, count), file=sys.stderr)
        seen = (
            result if isinstance(result, Result) else Result(result.columns, [(), ()] if count else [], result.sources)
        )
        for remark in answers.remarks(seen, filters):
            print(remark, file=sys.stderr)
    return 0


def _table(answers: Answers, result: Result, stream: IO[str], entry: Entry | None, filters: Filters | None) -> None:
    from lakehouse.explorer.formats import terminal

    out = terminal.console(stream)
    if entry is not None:
        terminal.heading(out, entry.title + (f" ({filters})" if filters and filters.narrowed else ""))
    wanted = entry.chart if entry and answers.chart else None
    result = with_titles(result, answers.language) if entry else result  # who writes SQL names the columns
    terminal.show(out, result, zone=answers.zone, wanted=wanted, less=entry.less if entry else ())
    for remark in answers.remarks(result, filters):
        terminal.note(out, remark)


def report(answers: Answers, kind: str, output: str | None) -> int:
    """The daily report: 0, or 1 when a table that it needs is not there."""
    found = answers.report()
    with _stream(output) as stream:
        if kind == "json":
            stream.write(_report_json(answers, found))
        else:
            _report_table(answers, found, stream)
    return 1 if any(section.missing for section in found) else 0


def _report_json(answers: Answers, found: list[SectionAnswer]) -> str:
    return (
        export.dumps(
            {
                "sections": {
                    section.section.entry.name: {
                        "title": section.section.title,
                        "rows": export.records(section.result) if section.result else None,
                        "missing": section.missing or None,
                    }
                    for section in found
                },
                "sources": export.versions(sources(found)),
                "cut": answers.lake.cut.number if answers.lake.cut else None,
            }
        )
        + "\n"
    )


def _report_table(answers: Answers, found: list[SectionAnswer], stream: IO[str]) -> None:
    from lakehouse.explorer.formats import terminal

    out = terminal.console(stream)
    for section in found:
        terminal.heading(out, section.section.title)
        if section.result is None:
            terminal.note(out, section.missing)
        else:
            wanted = section.section.entry.chart if answers.chart else None
            less = section.section.entry.less
            titled = with_titles(section.result, answers.language)
            terminal.show(out, titled, zone=answers.zone, wanted=wanted, footer=False, less=less)
            if section.empty:
                terminal.note(out, section.empty)
        out.print()
    if behind := answers.about_cut():
        terminal.note(out, behind)
    terminal.note(out, f"read: {terminal.read_at(sources(found), answers.zone)} · times: {answers.zone} · amounts: EUR")
