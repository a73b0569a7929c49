"""Old and new senders at once, over a real broker, while Bronze is switched to keep what the contract does not know."""

from __future__ import annotations

import json
import threading

import pytest
from pyspark.sql import SparkSession

from lakehouse.contract.tables import CHAMPS_INCONNUS, PAR_PAYS, REJETS, SILVER
from lakehouse.operations.reconcile import sent_vs_stored
from tests.support.harness import Lake
from tests.support.messages import encoded, sale

pytestmark = pytest.mark.timeout(900)


def test_a_rolling_upgrade_loses_nothing_and_silver_goes_on(lake: Lake, spark: SparkSession) -> None:
    first = [sale(pays="Japon"), {**sale(), "remise": 1}]
    lake.sales(*first)
    lake.bronze(spark)
    lake.silver(spark)

    upgraded = lake.with_settings(STREAMING__CHAMPS_INCONNUS="garder")
    old = [sale(pays="Japon") for _ in range(20)]
    new = [{**sale(), "remise": {"taux": number}, "canal": "web"} for number in range(20)]
    senders = [threading.Thread(target=lake.sales, args=sales) for sales in (old, new)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    lake.send([encoded({**old[0], "canal": "web"}), encoded({**sale(), "quantite": 2**31, "canal": "web"})])
    upgraded.bronze(spark)
    upgraded.silver(spark)

    rows = {row["vente_id"]: row[CHAMPS_INCONNUS] for row in lake.rows()}
    kept = {one["vente_id"]: f'{{"canal": "web", "remise": {json.dumps(one["remise"])}}}' for one in new}
    assert rows == {one["vente_id"]: kept.get(one["vente_id"]) for one in (*first, *old, *new)}
    assert [row["motif"] for row in lake.rows(REJETS)] == ["valeur_invalide:quantite"], "too wide, and kept whole"
    assert upgraded.verify(spark) == []
    assert sent_vs_stored.compare_countries(sent_vs_stored.by_country(lake.sent()), lake.rows(PAR_PAYS)) == []
    assert [spec.name for spec in SILVER if CHAMPS_INCONNUS in lake.rows(spec)[0]] == []
