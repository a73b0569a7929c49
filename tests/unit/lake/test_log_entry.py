"""A table's log whose texts hold what Python takes for an end of line and JSON does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import PAR_PAYS, VENTES, TableSpec
from lakehouse.lake import changed_rows, delta_tables, log_entry, version_checksum
from lakehouse.maintenance import version_retention
from tests.support import lakes

ENDS = "a\u2028b\u2029c\u0085d\x1ee\x0bf\x0cg"


@pytest.fixture
def base(tmp_path: Path) -> str:
    rows = [{**row, "pays": ENDS, "vente_id": f"{row['vente_id']}{ENDS}"} for row in lakes.sales(3)]
    lakes.write(str(tmp_path), VENTES.name, rows)
    lakes.write(str(tmp_path), PAR_PAYS.name, lakes.silver(rows)[PAR_PAYS.name])
    return str(tmp_path)


@pytest.mark.parametrize("table", [VENTES, PAR_PAYS], ids=lambda table: table.name)
def test_every_reader_of_a_log_entry_takes_it_apart_at_line_feeds_alone(base: str, table: TableSpec) -> None:
    path = table.path(base)
    entry = Path(path, "_delta_log", f"{0:020}.json")
    kinds = [next(iter(action)) for action in log_entry.actions(entry.read_text(encoding="utf-8"))]
    assert kinds.count("metaData") == kinds.count("commitInfo") == 1
    version_checksum.write(path, 0)
    assert changed_rows.rows_of(table, base, 0, 10)[0]
    assert version_retention._brings_rows(entry)


def test_a_table_with_such_a_text_among_its_statistics_is_written_on(base: str) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": base})
    delta_tables.set_properties(PAR_PAYS, settings, {"ventes.x": "1"}, what="test")
    delta_tables.delete(PAR_PAYS, settings, "total_transactions < 0", what="test")
