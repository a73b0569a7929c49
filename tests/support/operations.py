"""Operations on sales, as rows of ``ventes_operations``, and a lake whose two Bronze tables a test writes batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakehouse import config
from lakehouse.contract.sale import ANNULATION, CORRECTION, RETOUR
from lakehouse.contract.tables import OPERATIONS, VENTES, TableSpec
from lakehouse.lake import delta_tables
from lakehouse.silver import job
from lakehouse.silver.aggregates import Aggregate
from lakehouse.silver.job import SilverJob
from lakehouse.silver.local_engine import LocalEngine
from tests.support import job_lake, lakes

DAY = datetime(2026, 11, 22, 20, tzinfo=UTC)


def operation(number: int, kind: str, vente_id: str, **fields: Any) -> lakes.Row:
    """One with the id ``oNUMBER``."""
    return {
        **dict.fromkeys(OPERATIONS.names), "operation_id": f"o{number:03}", "operation": kind, "vente_id": vente_id,
        "timestamp": DAY, "jour": DAY.date(), "date_ingestion": DAY, "kafka_partition": 0, "kafka_offset": 1000 + number,
        "kafka_timestamp": DAY, "est_tardif": False, **fields,
    }  # fmt: skip


def cancelled(number: int, vente_id: str) -> lakes.Row:
    return operation(number, ANNULATION, vente_id, raison="changed their mind")


def back(number: int, vente_id: str, montant: str, quantite: int = 1) -> lakes.Row:
    return operation(number, RETOUR, vente_id, quantite=quantite, montant=Decimal(montant))


def corrected(number: int, vente_id: str, revision: int = 1, **fields: Any) -> lakes.Row:
    return operation(number, CORRECTION, vente_id, revision=revision, **fields)


class Shop:
    """A lake of a test's own, and the local engine's job over it."""

    def __init__(self, base: Path, **texts: str) -> None:
        given = {"DELTA__BASE_PATH": str(base), "ANALYTICS__ENGINE": "local", **texts}
        self.config = config.load(env={f"VENTES_{name}": text for name, text in given.items()})
        self.batch = 0
        self.clock = job_lake.CLOCK
        self.sold: list[lakes.Row] = []
        self.done: list[lakes.Row] = []

    def bronze(self, sold: Sequence[lakes.Row], done: Sequence[lakes.Row] = ()) -> None:
        """One batch of Bronze's."""
        clock = self.clock + timedelta(minutes=self.batch)
        for spec, rows in ((VENTES, sold), (OPERATIONS, done)):
            if rows:
                job_lake.append(self.config.delta.base_path, spec, rows, clock, self.batch)
        self.batch += 1
        self.sold += sold
        self.done += done

    def run(self, *, full: bool = False) -> None:
        assert SilverJob(self.config).run(full=full) == 0

    def differences(self) -> list[Any]:
        """By the local engine itself."""
        silver = SilverJob(self.config)
        return silver._verify(LocalEngine(self.config, silver._entries), 20)

    def contents(self, spec: TableSpec) -> list[lakes.Row]:
        return lakes.contents(delta_tables.opened(spec, self.config)).to_pylist()

    def assert_algebra(self) -> None:
        """Every cell of every table is what the algebra says, computed once, in plain Python."""
        expected = lakes.silver(lakes.net(self.sold, self.done))
        for entry in job.entries(self.config):
            found = cells(self.contents(entry.table), entry)
            assert found == cells(expected[entry.table.name], entry), entry.table.name

    def assert_exact(self) -> None:
        """So, and equal to the engine's own recompute."""
        assert self.differences() == []
        self.assert_algebra()


def cells(rows: Sequence[lakes.Row], entry: Aggregate) -> list[tuple[object, ...]]:
    """The compared columns, sorted."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return tuple(plain(item) for item in value.values())
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    names = (*entry.table.keys, *entry.compared)
    return sorted((tuple(plain(row[name]) for name in names) for row in rows), key=repr)
