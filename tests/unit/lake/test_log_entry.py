"""A table's log whose texts hold what Python takes for an end of line and JSON does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import PAR_PAYS, VENTES, TableSpec
from lakehouse.lake import changed_rows, commits, delta_tables, history, log_entry, version_checksum
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
    entry = Path(log_entry.place(path, 0))
    kinds = [next(iter(action)) for action in log_entry.actions(entry.read_text(encoding="utf-8"))]
    assert kinds.count("metaData") == kinds.count("commitInfo") == 1
    version_checksum.write(path, 0)
    assert changed_rows.rows_of(table, base, 0, 10)[0]
    assert version_retention._brings_rows(entry)
    (commit,) = commits.read(config.load(env={"VENTES_DELTA__BASE_PATH": base}), table, after=-1, upto=0)
    assert commit.adds and commit.operation == log_entry.commit_info(log_entry.actions(entry.read_bytes()))["operation"]
    assert history.committed(path, 0) == commit.moment
    assert len(list(history.added_newest_first(path))) == 1


def test_no_other_module_names_an_entry_of_a_log_or_takes_one_apart() -> None:
    package = Path(config.PROJECT, "lakehouse")
    signs = (":020}.json", '["commitInfo"]', 'get("commitInfo"', 'get("dataChange"')
    named = [path for path in package.rglob("*.py") if any(sign in path.read_text() for sign in signs)]
    assert {path.relative_to(package).as_posix() for path in named} == {"lake/log_entry.py"}


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (f"{12:020}.json", 12), (f"{12:020}.crc", None), ("_last_checkpoint", None), (f"{1:020}.checkpoint.parquet", None),
        (f"{1:020}.{9:020}.compacted.json", None), (f".{1:020}.json.tmp", None),
    ],
)  # fmt: skip
def test_the_version_of_a_file_of_the_log(name: str, version: int | None) -> None:
    assert log_entry.version_of(name) == version


def test_a_table_with_such_a_text_among_its_statistics_is_written_on(base: str) -> None:
    settings = config.load(env={"VENTES_DELTA__BASE_PATH": base})
    delta_tables.set_properties(PAR_PAYS, settings, {"ventes.x": "1"}, what="test")
    delta_tables.delete(PAR_PAYS, settings, "total_transactions < 0", what="test")
