"""The same scripts on a Spark cluster: a master and two workers, of which one dies in the middle of a batch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import kubernetes_validate
import pytest

from lakehouse import config as settings
from lakehouse.config import PROJECT
from lakehouse.contract.tables import PAR_PAYS
from lakehouse.jvm import jars, java
from lakehouse.kafka.broker.properties import free_port
from lakehouse.lake import spark_session
from lakehouse.operations import command as operations_command
from lakehouse.operations.reconcile import sent_vs_stored
from lakehouse.setup import packaging
from tests.support.children import eventually
from tests.support.clusters import BIN, Cluster, died_with, executors, kill_one_at_work
from tests.support.harness import SHORT_LIVED, Lake

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def clustered(
    make_lake: Callable[..., Lake], servers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Lake, Path]:
    """A lake whose jobs run on a cluster, with executors that have a bare Python and the packed packages."""
    bare = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
    monkeypatch.setenv("PYSPARK_PYTHON", str(bare))
    lake = make_lake(
        servers, STREAMING__MAX_OFFSETS_PER_TRIGGER="400", SPARK__UI="true", SPARK__UI_PORT=str(free_port())
    )
    return lake, packaging.executors(tmp_path)


def on(cluster: Cluster, lake: Lake, archive: Path) -> Lake:
    conf = (
        "spark.driver.host=127.0.0.1", "spark.driver.bindAddress=127.0.0.1", "spark.executor.memory=1g",
        f"spark.executor.extraJavaOptions={SHORT_LIVED}", "spark.ui.liveUpdate.period=0",
        f"spark.archives={archive}#packages", "spark.executorEnv.PYTHONPATH=packages",
    )  # fmt: skip
    return lake.with_settings(SPARK__MASTER=cluster.master, SPARK__CONF="\n".join(conf))


def submit(lake: Lake, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: text for name, text in os.environ.items() if not name.startswith(settings.ENV_PREFIX)}
    env = {**clean, **settings.as_environment(lake.config), "PYSPARK_DRIVER_PYTHON": sys.executable}
    listed = ",".join(map(str, jars.resolve(lake.config, "spark")))
    command = [str(BIN / "spark-submit"), "--master", lake.config.spark.master, "--jars", listed, *words]
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, text=True, timeout=900, check=False)


class ApiServer(BaseHTTPRequestHandler):
    """As much of Kubernetes' API server as ``spark-submit`` talks to: it keeps what it is sent and says that it was made."""

    sent: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        made = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.sent.append(json.loads(json.dumps(made)))
        made["metadata"]["uid"] = str(uuid.uuid4())
        body = json.dumps(made).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PATCH = do_POST

    def log_message(self, *_: object) -> None: ...


def test_cluster_mode_on_kubernetes_asks_for_a_pod_that_the_image_can_start(tmp_path: Path) -> None:
    """No cluster is at hand: ``spark-submit`` and what it asks for are real, the API server is a notebook."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    alone = {
        "HOME": str(tmp_path),
        "KUBECONFIG": os.devnull,
        "SPARK_HOME": str(BIN.parent),
    }  # no cluster of this machine's
    conf = {
        "namespace": "ventes", "container.image": "registry.example/ventes-lakehouse:0.2.0",
        "authenticate.driver.serviceAccountName": "ventes-driver", "submission.waitAppCompletion": "false",
        "driverEnv.VENTES_DELTA__BASE_PATH": "s3a://bucket/lake",
    }  # fmt: skip
    try:
        done = subprocess.run(
            [str(BIN / "spark-submit"), "--master", f"k8s://http://127.0.0.1:{server.server_port}", "--deploy-mode", "cluster",
             *(word for name, text in conf.items() for word in ("--conf", f"spark.kubernetes.{name}={text}")),
             "local:///opt/ventes/spark_streaming_delta.py", "--once"],
            env={**java.environment(settings.load(env={})), **alone}, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr[-3000:]
    for one in ApiServer.sent:
        kubernetes_validate.validate(one, "1.34", strict=True)
    (pod,) = [one for one in ApiServer.sent if one["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    assert container["args"][0] == "driver", "the image's entry point knows no other word"
    assert container["args"][-2:] == ["local:///opt/ventes/spark_streaming_delta.py", "--once"]
    assert {"name": "VENTES_DELTA__BASE_PATH", "value": "s3a://bucket/lake"} in container["env"]
    assert pod["spec"]["serviceAccountName"] == "ventes-driver"


def test_a_worker_dies_in_the_middle_of_a_batch_and_the_books_balance(
    clustered: tuple[Lake, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, archive = clustered
    plain.produce(2400, 31)
    with Cluster(plain.config, tmp_path / "cluster") as cluster:
        lake = on(cluster, plain, archive)
        ui = lake.config.spark.ui_port
        bronze = lake.start("spark_streaming_delta.py", "--once")

        def work() -> int:
            """The number of executors; 0 before a batch was committed, and between two batches."""
            assert bronze.alive, bronze.said()[-3000:]
            return len(executors(ui)) if lake.committed() and lake.in_a_batch() else 0

        eventually(lambda: work() == 2, 240, "a batch on two executors")
        killed = eventually(lambda: work() and kill_one_at_work(cluster, ui), 120, "a task to be met")
        batch = lake.planned()[-1]
        assert batch not in lake.committed(), "the batch had ended: the kill came too late"
        eventually(lambda: not executors(ui)[killed]["isActive"], 60, "the driver's notice of the death")
        eventually(lambda: died_with(ui, killed), 60, "the driver's notice of a task that died with it")
        assert bronze.wait() == 0, bronze.said()[-3000:]
        assert f"Lost executor {killed} " in spark_session.log_file(lake.config, "bronze").read_text(encoding="utf-8")
        assert batch in lake.committed()
        assert lake.differences() == []

        # the other worker goes on alone; this time under spark-submit, in client mode
        eventually(lambda: cluster.alive_workers() == 1, 120, "the master's notice of the death")
        done = submit(lake, "streaming_silver.py")
        assert done.returncode == 0, done.stderr[-3000:]
        refused = submit(lake, "--deploy-mode", "cluster", "streaming_silver.py")
        assert "Cluster deploy mode is currently not supported for python applications on standalone" in refused.stderr

    assert sent_vs_stored.compare_countries(sent_vs_stored.by_country(plain.sent()), plain.rows(PAR_PAYS)) == []
    for name, text in settings.as_environment(plain.config).items():
        monkeypatch.setenv(name, text)
    assert operations_command.main(["reconcile"]) == 0
