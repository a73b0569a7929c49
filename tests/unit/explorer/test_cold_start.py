"""What a cold start of the explorer loads: each of these packages takes 15 to 100 ms of CPU, as long as all of the rest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lakehouse.config import PROJECT

HEAVY = ("sqlglot", "psutil", "rich", "structlog", "pyspark", "py4j", "pandas", "numpy", "pyarrow", "kafka", "jinja2")


@pytest.mark.parametrize("module", ["lakehouse.explorer.command", "lakehouse.explorer.sql_sandbox"])
def test_nothing_heavy_is_loaded_before_it_is_used(module: str) -> None:
    """``sql_sandbox`` is the process that runs a person's statement; its parent has read that statement with sqlglot."""
    program = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
