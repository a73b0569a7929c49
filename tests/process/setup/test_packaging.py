"""What ``make package`` builds for a cluster."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import setup_utils
from lakehouse.config import PROJECT
from lakehouse.errors import SetupError
from lakehouse.setup import checks, packaging


def sources() -> set[str]:
    files = (path for path in (PROJECT / "lakehouse").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(PROJECT)) for path in files}


def test_the_wheel_holds_every_file_of_the_package_and_names_no_dependency(tmp_path: Path) -> None:
    made = packaging.wheel(tmp_path)
    assert (
        made.parent == tmp_path
        and made.name.startswith("ventes_lakehouse-")
        and made.name.endswith("-py3-none-any.whl")
    )
    with zipfile.ZipFile(made) as wheel:
        names = set(wheel.namelist())
        (metadata,) = [wheel.read(name).decode() for name in names if name.endswith("METADATA")]
    assert {name for name in names if ".dist-info/" not in name} == sources()
    assert "Requires-Dist" not in metadata
    assert "License-Expression: Apache-2.0" in metadata and any(name.endswith("licenses/LICENSE") for name in names)
    assert not (PROJECT / "build").exists()


def test_a_drivers_archive_is_a_project_folder_that_runs_wherever_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = {place for place, _ in packaging.driver_files()}
    assert sources() | {"config.ini", "jars.lock", "deltalake/__init__.py", "pyarrow/__init__.py"} <= places
    assert not any(place.startswith(("pyspark/", "py4j/", "..")) or "__pycache__" in place for place in places)

    monkeypatch.setattr(checks, "pins", lambda _: [])  # the packages alone take seconds to pack
    made = packaging.drivers(tmp_path)
    with tarfile.open(made) as archive:
        archive.extractall(tmp_path / "packages", filter="data")
    asked = "from lakehouse import config; from lakehouse.jvm import jars; print(config.load(env={}).source, len(jars.read_lock()['spark']) > 0)"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "packages")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "packages" / "config.ini"), "True"]


def test_the_same_files_make_the_same_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaging, "EXECUTORS", ("filelock",))
    first = packaging.executors(tmp_path).read_bytes()
    for path in tmp_path.iterdir():
        path.unlink()
    assert packaging.executors(tmp_path).read_bytes() == first
    with tarfile.open(next(tmp_path.iterdir())) as archive:
        assert "filelock/__init__.py" in archive.getnames()
    assert [path.suffix for path in tmp_path.iterdir()] == [".gz"]


def test_executors_get_all_that_the_judge_imports() -> None:
    """The validator is pickled by value with ``sale``: what both import at their top must be there, or be Python's own."""
    import ast

    text = (PROJECT / "lakehouse" / "contract" / "sale.py").read_text(encoding="utf-8")
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    }  # fmt: skip
    assert imported <= {*sys.stdlib_module_names, *packaging.EXECUTORS}


def test_an_installation_that_is_not_the_pinned_one_is_not_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = checks.missing("Packages", "pyarrow is 1.0, not 26.0.1", "python -m pip install -r requirements.txt")
    monkeypatch.setattr(checks, "packages", lambda _: wrong)
    with pytest.raises(SetupError, match=r"What is installed is not what is pinned: pyarrow is 1.0, not 26.0.1"):
        packaging.build(tmp_path)
    assert setup_utils.main(["package"]) == 1
    assert "pyarrow is 1.0" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
