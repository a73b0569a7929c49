"""The Silver job on the local engine as a process of its own: no JVM, and nothing of Spark is loaded."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from lakehouse.config import ENV_PREFIX, PROJECT
from lakehouse.contract.tables import VENTES
from lakehouse.setup import procfile
from tests.support import job_lake, lakes

CHILD = """
import sys
import streaming_silver
code = streaming_silver.main(sys.argv[1:])
print("loaded:", sorted({name.split(".")[0] for name in sys.modules} & {"pyspark", "py4j", "delta"}))
sys.exit(code)
"""


def test_a_build_and_a_pass_load_nothing_of_spark_and_start_no_process(tmp_path: Path) -> None:
    rows = lakes.sales(40)
    environment = {
        **os.environ,
        f"{ENV_PREFIX}DELTA__BASE_PATH": str(tmp_path / "lake"),
        f"{ENV_PREFIX}MONITORING__SILVER_METRICS_PORT": "0",
        f"{ENV_PREFIX}DEVELOPMENT__JAVA_HOME": str(tmp_path / "no java"),
    }
    for number in range(2):
        job_lake.append(str(tmp_path / "lake"), VENTES, rows[20 * number : 20 * number + 20], job_lake.CLOCK, number)
        done = subprocess.run(
            [sys.executable, "-c", CHILD], cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert "loaded: []" in done.stdout
        assert "engine=local" in done.stdout + done.stderr


def test_the_job_of_make_run_is_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every setting at its default, as the Procfile starts it: no Java, and no other process of its own."""
    base = str(tmp_path / "lake")
    for name, text in {"DELTA__BASE_PATH": base, "MONITORING__SILVER_METRICS_PORT": "0"}.items():
        monkeypatch.setenv(f"{ENV_PREFIX}{name}", text)
    job_lake.append(base, VENTES, lakes.sales(40), job_lake.CLOCK, 0)
    _, *words = procfile.read_procfile(PROJECT / "Procfile")["silver"]
    with subprocess.Popen([sys.executable, *words, "1"], cwd=PROJECT, stderr=subprocess.PIPE, text=True) as job:
        seen = [len(psutil.Process(job.pid).children(recursive=True))]
        assert job.stderr is not None
        passes = 0
        for line in job.stderr:
            seen.append(len(psutil.Process(job.pid).children(recursive=True)))
            if "built" in line:
                job_lake.append(base, VENTES, lakes.sales(80)[40:], job_lake.CLOCK + timedelta(minutes=1), 1)
            if "pass done" in line:
                passes += 1
                job.send_signal(signal.SIGTERM)
        assert job.wait(60) == 0
    assert passes == 1 and set(seen) == {0}
