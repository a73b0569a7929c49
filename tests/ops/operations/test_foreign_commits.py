"""``reconcile`` names every commit that changed rows and is none of the jobs' or the verbs' own, whatever it says of itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import CommitProperties

from lakehouse import config as settings
from lakehouse.contract import tables
from lakehouse.contract.tables import AGGREGES, GENERATIONS, PAR_PAYS, REJETS, VENTES, TableSpec
from lakehouse.lake import commits, delta_tables
from lakehouse.lake.reader import Lake
from lakehouse.observability import provenance
from lakehouse.operations.reconcile import audit_evidence, foreign_commits
from tests.support import job_lake, lakes
from tests.support.lakes import Row

Operate = Callable[..., tuple[int, str]]


@pytest.fixture
def rows(base: str) -> list[Row]:
    return job_lake.build(base)


def found(operate: Operate) -> list[str]:
    code, out = operate("reconcile", "--without-kafka", "--json")
    texts: list[str] = json.loads(out)["found"]
    assert code == (1 if texts else 0)
    return texts


def claiming(what: str, transaction: tuple[str, int] | None = None, **facts: object) -> CommitProperties:
    """What a commit of ours says, in the commit of somebody else."""
    return job_lake.marked(provenance.commit_metadata(what, **facts), transaction)


@pytest.mark.parametrize(
    "change",
    [{"montant": "montant + 1000.00"}, {"quantite": "quantite + 1"}, {"client_id": "client_id + 1"}, {"client_nom": "'x'"},
     {"jour": "DATE '2020-01-01'"}],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_an_update_in_bronze_is_one_difference_that_says_what_to_do(
    operate: Operate, base: str, rows: Sequence[Row], change: Mapping[str, str]
) -> None:
    assert found(operate) == []
    job_lake.table(base, VENTES).update(updates=dict(change), predicate=f"vente_id = '{rows[7]['vente_id']}'")
    (text,) = found(operate)
    assert text.startswith("ventes_stream version 2 (") and " UTC, UPDATE by delta-rs" in text
    assert "changed rows and is no commit of the jobs or the verbs: it does not say who wrote it." in text
    assert "python ops_utils.py restore-table ventes_stream --version 1" in text
    assert found(operate) == [text], "a difference is never signed off"
    assert "accounted for, and Silver equals Bronze" not in operate("reconcile", "--without-kafka")[1]


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        (claiming("bronze batch", batch=2), "which never does UPDATE"),
        (claiming("silver batch", batch=2), "it says that it is 'silver batch', which writes nothing there"),
        (claiming("bronze job"), "writes nothing there"),
    ],
    ids=["batch", "of-silver", "job"],
)
def test_an_update_that_says_it_is_ours(
    operate: Operate, base: str, rows: Sequence[Row], properties: CommitProperties, why: str
) -> None:
    job_lake.table(base, VENTES).update(
        updates={"montant": "montant + 1"},
        predicate=f"vente_id = '{rows[7]['vente_id']}'",
        commit_properties=properties,
    )
    (text,) = found(operate)
    assert why in text


@pytest.mark.parametrize(
    ("transaction", "batch", "why"),
    [
        (None, 2, "carries no application id"),
        (("ventes_stream-q1", 1), 1, "batch 1 of ventes_stream-q1 was committed before it"),
        (("ventes_stream-q1", 0), 0, "batch 1 of ventes_stream-q1 was committed before it"),
        (("ventes_stream-q1", 3), 2, "its application id is ventes_stream-q1 3"),
        (("ventes_rejetees-q1", 2), 2, "its application id is ventes_rejetees-q1 2"),
        (("ventes_stream-q1", 2), 2, "the checkpoint has planned none after batch 1"),
        (("ventes_stream-q2", 0), 0, "of another checkpoint, after a batch of the present one"),
    ],
)
def test_an_append_that_says_it_is_a_batch(
    operate: Operate,
    base: str,
    rows: Sequence[Row],
    transaction: tuple[str, int] | None,
    batch: int,
    why: str,
) -> None:
    """The row takes an offset at which a copy was left out: no count of rows shows it."""
    clock = job_lake.CLOCK + timedelta(hours=1)
    row = {**rows[0], "vente_id": "new", "kafka_partition": 3, "kafka_offset": 7, "date_ingestion": clock}
    origin = provenance.commit_metadata("bronze batch", batch=batch, clock_ms=int(clock.timestamp() * 1000))
    job_lake.commit(base, VENTES, [row], origin, transaction)
    (text,) = found(operate)
    assert text.startswith("ventes_stream version 2 (") and why in text


def test_a_batch_is_compared_with_its_plan(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    clock = job_lake.CLOCK + timedelta(minutes=2)
    ends = dict.fromkeys(range(4), 200)
    job_lake.bronze_checkpoint(base, ends, 2, clock)
    job_lake.accept_unread(base, dict.fromkeys(range(4), 1000))
    origin = {"batch": 2, "clock_ms": int(clock.timestamp() * 1000)}
    row = {**rows[0], "vente_id": "new", "kafka_partition": 3, "kafka_offset": 190, "date_ingestion": clock}
    for facts in (
        {**origin, "clock_ms": origin["clock_ms"] + 1},
        {**origin, "to": {job_lake.TOPIC: {str(p): 199 for p in ends}}},
    ):
        metadata = provenance.commit_metadata("bronze batch", **facts)
        job_lake.commit(base, VENTES, [row], metadata, ("ventes_stream-q1", 2))
        text = found(operate)[0]
        assert "its clock or its offsets are not those that the checkpoint planned" in text
        delta_tables.opened(VENTES, settings.load(env={"VENTES_DELTA__BASE_PATH": base})).restore(1)
        table = Path(VENTES.path(base), "_delta_log")
        for version in (2, 3):
            (table / f"{version:020}.json").unlink()
    right = provenance.commit_metadata(
        "bronze batch", **origin, to={job_lake.TOPIC: {str(p): end for p, end in ends.items()}}
    )
    job_lake.commit(base, VENTES, [row], right, ("ventes_stream-q1", 2))
    assert found(operate) == []


def test_a_batch_that_was_ingested_in_parts_is_the_present_checkpoints(
    operate: Operate, base: str, rows: Sequence[Row]
) -> None:
    row = {**rows[0], "vente_id": "new", "kafka_partition": 3, "kafka_offset": 7, "date_ingestion": job_lake.CLOCK}
    for number, owner, differences in ((9, "q1-parts-20261127T", 0), (9, "q2-parts-20261127T", 1)):
        row = {**row, "kafka_offset": 7 + 13 * differences, "vente_id": f"new-{owner}"}
        row["date_ingestion"] += timedelta(seconds=7)
        origin = provenance.commit_metadata("bronze batch", batch=number)
        job_lake.commit(base, VENTES, [row], origin, (f"ventes_stream-{owner}", number))
        assert len(found(operate)) == differences


@pytest.mark.parametrize(
    ("what", "facts", "why"),
    [
        ("retention", {"retrait": "0123456789ab"}, "retraits has no removal 0123456789ab"),
        ("erase", {"erasure": "20261127T000000Z-abcdef"}, "the audit log has no erasure 20261127T000000Z-abcdef"),
    ],
)
def test_a_deletion_that_says_it_was_asked_for(
    operate: Operate, base: str, rows: Sequence[Row], what: str, facts: dict[str, Any], why: str
) -> None:
    job_lake.table(base, VENTES).delete(
        f"vente_id = '{rows[7]['vente_id']}'", commit_properties=claiming(what, **facts)
    )
    assert any(why in text for text in found(operate))


@pytest.mark.parametrize("what", ["rejects replay", "restore-table"])
def test_a_verb_that_the_audit_log_does_not_know(operate: Operate, base: str, rows: Sequence[Row], what: str) -> None:
    table = job_lake.table(base, VENTES)
    if what == "restore-table":
        table.restore(0, commit_properties=claiming(what, version=0))
    else:
        row = {**rows[0], "vente_id": "new", "kafka_partition": 3, "kafka_offset": 7}
        job_lake.commit(base, VENTES, [row], provenance.commit_metadata(what))
    assert any(f"the audit log has no run {provenance.RUN_ID} of {what}" in text for text in found(operate))


@pytest.mark.usefixtures("rows")
def test_a_reject_that_was_changed(operate: Operate, base: str) -> None:
    job_lake.table(base, REJETS).update(updates={"valeur": "X'00'"}, predicate="kafka_partition = 1")
    (text,) = found(operate)
    assert text.startswith("ventes_rejetees version 1 (")


def test_a_change_in_silver_goes_with_the_next_build(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    job_lake.table(base, PAR_PAYS).update(updates={"transaction_moyenne": "transaction_moyenne + 1"})
    (text,) = found(operate)
    assert text.startswith("ventes_par_pays version 1 (") and "To undo it: python streaming_silver.py --full" in text
    job_lake.silver_built(base, rows, "g2")
    job_lake.silver_settled(base, 1, "g2", timedelta(hours=1))
    assert found(operate) == []


@pytest.mark.parametrize(
    ("transaction", "what", "facts", "why"),
    [
        (("ventes_aggreges-g1-build", 0), "silver build", {}, "was committed before it"),
        (("ventes_aggreges-g7-build", 0), "silver build", {}, "of g7, which _generations does not know"),
        (("ventes_aggreges-g1", 0), "silver build", {}, "its application id is ventes_aggreges-g1"),
        (("ventes_aggreges-g1", 0), "silver batch", {"batch": 0}, "which never does WRITE"),
    ],
)
def test_a_write_into_silver_that_says_it_is_ours(
    operate: Operate, base: str, rows: Sequence[Row], transaction: tuple[str, int], what: str, facts: Any, why: str
) -> None:
    made = lakes.silver(rows)[AGGREGES.name]
    job_lake.commit(base, AGGREGES, made, provenance.commit_metadata(what, **facts), transaction, mode="overwrite")
    (text,) = found(operate)
    assert text.startswith("ventes_aggreges version 1 (") and why in text


def test_restore_table_takes_a_foreign_commit_back(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    job_lake.table(base, VENTES).update(updates={"montant": "montant + 1"})
    assert len(found(operate)) == 1
    checkpoint = Path(tables.checkpoint(base, "bronze"))
    assert operate("restore-table", "ventes_stream", "--version", "1", "--yes")[0] == 0
    (aside,) = checkpoint.parent.glob("bronze.before-restore-*")
    aside.rename(checkpoint)
    assert found(operate) == []
    job_lake.table(base, VENTES).delete(f"vente_id = '{rows[200]['vente_id']}'")
    assert any("the commit of version 1 " in text and "wrote 150 rows, 149" in text for text in found(operate))


def test_a_person_may_accept_a_commit_and_no_other(operate: Operate, base: str, rows: Sequence[Row]) -> None:
    first, second = rows[7]["vente_id"], rows[8]["vente_id"]
    job_lake.table(base, VENTES).update(updates={"client_nom": "'mended'"}, predicate=f"vente_id = '{first}'")
    code, said = operate("audit", "accept", "--without-kafka", "--dry-run")
    assert code == 0 and "- ventes_stream version 2 (" in said and "Nothing was changed." in said
    assert operate("audit", "accept", "--without-kafka")[0] == 2 and len(found(operate)) == 1, "it has to be confirmed"
    assert operate("audit", "accept", "--without-kafka", "--yes")[0] == 0
    assert found(operate) == []
    assert operate("audit", "verify")[0] == 0
    job_lake.table(base, VENTES).update(updates={"client_nom": "'mended'"}, predicate=f"vente_id = '{second}'")
    (text,) = found(operate)
    assert text.startswith("ventes_stream version 3 (")


@pytest.mark.usefixtures("rows")
def test_what_was_signed_is_not_looked_at_again_and_what_left_the_log_unseen_is_said(
    operate: Operate, base: str
) -> None:
    assert found(operate) == []
    job_lake.table(base, VENTES).create_checkpoint()
    log = Path(VENTES.path(base), "_delta_log")
    (log / f"{0:020}.json").unlink()
    notes = json.loads(operate("reconcile", "--without-kafka", "--json")[1])["notes"]
    assert not any("had left the log" in note for note in notes)
    for _ in range(2):
        job_lake.table(base, VENTES).alter.set_table_properties({"delta.appendOnly": "false"})
    job_lake.table(base, VENTES).create_checkpoint()
    for version in (1, 2):
        (log / f"{version:020}.json").unlink()
    notes = json.loads(operate("reconcile", "--without-kafka", "--json")[1])["notes"]
    assert [note for note in notes if "had left the log" in note] == [
        "ventes_stream: versions 2 to 2 had left the log ([DELTA] log_retention) before a reconciliation checked them"
    ]


@pytest.mark.usefixtures("rows")
def test_a_changed_audit_log_is_a_difference(operate: Operate, base: str) -> None:
    assert found(operate) == []
    log = Path(base, "audit", "log.jsonl")
    log.write_text(log.read_text().replace('"exit_code": 0', '"exit_code": 9', 1))
    assert any(text.startswith("the audit log is not as it was written: line 1 ") for text in found(operate))


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("spec", [VENTES, PAR_PAYS, GENERATIONS], ids=lambda spec: spec.name)
def test_a_commit_that_says_no_row_changed_is_believed_of_a_compaction_alone(base: str, spec: TableSpec) -> None:
    (first, *_) = commits.read(settings.load(env={"VENTES_DELTA__BASE_PATH": base}), spec, after=-1, upto=0)
    assert first.changes_rows and first.adds and not first.removes
    rewritten = commits.Commit(3, {"operation": "UPDATE"}, rewrites=True)
    compacted = commits.Commit(3, {"operation": "OPTIMIZE"}, rewrites=True)
    assert (rewritten.changes_rows, compacted.changes_rows) == (True, False)
    assert not commits.Commit(3, {"operation": "SET TBLPROPERTIES"}).changes_rows


def test_a_table_that_was_made_anew_is_looked_at_from_its_start(base: str, rows: Sequence[Row]) -> None:
    config = settings.load(env={"VENTES_DELTA__BASE_PATH": base})
    lake, evidence = Lake.of(config), audit_evidence.read(config)
    looked = foreign_commits.look(config, lake, [VENTES], evidence, {VENTES.name: {"version": 99}})
    assert (looked.commits, looked.findings, looked.at[VENTES.name]["version"]) == (2, [], 1)
    again = foreign_commits.look(config, lake, [VENTES], evidence, looked.at)
    assert (again.commits, again.at) == (0, looked.at) and rows


@pytest.mark.usefixtures("rows")
def test_batches_of_a_checkpoint_that_was_moved_aside_are_ours(operate: Operate, base: str) -> None:
    Path(tables.checkpoint(base, "bronze"), "metadata").write_text('{"id":"q9"}')
    assert found(operate) == []
