"""A lake that an earlier release has written is opened and gone on with by the present code, exactly.

The lake (``tests/fixtures``) holds tables, both checkpoints with Bronze's state, the audit log and the broker's own
folder, in which messages lie that nobody has read. It was written at one moment and is read at any later one:

- its topic keeps messages for a hundred years, and maintenance, which removes what is old, is off;
- for the first run the watermark's delay is longer by the lake's age, so that its last sales are on time as they were
  when it was written. The second run has the usual delay, and what is old in it is compared with Bronze.

An earlier release has not noted its delay, so that the present code takes nothing up to the last batch's clock for on time:
copies of what was there before are compared with Bronze. That the state itself is gone on with is a test of its own, in which
the delay is on record: the copies meet the state alone, and a run that had lost it would let them in.
"""

from __future__ import annotations

import json
import tarfile
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder
from kafka import KafkaProducer

from lakehouse.bronze.batch_settings import BatchSettings
from lakehouse.kafka.broker.properties import free_port
from lakehouse.lake import checkpoint_files
from lakehouse.lake.checkpoint_files import Planned
from tests.support.children import Child, eventually
from tests.support.harness import config_of
from tests.support.messages import ago, encoded, sale

pytestmark = pytest.mark.timeout(900)

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "lake-077476b.tar.xz"
TOPIC = "ventes_stream"
SALES, REJECTS = "bronze/ventes_stream", "bronze/ventes_rejetees"
SILVER = (
    "ventes_aggreges", "ventes_par_pays", "ventes_par_segment", "ventes_par_produit", "tendances_horaires", "profil_clients",
)  # fmt: skip
AMOUNTS = {"ventes_aggreges": ("nb_achats", "total_depense"), "profil_clients": ("nb_achats", "total_depense")}
"""Where sales and EUR stand in a Silver table; in the others: ``total_transactions`` and ``revenue_total``."""


class OldLake:
    """The archive, unpacked, with a broker of the present code over its topic."""

    def __init__(self, folder: Path) -> None:
        with tarfile.open(ARCHIVE) as packed:
            packed.extractall(folder, filter="data")
        self.folder, self.data = folder, folder / "data"
        self.servers = f"localhost:{free_port()}"
        self._started: list[Child] = []
        lines = map(json.loads, (folder / "truth.jsonl").read_text(encoding="utf-8").splitlines())
        self.sales = {line["vente_id"]: line for line in lines if line["etat"] == "prevu" and line["motif"] is None}
        """Every sale that the topic holds, read by Bronze or not, by vente_id."""
        self.copies = json.loads((folder / "copies.json").read_text(encoding="utf-8"))

    # running

    def start(self, script: str, *options: str, **overrides: str) -> Child:
        wanted = {"DELTA__MAINTENANCE_INTERVAL": "0 ms", "KAFKA__RETENTION": "36500 days", **overrides}
        config = config_of(self.data, self.servers, TOPIC, **wanted)
        log = self.folder / f"{len(self._started)}.log"
        self._started.append(Child(config, log, script, *options))
        return self._started[-1]

    def run(self, script: str, *options: str, **overrides: str) -> str:
        """To the end, which must be exit code 0; what it said."""
        child = self.start(script, *options, **overrides)
        assert child.wait() == 0, child.said()[-3000:]
        return child.said()

    def end(self) -> None:
        for child in self._started:
            child.end()

    def send(self, *values: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=self.servers, acks="all")
        for value in values:
            producer.send(TOPIC, value, b"7", partition=0).get(60)
        producer.close()

    # looking

    def table(self, name: str) -> DeltaTable:
        return DeltaTable(str(self.data / name))

    def rows(self, name: str) -> list[dict[str, Any]]:
        read = QueryBuilder().register("held", self.table(name)).execute("SELECT * FROM held")
        return pa.table(read).to_pylist()  # type: ignore[no-any-return]

    def total(self, name: str, column: str) -> Any:
        return sum(row[column] for row in self.rows(name))

    def identities(self) -> dict[str, str]:
        """What stays for as long as a lake lives: each table's id, and each checkpoint's query id and topic."""
        tables = [SALES, REJECTS, *(f"silver/{name}" for name in SILVER)]
        found = {name: str(self.table(name).metadata().id) for name in tables}
        for folder in sorted((self.data / "checkpoints").iterdir()):
            found[folder.name] = json.loads((folder / "metadata").read_text(encoding="utf-8"))["id"]
        found["topic"] = (self.data / "checkpoints" / "bronze" / "topic_id").read_text(encoding="ascii")
        found["cluster"] = (self.data / "kafka" / "cluster.id").read_text(encoding="ascii")
        return found

    def committed(self, checkpoint: str) -> list[int]:
        (folder,) = (self.data / "checkpoints").glob(checkpoint)
        return sorted(int(path.name) for path in (folder / "commits").iterdir() if path.name.isdigit())

    def clock(self) -> float:
        """When the last batch was planned, in seconds since 1970."""
        return self.last_planned().clock_ms / 1000

    def last_planned(self) -> Planned:
        batch = self.committed("bronze")[-1]
        text = (self.data / "checkpoints" / "bronze" / "offsets" / str(batch)).read_text(encoding="utf-8")
        return checkpoint_files.planned(batch, text)

    def read(self) -> int:
        """Messages that Bronze has read."""
        return sum(self.last_planned().kafka_ends(TOPIC).values())

    def batch(self) -> tuple[int, int]:
        """Of the last commit of the sales: the messages that came through the stream's deduplication, and the rows that were
        written of them."""
        commit = next(one for one in self.table(SALES).history() if one["operation"] == "WRITE")
        return json.loads(commit["userMetadata"])["entered"], int(commit["operationMetrics"]["numOutputRows"])


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[OldLake]:
    made = OldLake(tmp_path)
    yield made
    made.end()


