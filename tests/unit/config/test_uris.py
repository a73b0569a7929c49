"""Local paths and URIs are told apart in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.config import PROJECT, paths


@pytest.mark.parametrize(
    ("path", "uri"),
    [("data", False), ("/srv/lac", False), ("C:/lac", False), ("s3a://lac/ventes", True), ("hdfs://n:8020/lac", True)],
)
def test_a_uri_names_its_file_system(path: str, uri: bool) -> None:
    assert paths.is_uri(path) == uri
    assert paths.is_remote(config.load(env={"VENTES_DELTA__BASE_PATH": path, "VENTES_S3__REGION": "eu-west-3"})) == uri


def compared(path: Path) -> list[int]:
    """The lines that look for ``://`` in a text."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and isinstance(node.left, ast.Constant) and node.left.value == "://"
    ]


def test_no_other_module_compares_by_itself() -> None:
    found = [path for path in (PROJECT / "lakehouse").rglob("*.py") if compared(path)]
    assert [path.name for path in found] == ["paths.py"]
