"""docs/UPGRADING.md names every private name and internal class that the code uses, and no other module uses one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import kafka
import pytest

from lakehouse.kafka import connection

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "UPGRADING.md").read_text(encoding="utf-8")
JAVA = sorted((ROOT / "lakehouse" / "jvm" / "java_src").glob("*.java"))
INTERNALS = ROOT / "lakehouse" / "jvm" / "spark_internals.py"
PYSPARK = {"_jvm", "_jsparkSession", "_jdf", "_jsc", "_gateway", "_jc"}
KAFKA = {"_sock_recv", "_manager", "_transaction_manager", "_fetcher"}


def private_names(path: Path, names: set[str]) -> set[str]:
    """Those of ``names`` that a module reads of anything but ``self``."""
    return {
        node.attr
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr in names
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    }


def test_one_module_reads_private_names_of_pyspark() -> None:
    found = {path for path in (ROOT / "lakehouse").rglob("*.py") if private_names(path, PYSPARK)}
    assert found == {INTERNALS}


def test_the_page_names_each_private_name() -> None:
    used = {name for path in (ROOT / "lakehouse").rglob("*.py") for name in private_names(path, PYSPARK | KAFKA)}
    assert used > KAFKA
    assert not {name for name in used if f"{name}`" not in PAGE}
    functions = [node.name for node in ast.parse(INTERNALS.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert not {name for name in functions if f"| `{name}` |" not in PAGE}


@pytest.mark.parametrize("path", JAVA, ids=lambda path: path.stem)
def test_the_page_names_each_class_that_our_java_imports(path: Path) -> None:
    assert f"`{path.stem}`" in PAGE
    imported = re.findall(r"^import (?:org\.apache|io\.delta)\.[\w.]*?(\w+);", path.read_text(), re.MULTILINE)
    assert not {name for name in imported if f"`{name}`" not in PAGE}


def test_every_test_that_the_page_names_exists() -> None:
    assert not {name for name in re.findall(r"`(tests/[\w/]+\.py)`", PAGE) if not (ROOT / name).exists()}


def test_kafka_python_is_patched_in_the_pinned_version_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"kafka-python=={connection.PATCHED_VERSION}" in (ROOT / "requirements.txt").read_text(encoding="utf-8")

    class Transport:
        def _sock_recv(self) -> tuple[bytes, Exception | None]:
            return b"", None

    monkeypatch.setattr(connection, "KafkaTCPTransport", Transport)
    monkeypatch.setattr(connection, "KafkaSSLTransport", Transport)
    monkeypatch.setattr(kafka, "__version__", "9.9.9")
    connection.keep_final_responses()
    assert not hasattr(Transport._sock_recv, "__wrapped__")
    monkeypatch.setattr(kafka, "__version__", connection.PATCHED_VERSION)
    connection.keep_final_responses()
    assert hasattr(Transport._sock_recv, "__wrapped__")
