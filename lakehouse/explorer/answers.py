"""Entries and filters → results, each table read at one pinned version."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Literal, TypeVar

from lakehouse.config.settings import Config
from lakehouse.contract.backfill import Backfill
from lakehouse.contract.sale import SEGMENTS
from lakehouse.contract.table_properties import ZONES, zones_sentence
from lakehouse.contract.tables import AGGREGES, PAR_PAYS, VENTES
from lakehouse.errors import ConfigError, LakehouseError, TableMissing
from lakehouse.explorer import arguments
from lakehouse.explorer.formats.titles import Language
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Entry, Filters, Section
from lakehouse.lake import cuts
from lakehouse.lake.cuts import Cut
from lakehouse.lake.query import Query, literal
from lakehouse.lake.reader import SPECS, Lake, SnapshotGone
from lakehouse.lake.result import Flow, Result, Source
from lakehouse.observability import audit_log
from lakehouse.wording import counted

T = TypeVar("T")
FILTER_OPTIONS = {"dates": "--du/--au", "pays": "--pays", "segment": "--segment", "client": "--client"}


EMPTY = {
    "bronze": "{} has no row yet. Start all: make run. Or: python producer_ventes.py, then python spark_streaming_delta.py --once",
    "silver": "{} has no row yet. Type: python streaming_silver.py",
    "ventes_rejetees": "No message was rejected so far.",
}
"""What to type when a table has no rows; by its name, or its layer."""


WHAT_THERE_IS = {
    "dates": "by-day",
    "pays": "ventes-par-pays",
    "segment": "ventes-par-segment",
    "client": "top-clients --limit 0",
}
"""The question that lists what a filter may name."""


_LATE = {"ventes_tardives", "retard_minutes"}
"""Columns of late sales."""

_DAYS = {"jour", "heure", "premier_jour", "dernier_jour"}
"""Columns that depend on the business time zone."""


@dataclass(frozen=True)
class SectionAnswer:
    """One section of the report; ``missing`` is the sentence in place of a table that is not there, ``empty`` the one
    under an answer without rows."""

    section: Section
    result: Result | None
    missing: str = ""
    empty: str = ""


class Answers:
    """Asks one ``Lake``. ``again`` gives the same at the newest versions."""

    def __init__(
        self,
        config: Config,
        *,
        version: int | None = None,
        versions: Mapping[str, int] | None = None,
        at: datetime | None = None,
        cut: Cut | None = None,
        chart: bool = True,
        language: Language = "en",
    ) -> None:
        """``cut``: one that a person asked for; tables that it does not name are read as they were when it was recorded."""
        self.config = config
        self.chart = chart
        self.language = language
        self.lake = Lake.of(config, version=version, versions=versions, at=cut.recorded if cut else at, cut=cut)

    @property
    def zone(self) -> tzinfo:
        return self.config.analytics.timezone

    @property
    def backfills(self) -> tuple[Backfill, ...]:
        """The announced ones, as of now: a sale of theirs was not late at any version."""
        return audit_log.backfills(self.config)

    def again(self) -> Answers:
        lake = self.lake
        if not lake.travels:
            return Answers(self.config, chart=self.chart, language=self.language)
        return Answers(
            self.config,
            version=lake.version,
            versions=lake.versions,
            at=lake.at,
            cut=lake.cut,
            chart=self.chart,
            language=self.language,
        )

    def resolved(self, filters: Filters) -> Filters:
        """The filters with the countries and segments as the sales have them, whatever the case and the accents they were
        typed with; raises ``ConfigError`` for one that no sale has, with those that there are."""
        return dataclasses.replace(
            filters,
            pays=tuple(self._known("pays", typed) for typed in filters.pays),
            segment=tuple(self._known("segment", typed) for typed in filters.segment),
        )

    def _known(self, column: Literal["pays", "segment"], typed: str) -> str:
        if column == "segment":
            return arguments.choose(typed, SEGMENTS, "segment")
        with contextlib.suppress(ConfigError):
            return arguments.choose(typed, self.countries(PAR_PAYS.name), "country")
        found = self.countries(VENTES.name)  # Silver may be behind
        return arguments.choose(typed, found, "country") if found else typed

    def countries(self, table: str) -> list[str]:
        """The countries that a table has sales of, as of now and as of the time that is asked for; none without the table."""
        found: set[str] = set()
        lakes = [self.lake] if not self.lake.travels else [self.lake, Lake.of(self.config)]
        for lake in lakes:
            with contextlib.suppress(TableMissing):
                found.update(name for (name,) in lake.read(Query(f"SELECT DISTINCT pays FROM {table}", (table,))).rows)
        return sorted(found, key=arguments.folded)

    def clients(self, typed: str, limit: int = 20) -> list[tuple[int, str]]:
        """(client_id, name) of the clients whose name holds what was typed, whatever its case and accents; the best first."""
        name = f"translate(lower(client_nom), {literal(arguments.ACCENTED)}, {literal(arguments.PLAIN)})"
        text = (
            f"SELECT client_id, FIRST_VALUE(client_nom ORDER BY jour DESC), SUM(total_depense) AS total_depense "
            f"FROM {AGGREGES.name} WHERE strpos({name}, {literal(arguments.folded(typed))}) > 0 "
            f"GROUP BY client_id ORDER BY total_depense DESC, client_id LIMIT {int(limit)}"
        )
        return [(number, client) for number, client, _ in self.lake.read(Query(text, (AGGREGES.name,))).rows]

    def with_default_limit(self, entry: Entry, filters: Filters) -> Filters:
        """The entry's own number of rows, for a question that named none."""
        lengths = {
            "top-clients": self.config.analytics.top_clients,
            "latest-sales": self.config.analytics.dernieres_ventes,
        }
        return dataclasses.replace(filters, limit=lengths.get(entry.name, entry.limit))

    def ask(self, entry: Entry, filters: Filters, *, subject: str = "") -> Result:
        """One answer; raises ``ConfigError`` for a filter that the question does not take. ``subject``: the table whose history
        is asked for, or the name that the glossary is to explain."""
        self._check_filters(entry, filters)
        self._to_the_newest()
        if entry.kind == "counts":
            return self._steady(lambda: self.lake.counts())
        if entry.kind == "history":
            table = arguments.choose(subject or VENTES.name, SPECS, "table")
            return self.lake.history(table, limit=filters.limit, offset=filters.offset)
        if entry.kind == "glossary":
            from lakehouse.explorer import glossary

            found = glossary.answer(subject)
            end = None if filters.limit is None else filters.offset + filters.limit
            return dataclasses.replace(found, rows=found.rows[filters.offset : end])
        return self._steady(lambda: self.lake.read(entry.query(filters, self.backfills)))

    def _check_filters(self, entry: Entry, filters: Filters) -> None:
        unknown = filters.used - entry.filters
        if unknown:
            takes = ", ".join(FILTER_OPTIONS[name] for name in FILTER_OPTIONS if name in entry.filters)
            raise ConfigError(
                f"{entry.name} takes no {' and no '.join(FILTER_OPTIONS[name] for name in sorted(unknown))}: "
                f"it takes {takes or 'no filters'}."
            )

    def flow(self, entry: Entry, filters: Filters) -> Flow:
        """Every row of a question, read while it is written; raises ``ConfigError`` as ``ask`` does."""
        self._check_filters(entry, filters)
        self._to_the_newest()
        return self._steady(lambda: self.lake.flow(entry.query(filters, self.backfills)))

    def sql(self, text: str, *, max_rows: int | None, timeout: float) -> Result:
        """One SELECT that a person wrote, checked and run in a process of its own with caps on rows, time and memory."""
        from lakehouse.explorer import sql_guard, sql_sandbox

        checked = sql_guard.check(text, SPECS)
        self._to_the_newest()
        if len(checked.tables) > 1:
            self._to_the_last_cut(checked.tables)
        return self._steady(lambda: sql_sandbox.run(self.lake, checked, max_rows=max_rows, timeout=timeout))

    def report(self) -> list[SectionAnswer]:
        """The daily report: every section from the same versions, those of the last cut; raises ``TableMissing`` when there is
        no lake."""
        self._to_the_last_cut(())
        analytics = self.config.analytics
        sections = registry.daily_report(top_clients=analytics.top_clients, dernieres_ventes=analytics.dernieres_ventes)
        return self._steady(lambda: [self._section(section) for section in sections])

    def why_empty(self, result: Result, filters: Filters | None = None) -> str:
        """Advice for an answer that found nothing; empty when it found something, or when no advice is needed."""
        if result.rows and not _counts_nothing(result):
            return ""
        empty = [source.table for source in result.sources if not self._has_rows(source.table)]
        if len(empty) < len(result.sources) or not result.sources:
            if filters is None or not filters.narrowed:
                return ""
            known = [f"query_utils.py {name}" for used, name in WHAT_THERE_IS.items() if used in filters.used]
            return f"Nothing matches: {filters}. What there is: {', '.join(known)}"
        if self.lake.travels:
            return f"{' and '.join(empty)} had no row then. Type: query_utils.py history {empty[0]}"
        return " ".join(EMPTY.get(name, EMPTY[SPECS[name].layer]).format(name) for name in empty)

    def remarks(self, result: Result, filters: Filters | None = None) -> list[str]:
        """What to say below an answer, beside where it was read from."""
        empty = self.why_empty(result, filters)
        late = "" if empty else self.about_backfills(result)
        return [text for text in (empty, self.about_days(result), late, self.about_cut()) if text]

    def about_cut(self) -> str:
        """The sentence that says how far a consistent answer lies behind Bronze; empty when it does not."""
        cut = self.lake.cut
        if cut is None or self.lake.travels:
            return ""
        late = cuts.Backlog(self.config).waiting(cut)
        if not late.sales or late.since is None:
            return ""
        seconds = max(0, int((datetime.now(UTC) - late.since).total_seconds()))
        sales = "1 newer sale is" if late.sales == 1 else f"{late.sales:,} newer sales are"
        return f"{sales} on their way to these figures ({seconds} s): read at cut {cut.number}, which all tables have in common."

    def about_backfills(self, result: Result) -> str:
        """A sentence when the answer counts late sales, and there are back-dated ones that are not."""
        if not _LATE.intersection(result.names):
            return ""
        sent = sum(one.messages for one in self.backfills)
        return f"Not counted as late: {counted(sent, 'sale')} of an announced backfill." if sent else ""

    def about_days(self, result: Result) -> str:
        """A sentence when the answer has days, and these are of several time zones."""
        if not _DAYS.intersection(result.names):
            return ""
        try:
            return zones_sentence(self.lake.newest_handle(VENTES.name).metadata().configuration.get(ZONES))
        except LakehouseError:
            return ""  # Silver alone is there

    def _to_the_last_cut(self, tables: tuple[str, ...]) -> None:
        """Read on at the last cut, unless a person asked for other versions, or it does not name all of ``tables``."""
        if self.lake.travels:
            return
        cut = cuts.newest(self.config)
        if cut is not None and cut.covers(tables):
            self.lake = self.lake.at_cut(cut)

    def _to_the_newest(self) -> None:
        """Leave the cut at which the last answer was read."""
        if self.lake.cut is not None and not self.lake.travels:
            self.lake = Lake.of(self.config)

    def _has_rows(self, table: str) -> bool:
        return bool(self.lake.read(Query(f"SELECT 1 FROM {table} LIMIT 1", (table,))).rows)

    def _section(self, section: Section) -> SectionAnswer:
        try:
            if section.entry.kind == "counts":
                return SectionAnswer(section, self.lake.counts())
            result = self.lake.read(section.entry.query(section.filters, self.backfills))
            return SectionAnswer(section, result, empty=self.why_empty(result))
        except TableMissing as error:
            if section.entry.kind == "counts":
                raise
            return SectionAnswer(section, None, str(error))

    def _steady(self, ask: Callable[[], T]) -> T:
        """Once more from the newest versions when vacuum was faster; a version that was asked for stays gone."""
        try:
            return ask()
        except SnapshotGone as error:
            if error.pinned:
                raise
            self.lake = Lake.of(self.config) if self.lake.cut else self.lake.newest()
            return ask()


def _counts_nothing(result: Result) -> bool:
    """One row that says: 0 sales."""
    return len(result.rows) == 1 and "total_transactions" in result.names and not result.column("total_transactions")[0]


def sources(found: list[SectionAnswer]) -> tuple[Source, ...]:
    """The sources of a report, each table once."""
    named = {source.table: source for answer in found if answer.result for source in answer.result.sources}
    return tuple(named.values())
