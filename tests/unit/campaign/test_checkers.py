"""The checkers see what they are for, and excuse what the campaign itself did."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from campaign.checkers import bronze, cuts, erased
from campaign.generator import workload
from campaign.generator.known import Known
from campaign.generator.sender import Sent
from campaign.generator.workload import Message
from lakehouse.contract import sale
from lakehouse.contract.tables import PERTES, REJETS, VENTES, TableSpec
from lakehouse.lake.delta_tables import schema

Rows = Sequence[dict[str, Any]]
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
REPLAYED = "2026-11-27T11:00:00.000000Z"


def _write(spec: TableSpec, lake: Path, rows: Rows, parts: list[str] | None) -> None:
    write_deltalake(
        spec.path(str(lake)), pa.Table.from_pylist(list(rows), schema(spec)), partition_by=parts, mode="overwrite"
    )


def _lake(folder: Path, sales: Rows, rejects: Rows = (), losses: Rows = ()) -> Path:
    _write(VENTES, folder, sales, ["jour"])
    _write(REJETS, folder, rejects, ["jour"])
    _write(PERTES, folder, losses, None)
    return folder


def _stored(message: Message, partition: int, offset: int, **changed: str) -> dict[str, Any]:
    value = json.dumps({**json.loads(message.value), **changed}).encode() if changed else message.value
    fields = sale.fields_of(sale.validate(value).canonique or "")
    return {
        **fields, "jour": fields["timestamp"].date(), "kafka_partition": partition, "kafka_offset": offset,
        "date_ingestion": NOW, "kafka_timestamp": NOW, "est_tardif": False,
    }  # fmt: skip


def _rejected(message: Message, partition: int, offset: int) -> dict[str, Any]:
    return {
        "valeur": message.value, "cle": message.key, "topic": "t", "kafka_partition": partition, "kafka_offset": offset,
        "kafka_timestamp": NOW, "motif": "m", "explication": "e", "date_ingestion": NOW, "jour": NOW.date(),
    }  # fmt: skip


def _sent(kind: str, count: int) -> list[Sent]:
    made = [each for each in workload.messages(1, 900, 1, NOW, "a") if each.kind == kind][:count]
    return [Sent(each, 0, number, False) for number, each in enumerate(made)]


def _claims(lake: Path, sent: list[Sent], known: Known) -> set[str]:
    return {each.claim for each in bronze.check(lake, sent, "t", known)}


def test_what_kafka_gave_up_has_to_be_declared_and_nothing_else(tmp_path: Path) -> None:
    sent = _sent("sale", 5)
    kept = [_stored(each.message, 0, each.offset) for each in sent[2:]]
    known = Known(lost={0: 2})

    def loss(last: int) -> dict[str, Any]:
        return {"topic": "t", "kafka_partition": 0, "premier_offset": 0, "dernier_offset": last, "date_declaration": NOW, "operateur": "me"}  # fmt: skip

    assert _claims(_lake(tmp_path / "declared", kept, losses=[loss(1)]), sent, known) == set()
    assert _claims(_lake(tmp_path / "silent", kept), sent, known) == {"S1"}
    assert _claims(_lake(tmp_path / "too_much", kept[1:], losses=[loss(2)]), sent, known) == {"S1"}


def test_a_replayed_reject_stands_in_both_tables_as_it_was_corrected(tmp_path: Path) -> None:
    sent = _sent("future", 1)
    reject = [_rejected(sent[0].message, 0, 0)]
    right = [_stored(sent[0].message, 0, 0, timestamp=REPLAYED)]
    known = Known(corrected={(0, 0): {"timestamp": REPLAYED}})
    assert _claims(_lake(tmp_path / "right", right, reject), sent, known) == set()
    assert _claims(_lake(tmp_path / "twice", right, reject), sent, Known()) == {"S1", "S3"}
    assert _claims(_lake(tmp_path / "nowhere", [], reject), sent, known) == {"S1"}


def test_an_erased_person_is_nowhere(tmp_path: Path) -> None:
    sent = _sent("person", 2)
    client = sent[0].message.person
    assert client is not None
    known = Known(erased={client: str(client)})
    empty = _lake(tmp_path / "gone" / "data", [])
    assert _claims(empty, sent, known) == set()
    assert list(erased.check(empty, tmp_path / "gone", known.erased)) == []
    (tmp_path / "gone" / "job.log").write_text(f"Personne {client}")
    assert {each.claim for each in erased.check(empty, tmp_path / "gone", known.erased)} == {"S12"}
    there = _lake(tmp_path / "there" / "data", [_stored(each.message, 0, each.offset) for each in sent])
    assert {each.claim for each in erased.check(there, tmp_path / "there", known.erased)} == {"S12"}


def test_a_cut_is_looked_at_once_and_names_what_is_there(tmp_path: Path) -> None:
    lake = _lake(tmp_path, [])
    (lake / "cuts").mkdir()
    (lake / "cuts" / "000000000001.json").write_text(json.dumps({"tables": {"ventes_stream": {"version": 0}}}))
    (lake / "cuts" / "000000000002.json").write_text(json.dumps({"tables": {"ventes_stream": {"version": 7}}}))
    known: set[str] = set()
    assert [each.what for each in cuts.check(lake, known)] == [
        "cut 2 names a version of ventes_stream that is not there"
    ]
    assert list(cuts.check(lake, known)) == []