def assert_each_sale_once_as_it_was_sent(lake: OldLake) -> None:
    rows = lake.rows(SALES)
    held = {row["vente_id"]: row for row in rows}
    assert len(rows) == len(held) and held.keys() == lake.sales.keys()
    for vente_id, sent in lake.sales.items():
        got = held[vente_id]
        assert (got["client_id"], got["quantite"], got["montant"]) == (
            sent["client_id"], sent["quantite"], Decimal(sent["montant"]),
        )  # fmt: skip


def start_broker(lake: OldLake) -> Child:
    broker = lake.start("setup_utils.py", "kafka")
    eventually(lambda: "Kafka answers at" in broker.said() or not broker.alive, 120, "the broker over the old folder")
    assert f"the topic {TOPIC} is there" in broker.said()
    return broker


def read_what_nobody_had_read(lake: OldLake) -> None:
    """27 sales, 3 bad messages, 5 copies of sales that Bronze holds; by a delay that is longer by the lake's age."""
    delay = f"{round(time.time() - lake.clock() + 600)} seconds"
    lake.run("spark_streaming_delta.py", "--once", STREAMING__WATERMARK_DELAY=delay)
    assert (lake.read(), lake.committed("bronze")[-1]) == (335, 7)
    assert len(lake.copies["state"]) == 3 and len(lake.copies["door"]) == 2
    assert (len(lake.rows(SALES)), len(lake.rows(REJECTS))) == (245 + 27, 26 + 3)
    assert_each_sale_once_as_it_was_sent(lake)


def test_the_state_of_an_earlier_release_is_gone_on_with(lake: OldLake) -> None:
    noted = BatchSettings.of(config_of(lake.data, lake.servers, TOPIC))
    assert noted.watermark_delay.total_seconds() == 600
    folder = lake.data / "checkpoints" / "bronze" / "settings"
    folder.mkdir()
    (folder / "0").write_text(noted.to_json(), encoding="utf-8")
    start_broker(lake)
    read_what_nobody_had_read(lake)
    assert lake.batch() == (27 + 3 + 2, 27), "the state of the old checkpoint did not know the three copies"


def test_a_lake_of_an_earlier_release_is_gone_on_with_exactly(lake: OldLake) -> None:
    before = lake.identities()
    broker = start_broker(lake)
    assert (lake.read(), lake.committed("bronze"), lake.committed("silver-*")) == (300, [*range(7)], [0])
    assert (len(lake.rows(SALES)), len(lake.rows(REJECTS))) == (245, 26)
    assert lake.total("silver/ventes_par_pays", "total_transactions") == 163

    read_what_nobody_had_read(lake)
    assert lake.batch() == (27 + 3 + 5, 27), "all copies were compared with Bronze"

    # and on from there, as it is every day: a sale and its copy, one that is late, one of the old lake once more
    old = lake.sales[lake.copies["state"][0]]
    again = encoded({name: old[name] for name in sale()})
    fresh, late = sale(), sale(ago(hours=2))
    lake.send(encoded(fresh), encoded(fresh), encoded(late), again, b"{oops")
    lake.sales |= {sold["vente_id"]: sold for sold in (fresh, late)}
    lake.run("spark_streaming_delta.py", "--once")
    assert (lake.read(), lake.committed("bronze")[-1]) == (340, 8)
    assert lake.batch() == (2 + 1 + 1, 2), "the copy of the fresh sale, and that of the old one"
    assert (len(lake.rows(SALES)), len(lake.rows(REJECTS))) == (245 + 27 + 2, 26 + 3 + 1)
    assert_each_sale_once_as_it_was_sent(lake)
    tardy = {row["vente_id"]: row["est_tardif"] for row in lake.rows(SALES)}
    assert (tardy[fresh["vente_id"]], tardy[late["vente_id"]]) == (False, True)

    lake.run("streaming_silver.py")
    assert lake.committed("silver-*") == [0, 1]
    states = sorted((row["date_etat"], row["etat"]) for row in lake.rows("silver/_generations"))
    assert [state for _, state in states] == ["debut", "fin"], "Silver was built anew"
    count, amount = len(lake.sales), sum(Decimal(one["montant"]) for one in lake.sales.values())
    assert lake.total(SALES, "montant") == amount
    for name in SILVER:
        sales, euros = AMOUNTS.get(name, ("total_transactions", "revenue_total"))
        assert (lake.total(f"silver/{name}", sales), lake.total(f"silver/{name}", euros)) == (count, amount), name

    said = lake.run("ops_utils.py", "reconcile")
    assert "Everything that was consumed is accounted for, and Silver equals Bronze." in said
    assert "signed off before: 19" in said, "the record that the old code has signed was not built upon"
    lake.run("ops_utils.py", "audit", "verify")
    assert lake.identities() == before
    broker.process.terminate()
    assert broker.wait(60) == 0
