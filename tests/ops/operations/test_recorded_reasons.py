"""Records that explain offsets: of the topic as it counts now, of an erasure that runs, of a removal that left the log."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config as settings
from lakehouse.contract.tables import AGGREGES, EFFACES, PERTES, REJETS, RETRAITS, VENTES, checkpoint
from lakehouse.lake.reader import Lake
from lakehouse.maintenance import erasure
from lakehouse.observability import provenance
from lakehouse.operations.reconcile import explained_offsets
from lakehouse.operations.reconcile.audit_evidence import Evidence
from tests.support import job_lake, lakes
from tests.support.lakes import Row

Operate = Callable[..., tuple[int, str]]
REMOVAL = "0123456789ab"
ERASURE = "20261127T000000Z-abcdef"
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def rows(base: str) -> list[Row]:
    return job_lake.build(base)


def reconciled(operate: Operate) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(operate("reconcile", "--without-kafka", "--json")[1])
    return record


def counted(record: dict[str, Any], name: str) -> int:
    return sum(line[name] for line in record["per_partition"])


def removal_of(row: Row, before: int) -> Row:
    return {
        "retrait": REMOVAL, "table_source": VENTES.name, "jour_limite": date(2000, 1, 1),
        "date_limite": job_lake.CLOCK - timedelta(days=9000), "version_avant": before,
        "kafka_partition": row["kafka_partition"], "premier_offset": row["kafka_offset"],
        "dernier_offset": row["kafka_offset"], "date_ingestion": job_lake.CLOCK,
    }  # fmt: skip


def erasure_of(row: Row) -> Row:
    return {
        "effacement": ERASURE, "table_effacee": VENTES.name, "topic": job_lake.TOPIC,
        "kafka_partition": row["kafka_partition"], "kafka_offset": row["kafka_offset"],
        "kafka_timestamp": row["kafka_timestamp"], "date_ingestion": job_lake.CLOCK, "empreinte": None,
        "date_effacement": job_lake.CLOCK,
    }  # fmt: skip


def removed_by_retention(base: str, row: Row) -> None:
    job_lake.commit(base, RETRAITS, [removal_of(row, 1)], provenance.commit_metadata("retention"))
    properties = job_lake.marked(provenance.commit_metadata("retention", retrait=REMOVAL, rows=1))
    job_lake.table(base, VENTES).delete(f"vente_id = '{row['vente_id']}'", commit_properties=properties)


def test_only_records_of_the_topic_as_it_counts_now_explain(base: str, rows: Sequence[Row]) -> None:
    """A topic that was created anew counts its offsets from 0 again."""
    loss = {
        "topic": job_lake.TOPIC, "kafka_partition": 3, "premier_offset": 7, "dernier_offset": 8,
        "date_declaration": job_lake.CLOCK, "operateur": "t",
    }  # fmt: skip
    job_lake.commit(base, PERTES, [loss], provenance.commit_metadata("bronze job"))
    job_lake.commit(base, EFFACES, [erasure_of(rows[3])], provenance.commit_metadata("erase"))
    removed_by_retention(base, rows[4])
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": base})
    lake, topic = Lake.of(config), job_lake.TOPIC
    evidence = Evidence(erasures={ERASURE: 1}, losses=frozenset({(topic, 3, 7, 8)}))
    for since, explains in ((job_lake.CLOCK, True), (job_lake.CLOCK + MOMENT, False)):
        declared = explained_offsets.declared(lake, topic, since, evidence)
        erased = explained_offsets.erased(lake, topic, since, evidence)
        removed = explained_offsets.removed(config, lake, since, evidence, {REMOVAL: 1})
        places = [(row["kafka_partition"], row["kafka_offset"]) for row in rows[3:5]]
        expected = [{3: [(7, 9)]}, *({p: [(offset, offset + 1)]} for p, offset in places)] if explains else [{}, {}, {}]
        assert [declared.spans, erased.spans, removed.spans] == expected
        assert [one.untied or one.findings for one in (declared, erased, removed)] == [[], [], []]
        assert explained_offsets.declared(lake, "another", since, evidence).spans == {}


def test_an_erasure_that_runs_is_said_and_is_no_difference(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    """Its audit entry comes with its end; until then its request stands."""
    victim = rows[10]
    requests = erasure.folder(settings.load(env={"VENTES_DELTA__BASE_PATH": base}))
    requests.mkdir(parents=True)
    (requests / f"erase-{ERASURE}.json").write_text("{}")
    job_lake.commit(base, EFFACES, [erasure_of(victim)], provenance.commit_metadata("erase", erasure=ERASURE))
    properties = job_lake.marked(provenance.commit_metadata("erase", erasure=ERASURE))
    job_lake.table(base, VENTES).delete(f"vente_id = '{victim['vente_id']}'", commit_properties=properties)
    record = reconciled(operate)
    assert (record["found"], counted(record, "erased")) == ([], 1)
    assert f"the erasure {ERASURE} has not ended: type the same erase command again" in record["notes"]


def test_a_removal_is_tied_to_its_commit_for_as_long_as_records_are_signed(
    operate: Operate, base: str, rows: Sequence[Row]
) -> None:
    removed_by_retention(base, rows[10])
    for _ in range(2):  # the second run does not read the commit again
        record = reconciled(operate)
        assert not [text for text in record["found"] if text.startswith("retraits")]
        assert counted(record, "removed") == 1


def test_a_removal_whose_commit_has_left_the_log_is_believed(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    removed_by_retention(base, rows[10])
    job_lake.table(base, VENTES).alter.set_table_properties({"delta.appendOnly": "false"})
    job_lake.table(base, VENTES).create_checkpoint()
    for version in (0, 1, 2):
        Path(VENTES.path(base), "_delta_log", f"{version:020}.json").unlink()
    shutil.rmtree(Path(base) / "silver")  # Silver's Bronze version went with them
    record = reconciled(operate)
    assert not [text for text in record["found"] if text.startswith("retraits")]
    assert counted(record, "removed") == 1


def test_a_build_that_was_signed_is_not_made_a_second_time(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    assert reconciled(operate)["found"] == []
    made = lakes.silver(rows)[AGGREGES.name]
    origin = provenance.commit_metadata("silver build")
    job_lake.commit(base, AGGREGES, made, origin, ("ventes_aggreges-g1-build", 0), mode="overwrite")
    (text,) = reconciled(operate)["found"]
    assert "batch 0 of ventes_aggreges-g1-build was committed before it" in text


def test_a_batch_that_was_signed_is_not_written_a_second_time(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    assert reconciled(operate)["found"] == []
    row = {**rows[0], "vente_id": "new", "kafka_partition": 3, "kafka_offset": 7}
    origin = provenance.commit_metadata("bronze batch", batch=1)
    job_lake.commit(base, VENTES, [row], origin, ("ventes_stream-q1", 1))
    assert any("batch 1 of ventes_stream-q1 was committed before it" in text for text in reconciled(operate)["found"])


@pytest.mark.usefixtures("rows")
def test_what_was_signed_without_kafka_is_asked_for_again(operate: Operate) -> None:
    """A person accepted the offsets as unread, and Kafka may tell all the same what lies there."""
    for _ in range(2):
        record = reconciled(operate)
        assert record["found"] == [] and "signed off before" not in record["proofs"]
        unread = record["proofs"]["not proven: Kafka was not asked, or no longer holds them"]
        assert unread == counted(record, "unread") > 0


def test_a_new_checkpoint_begins_later_and_the_signed_range_stays(
    operate: Operate, base: str, rows: Sequence[Row]
) -> None:
    before = reconciled(operate)
    starts = {job_lake.TOPIC: {str(p): 10 for p in range(4)}}
    Path(checkpoint(base, "bronze"), "sources", "0", "0").write_bytes(b"\0v1\n" + json.dumps(starts).encode())
    after = reconciled(operate)
    assert after["found"] == [] and counted(after, "consumed") == counted(before, "consumed") > len(rows)


def test_after_signed_offsets_changed_every_commit_is_counted_again(
    operate: Operate, base: str, rows: Sequence[Row]
) -> None:
    assert reconciled(operate)["found"] == []
    job_lake.table(base, VENTES).delete(f"vente_id = '{rows[10]['vente_id']}'")
    assert any("wrote 150 rows, 149 stand there now" in text for text in reconciled(operate)["found"])


def test_an_offset_of_an_untied_record_is_named_once(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    victim = rows[10]
    job_lake.table(base, VENTES).delete(f"vente_id = '{victim['vente_id']}'")
    job_lake.commit(base, EFFACES, [erasure_of(victim)], provenance.commit_metadata("erase", erasure=ERASURE))
    texts = reconciled(operate)["found"]
    assert any(text.startswith("_effacements: 1 row") for text in texts)
    assert not [text for text in texts if "whether sales lay there cannot be told" in text]


@pytest.mark.usefixtures("rows")
def test_a_reject_of_another_topic_is_not_counted(operate: Operate, base: str) -> None:
    reject = lakes.contents(job_lake.table(base, REJETS)).to_pylist()[0]
    before = reconciled(operate)
    job_lake.commit(base, REJETS, [{**reject, "topic": "another"}], provenance.commit_metadata("bronze batch", batch=1))
    record = reconciled(operate)
    assert counted(record, "rejected") == counted(before, "rejected")
    assert not [text for text in record["found"] if "stands more than once" in text]
