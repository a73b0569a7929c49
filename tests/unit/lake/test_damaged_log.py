"""An entry of a table's log that is cut off is named, with what to type; no stack trace, and no bare name of an error."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from deltalake.exceptions import TableNotFoundError

from lakehouse import config
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.errors import LakehouseError
from lakehouse.lake import table_changes, table_handle


def cut_off(table: str) -> None:
    rows = pa.table({"a": [1]})
    for _ in range(2):
        write_deltalake(table, rows, mode="append")
    newest = max(Path(table, "_delta_log").glob("*.json"))
    newest.write_bytes(newest.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("spec", "command"),
    [(PAR_PAYS, "Move that folder away, then type: python streaming_silver.py --full"), (VENTES, "Type: python ops_utils.py backup list")],
)  # fmt: skip
def test_a_table_with_a_damaged_log_is_named_with_what_to_type(spec, command: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = spec.path(str(tmp_path))
    cut_off(place)
    with pytest.raises(LakehouseError) as stopped:
        table_handle.opened(place)
    assert str(stopped.value).startswith(f"Table {spec.name} at {place} cannot be opened: Json error: ")
    assert str(stopped.value).endswith(f". {command}")
    assert "\n" not in str(stopped.value) and stopped.value.exit_code == 1


def test_what_bronzes_log_added_is_not_read_past_a_damaged_entry(tmp_path: Path) -> None:
    here = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    cut_off(VENTES.path(str(tmp_path)))
    with pytest.raises(LakehouseError, match=r"version 1 is cut off or damaged\. Type: python"):
        list(table_changes.removals(VENTES, here, after=0, upto=1))


def test_a_table_that_is_not_there_is_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(TableNotFoundError):
        table_handle.opened(VENTES.path(str(tmp_path)))
