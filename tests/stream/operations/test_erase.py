"""A person erased while Bronze streams: the job does it, Silver goes on by itself, and Kafka brings nothing back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse import config as settings
from lakehouse.contract.tables import EFFACES, GENERATIONS, OPERATIONS, PROFIL, REJETS
from lakehouse.operations import command
from tests.support.children import eventually
from tests.support.harness import Lake
from tests.support.messages import ago, encoded, operation, sale

pytestmark = pytest.mark.timeout(900)

CLIENT = 4711


def mine(lake: Lake) -> set[str]:
    return {row["vente_id"] for row in lake.rows() if row["client_id"] == CLIENT}


def test_a_person_leaves_while_the_streams_run_and_does_not_come_back(
    lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in settings.as_environment(lake.config).items():
        monkeypatch.setenv(name, text)
    monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", str(lake.base.parent / "store"))

    def run(*words: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = command.main([*words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    old, new = sale(ago(hours=1), client_id=CLIENT), sale(client_id=CLIENT)
    lake.send([encoded(fields) for fields in (old, new, sale(), old)])  # a copy of the first among them
    lake.send([encoded({**sale(client_id=CLIENT), "pays": ""}), b"{oops"])
    others = sale()
    back, void = operation("retour", old["vente_id"]), operation("annulation", others["vente_id"])
    told = operation("correction", others["vente_id"], client_id=CLIENT, client_nom="Zoé Lefèvre")
    lake.send([encoded(fields) for fields in (others, back, void, told, back)])
    lake.bronze(spark)
    lake.silver(spark)
    lake.send([encoded(sale())])
    lake.bronze(spark)
    lake.silver(spark)  # an increment: Silver reads Bronze as a stream from here on
    assert mine(lake) == {old["vente_id"], new["vente_id"]}

    again = sale(client_id=CLIENT)
    with lake.streaming(spark):
        eventually(lambda: (lake.base / "locks" / "bronze.json").exists(), 60)
        code, done = run("erase", "--client-id", str(CLIENT), "--yes")
        rows = {"ventes_stream": 2, "ventes_operations": 2, "ventes_rejetees": 1}
        assert (code, done["rows"], done["silver"]) == (1, rows, "due")
        assert mine(lake) == set()
        before = len(lake.rows())
        lake.send([encoded(fields) for fields in (old, again, sale())])  # a late copy, and a purchase after the erasure
        late = operation("annulation", new["vente_id"])  # about a sale that nobody may know any more
        lake.send([encoded(fields) for fields in (back, told, late)])
        eventually(lambda: len(lake.rows()) >= before + 2, 120, "the sales after the erasure")
        eventually(lake.all_read, 120, "the operations after the erasure")
    assert [row["operation_id"] for row in lake.rows(OPERATIONS)] == [void["operation_id"]]
    assert mine(lake) == {again["vente_id"]}
    assert [row["valeur"] for row in lake.rows(REJETS)] == [b"{oops"]

    lake.silver(spark)  # meets the erasure's commit, and builds anew by itself
    states = [row["etat"] for row in sorted(lake.rows(GENERATIONS), key=lambda row: row["date_etat"])]
    assert states == ["debut", "fin", "debut", "fin"]
    assert lake.verify(spark) == []
    assert [row["nb_achats"] for row in lake.rows(PROFIL) if row["client_id"] == CLIENT] == [1]
    code, record = run("reconcile")
    assert (code, record["found"]) == (0, [])
    assert sum(line["erased"] for line in record["per_partition"]) == len(lake.rows(EFFACES)) == 5
    assert sum(line["duplicates"] for line in record["per_partition"]) == 2 + 4
    assert record["proofs"]["read again in Kafka: an operation on a sale that was erased"] == 1

    # a new checkpoint reads the whole topic again, with the person's messages in it
    lake.checkpoint().rename(lake.base / "checkpoints" / "aside")
    lake.bronze(spark)
    assert mine(lake) == {again["vente_id"]}
    assert [row["valeur"] for row in lake.rows(REJETS)] == [b"{oops"]
    assert [row["operation_id"] for row in lake.rows(OPERATIONS)] == [void["operation_id"]]
    code, record = run("reconcile")
    assert (code, record["found"]) == (0, [])
