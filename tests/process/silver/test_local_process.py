"""The Silver job on the local engine as a process of its own: no JVM, and nothing of Spark is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lakehouse.config import ENV_PREFIX, PROJECT
from lakehouse.contract.tables import VENTES
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
        f"{ENV_PREFIX}ANALYTICS__ENGINE": "local",
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
