"""``make demo``: the whole pipeline as a person runs it, checked against the producer's truth; and stopped half-way."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from deltalake import DeltaTable

from lakehouse import config as settings
from lakehouse.contract.tables import PAR_PAYS, VENTES
from lakehouse.errors import ConfigError
from lakehouse.kafka.broker.node import running_pid
from lakehouse.kafka.broker.properties import free_port
from lakehouse.observability import audit_log
from lakehouse.operations.reconcile import producer_truth, sent_vs_stored
from lakehouse.producer import history
from lakehouse.setup import demo
from tests.support.children import Child, eventually
from tests.support.harness import Lake

pytestmark = pytest.mark.timeout(900)

DEMO = "-m lakehouse.setup.demo"


@pytest.fixture
def lake(make_lake: Callable[..., Lake]) -> Lake:
    """A folder; its settings name a broker that does not exist, since the demo starts its own."""
    return make_lake(f"localhost:{free_port()}", SPARK__CONF="")  # generated code, as users have it


def folder_of(child: Child) -> Path:
    said = eventually(lambda: re.search(r"The demo's data: (.+)\n", child.said()) or not child.alive)
    assert said is not True, child.said()
    return Path(said[1])


def test_the_demo_ends_with_everything_equal(lake: Lake) -> None:
    run = lake.start(DEMO)
    assert run.wait(800) == 0, run.said()
    folder, said = folder_of(run), run.said()
    assert folder.parent == lake.base / "demo"
    past = history.how_many(settings.load(env={}).producer.history, float("inf"))
    assert f"All is equal: {past + 500:,} messages sent and acknowledged" in said

    sent = producer_truth.read([folder / "truth.jsonl"])
    assert len(sent) == past + sum(demo.ROUNDS)
    assert {message.kind for message in sent} == {"vente", "doublon", "tardive", "malformee", "historique"}
    (announced,) = audit_log.backfills(settings.load(env={"VENTES_DELTA__BASE_PATH": str(folder)}))
    assert announced.messages == past == sum(message.kind == "historique" for message in sent)
    assert producer_truth.check(sent, str(folder)) == []
    assert (
        sent_vs_stored.compare_countries(sent_vs_stored.by_country(sent), producer_truth.held(PAR_PAYS, str(folder)))
        == []
    )

    # and the check is one: it sees one sale that is gone, and a cent
    table = DeltaTable(VENTES.path(str(folder)))
    ids = sorted(row["vente_id"] for row in producer_truth.held(VENTES, str(folder)))
    table.delete(f"vente_id = '{ids[0]}'")
    table.update(updates={"montant": "montant + 0.01"}, predicate=f"vente_id = '{ids[1]}'")
    assert sorted((d.what, d.key, d.column) for d in producer_truth.check(sent, str(folder))) == [
        ("differing cell", ids[1], "montant"), ("missing sale", ids[0], ""),
    ]  # fmt: skip


def test_a_demo_that_is_interrupted_leaves_nothing_running(lake: Lake) -> None:
    run = lake.start(DEMO)
    folder = folder_of(run)

    def in_the_bronze_step() -> list[psutil.Process]:
        """All that the demo has started, once the Bronze job is among them."""
        found = psutil.Process(run.process.pid).children(recursive=True)
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spark_streaming_delta.py" in " ".join(child.cmdline()) for child in found):
                return found
        return []

    started = eventually(in_the_bronze_step, what="the Bronze step")
    os.kill(run.process.pid, signal.SIGINT)
    assert run.wait() == 130, run.said()
    psutil.wait_procs(started, timeout=60)
    assert not [child for child in started if child.is_running()]
    assert running_pid(demo.settings_of(lake.config, folder, 1)) is None
    assert (folder / "truth.jsonl").stat().st_size > 0  # what there was is kept


def test_each_demo_has_a_folder_of_its_own_on_a_local_disk(tmp_path: Path) -> None:
    first, second = demo.new_folder(str(tmp_path)), demo.new_folder(str(tmp_path))
    assert first != second and first.parent == second.parent == tmp_path / "demo"
    with pytest.raises(ConfigError, match=r"base_path = s3a://bucket/lake is a URI"):
        demo.new_folder("s3a://bucket/lake")
