"""The structure's promises, read from the syntax trees: pure modules stay pure, lake paths stand in one place."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for path in (ROOT / "lakehouse").rglob("*.py")
}
SCRIPTS = sorted(path for path in ROOT.glob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def kind(path: Path) -> str:
    """PURE or EDGE, as the module's docstring begins."""
    docstring = ast.get_docstring(tree_of(path)) or ""
    return docstring.split(".")[0]


def imports(path: Path) -> set[str]:
    """Modules of the project that a module imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lakehouse":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in MODULES} or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found


PURE = {name for name, path in MODULES.items() if kind(path) == "PURE"}


def test_every_module_says_whether_it_is_pure_or_an_edge() -> None:
    unsaid = {name for name, path in MODULES.items() if kind(path) not in ("PURE", "EDGE")}
    assert unsaid <= {"lakehouse", "lakehouse.errors"}


@pytest.mark.parametrize("name", ["sale", "tables", "generator", "bronze", "silver", "settings", "parsing"])
def test_the_core_is_pure(name: str) -> None:
    assert f"lakehouse.{name}" in PURE


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_module_imports_no_edge_and_does_nothing(name: str) -> None:
    path = MODULES[name]
    assert imports(path) <= PURE | {"lakehouse.errors", "lakehouse"}
    tree = tree_of(path)
    banned_modules = {
        "os",
        "sys",
        "subprocess",
        "socket",
        "logging",
        "structlog",
        "time",
        "threading",
        "kafka",
        "deltalake",
        "delta",
    }
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not imported & banned_modules
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input"}
    actions = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not actions & {"collect", "toPandas", "save", "saveAsTable", "write_text", "write_bytes", "getOrCreate"}


def test_no_file_but_tables_holds_a_lake_path_and_none_but_session_builds_spark() -> None:
    for name, path in MODULES.items():
        code = ast.unparse(tree_of(path))
        if name != "lakehouse.tables":
            assert not re.search(r"""['"](bronze|silver)/[a-z_]+['"]""", code), name
        if name != "lakehouse.session":
            assert "SparkSession.builder" not in code, name


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_scripts_do_nothing_when_imported_and_have_a_main(path: Path) -> None:
    tree = tree_of(path)
    for node in tree.body:
        guarded = isinstance(node, ast.If) and ast.unparse(node.test) in ("__name__ == '__main__'", "TYPE_CHECKING")
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        assert (
            guarded
            or docstring
            or isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.Assign, ast.AnnAssign))
        ), ast.unparse(node)
    assert any(
        isinstance(node, (ast.FunctionDef, ast.ImportFrom)) and "main" in ast.unparse(node) for node in tree.body
    )


def test_no_module_is_longer_than_300_lines() -> None:
    assert {
        name: n for name, path in MODULES.items() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 300
    } == {}


def test_every_folder_of_tests_is_run() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    found = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}
    assert found == set(settings["testpaths"])
