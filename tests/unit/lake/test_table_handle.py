"""A path of a Delta table is that very folder for ``deltalake``, or it is refused; nothing else opens one by a path."""

from __future__ import annotations

import ast
import contextlib
import re
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

import query_utils
from lakehouse import config
from lakehouse.config import paths
from lakehouse.contract.tables import PAR_PAYS
from lakehouse.errors import ConfigError
from lakehouse.lake import table_handle
from tests.support import lakes
from tests.unit.test_layers import MODULES, ROOT, tree_of

TAKEN = [
    "sp ace", " x", "x ", "h#sh", "q?m", "é", "e\u0301", "quo'te", 'dq"x', "100%", "%", "a%zz", "x:y", "{x}", "*x", "~x", "a&b",
    "$x", "`x", "<x>", ";x", "a+b", "\u202e", "\u200b", "😀", "\x85", "file:", "s3:", "x=y", "..x",
]  # fmt: skip
REFUSED = [
    "lake%41", "%20", "%25", "a%2Fb", "..%2f", "a\\b", "\\", "[x]", "a]", "|x", "^x", "a\tb", "a\nb", "a\x7fb", "\udcff",
]  # fmt: skip


def rows(path: str) -> list[int]:
    read = QueryBuilder().register("t", table_handle.opened(path)).execute("SELECT n FROM t ORDER BY n").read_all()
    found: list[int] = pa.table(read)["n"].to_pylist()
    return found


def table(*numbers: int) -> pa.Table:
    return pa.table({"n": list(numbers), "part": ["x y%"] * len(numbers)})


def goes_round(folder: Path, name: str) -> None:
    """Made, read, added to, merged, cleaned and emptied in the folder of that name, and nowhere else."""
    path = str(folder / name / "bronze" / "t")
    assert not table_handle.exists(path)
    table_handle.write(path, table(1), partition_by=["part"])
    assert [entry.name for entry in folder.iterdir()] == [name]
    assert (folder / name / "bronze" / "t" / "_delta_log").is_dir()
    table_handle.write(path, table(2), mode="append", partition_by=["part"])
    assert table_handle.exists(path) and rows(path) == [1, 2]
    handle = table_handle.opened(path)
    handle.optimize.compact()
    handle.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    handle.create_checkpoint()
    assert rows(path) == [1, 2]
    assert table_handle.opened(path, version=0).version() == 0
    handle.delete("n = 1")
    assert rows(path) == [2]


@pytest.mark.parametrize("name", TAKEN, ids=ascii)
def test_a_name_of_any_kind_is_that_folder(tmp_path: Path, name: str) -> None:
    goes_round(tmp_path, name)


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_what_deltalake_reads_as_another_folder_is_refused(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name / "bronze" / "t")
    for use in (
        lambda: table_handle.opened(path),
        lambda: table_handle.exists(path),
        lambda: table_handle.write(path, table(1)),
        lambda: table_handle.create(path, table(1).schema),
    ):
        with pytest.raises(ConfigError, match=r"cannot hold tables: deltalake reads .* Rename it"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_a_link_does_not_hide_such_a_folder(tmp_path: Path) -> None:
    (tmp_path / "lake%41").mkdir()
    (tmp_path / "plain").symlink_to("lake%41")
    with pytest.raises(ConfigError, match="%41"):
        table_handle.opened(str(tmp_path / "plain" / "bronze" / "t"))


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=12)
    | st.sampled_from("%[]^|\\~#?").map("a{}41".format)
)
def test_any_name_is_that_folder_or_refused(name: str) -> None:
    if name in (".", ".."):
        return
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        if paths.misread(name):
            with pytest.raises(ConfigError):
                table_handle.opened(str(folder / name))
            assert list(folder.iterdir()) == []
        else:
            goes_round(folder, name)


def test_a_uri_is_left_as_it_is() -> None:
    for uri in ("s3a://bucket/lake%41", "file:///a%20b", "abfss://x@y.net/[z]"):
        assert table_handle.location(uri) == uri


@pytest.mark.parametrize(("asked", "other"), [("lake%41", "lakeA"), ("a\\b", "a/b")])
def test_the_explorer_does_not_answer_with_another_lake(
    tmp_path: Path, asked: str, other: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes.build(str(tmp_path / other), lakes.sales(3))
    (tmp_path / asked).mkdir()
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / asked))
    assert query_utils.main(["row-counts"]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "[DELTA] base_path" in said.err and "Rename the folder" in said.err


@pytest.mark.parametrize("name", ["sp ace", "h#sh", "é?", "it's", 'dq"x', "x:y", "100%"], ids=ascii)
def test_the_settings_take_a_name_of_any_other_kind(tmp_path: Path, name: str) -> None:
    found = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path / name)}).delta.base_path
    assert found == str(tmp_path / name)


def test_a_missing_file_is_told_from_a_damaged_one_whatever_the_folder_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "my lake"
    lakes.build(str(base), lakes.sales(3))
    for file in Path(PAR_PAYS.path(str(base))).rglob("*.parquet"):
        file.unlink()
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(base))
    assert query_utils.main(["ventes_par_pays"]) == 1
    assert re.search(r"Cannot read ventes_par_pays version \d+: a file was removed", capsys.readouterr().err)


OTHER_ENVIRONMENTS = {"benchmarks.quix_job", "benchmarks.bare_loop"}
"""They run where this project is not installed, over a folder that the benchmark has made."""
BY_PATH = {"DeltaTable", "write_deltalake", "DeltaTable.is_deltatable", "DeltaTable.create", "convert_to_deltalake"}


def by_path(tree: ast.Module) -> set[str]:
    """Calls of ``deltalake`` that take a table's path. Those of Spark's class of the same name are others."""
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "deltalake"
        for alias in node.names
    }
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return {call for call in calls & BY_PATH if call.split(".")[0] in imported}


def test_nothing_else_opens_a_table_by_its_path() -> None:
    everything = {**MODULES, **{f"benchmarks.{path.stem}": path for path in (ROOT / "benchmarks").glob("*.py")}}
    found = {name for name, path in everything.items() if by_path(tree_of(path))}
    assert found == {"lakehouse.lake.table_handle"} | OTHER_ENVIRONMENTS


def test_the_rule_sees_a_direct_open() -> None:
    assert by_path(ast.parse("from deltalake import DeltaTable\nDeltaTable(path)")) == {"DeltaTable"}
    assert by_path(ast.parse("def f():\n    from deltalake import write_deltalake\n    write_deltalake(p, t)"))
    assert not by_path(ast.parse("from delta.tables import DeltaTable\nDeltaTable.forPath(spark, path)"))


def test_whether_a_path_is_a_uri_is_asked_in_one_place() -> None:
    for name, path in MODULES.items():
        asks = [
            node
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Compare) and "'://'" in ast.unparse(node.left)
        ]
        assert len(asks) == (name == "lakehouse.config.paths"), name


def test_deltalake_still_reads_such_paths_otherwise(tmp_path: Path) -> None:
    """When this fails, the installed deltalake may read them as they stand: look whether they can be allowed."""
    write_deltalake(str(tmp_path / "lakeA"), table(1))
    write_deltalake(str(tmp_path / "plain"), table(2))
    (tmp_path / "plain").rename(tmp_path / "lake%41")
    read = []
    with contextlib.suppress(Exception):  # deltalake raises bare ones
        handle = DeltaTable(str(tmp_path / "lake%41"))
        read = pa.table(QueryBuilder().register("t", handle).execute("SELECT n FROM t").read_all())["n"].to_pylist()
    assert read != [2]
