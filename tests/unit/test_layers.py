"""The structure's promises, read from the syntax trees: packages import downwards only, pure modules do nothing."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for path in (ROOT / "lakehouse").rglob("*.py")
}
SCRIPTS = sorted(path for path in ROOT.glob("*.py"))

LAYERS = (
    ("setup",),
    ("dashboard",),
    ("operations",),
    ("bronze", "silver", "explorer", "producer"),
    ("maintenance",),
    ("lake", "kafka"),
    ("jvm", "cli"),
    ("observability",),
    ("config",),
    ("contract",),
    ("errors", "child_processes", "entry_point", "atomic_file", "wording", "status_line"),
    ("crash_points",),
)
"""Packages and single modules, top to bottom. Each imports itself and what stands on a lower line, nothing else."""

LINE = {name: number for number, line in enumerate(LAYERS) for name in line}

LOADER = "lakehouse.operations.command"
"""The one module that imports others by a string: the verbs of ``ops_utils.py``."""

PURE = {
    f"lakehouse.{name}"
    for name in [
        "bronze.batch_settings",
        "bronze.transforms",
        "config.changes",
        "config.fields",
        "config.paths",
        "config.rules",
        "config.settings",
        "contract.backfill",
        "contract.business_time",
        "contract.json_schema",
        "contract.sale",
        "contract.table_properties",
        "contract.tables",
        "dashboard.amounts",
        "dashboard.charts",
        "dashboard.column_titles",
        "dashboard.country_shapes",
        "dashboard.country_map",
        "dashboard.entries",
        "dashboard.pages",
        "dashboard.question",
        "dashboard.request",
        "dashboard.scales",
        "dashboard.translations",
        "dashboard.verdicts",
        "explorer.arguments",
        "explorer.glossary",
        "explorer.formats.text_table",
        "explorer.formats.titles",
        "explorer.formats.values",
        "explorer.queries.clients",
        "explorer.queries.model",
        "explorer.queries.quality",
        "explorer.queries.registry",
        "explorer.queries.revenue",
        "explorer.queries.trends",
        "explorer.sql_arithmetic",
        "explorer.sql_guard",
        "lake.checkpoint_files",
        "lake.checkpoint_validation",
        "lake.expressions",
        "lake.log_entry",
        "lake.query",
        "lake.result",
        "lake.table_settings",
        "maintenance.whose_message",
        "observability.metrics",
        "operations.reconcile.offset_balance",
        "operations.reconcile.sent_vs_stored",
        "operations.recovery.manifest",
        "producer.catalogue",
        "producer.generator",
        "producer.malformed",
        "producer.operations",
        "silver.aggregates",
        "silver.corrections",
        "silver.distinct_counts",
        "silver.expressions",
        "silver.local_sql",
        "silver.net_sales",
        "lake.net_sql",
        "silver.operation_steps",
        "silver.spark_plans",
        "wording",
    ]
}
"""Modules without I/O, Spark action or log: values in, values out."""

NO_IO = {
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
ACTIONS = {"collect", "toPandas", "save", "saveAsTable", "write_text", "write_bytes", "getOrCreate"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Modules of the project that a module imports, at its top or inside a function."""
    found: set[str] = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "lakehouse":
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES and full != "lakehouse.config.settings" else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "lakehouse"}
    return found


def package(name: str) -> str:
    return name.split(".")[1]


def imported_upwards(name: str, imported: set[str]) -> Iterator[str]:
    """What of ``imported`` the module may not import."""
    own = package(name)
    for other in sorted(imported):
        if other == "lakehouse" or (package(other) != own and LINE[package(other)] <= LINE[own]):
            yield other


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"lakehouse"}))
def test_a_module_imports_its_own_package_and_lower_ones(name: str) -> None:
    assert list(imported_upwards(name, imports(MODULES[name]))) == []


def test_the_rule_sees_an_import_upwards_between_neighbours_and_inside_a_function() -> None:
    assert list(imported_upwards("lakehouse.lake.reader", {"lakehouse.bronze.job", "lakehouse.errors"})) == [
        "lakehouse.bronze.job"
    ]
    assert list(imported_upwards("lakehouse.bronze.job", {"lakehouse.silver.job"})) == ["lakehouse.silver.job"]
    assert list(imported_upwards("lakehouse.bronze.job", {"lakehouse.bronze.sink"})) == []


def test_no_module_is_imported_in_a_circle() -> None:
    graph = {name: imports(path) & set(MODULES) - {name} for name, path in MODULES.items()}
    assert len(list(TopologicalSorter(graph).static_order())) == len(MODULES)


def test_only_the_loader_of_the_verbs_imports_by_a_string() -> None:
    loading = {"import_module", "__import__", "find_spec"}
    found = set()
    for name, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in loading:
                    found.add(name)
    assert found == {LOADER}


def test_every_package_says_what_it_is_who_uses_it_and_what_to_import() -> None:
    for path in (ROOT / "lakehouse").rglob("__init__.py"):
        tree = tree_of(path)
        docstring = ast.get_docstring(tree) or ""
        if path.parent.name != "lakehouse":
            assert re.search(r"\n\n(Used|Loaded) by .*\nImport: .*", docstring, re.DOTALL), path
        if path.parent.name != "config":
            assert len(tree.body) == 1, f"{path} holds more than its docstring"


def test_every_module_has_a_docstring() -> None:
    assert not {name for name, path in MODULES.items() if not ast.get_docstring(tree_of(path))}


def test_the_pure_modules_exist() -> None:
    assert set(MODULES) >= PURE


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_module_imports_pure_ones_only_and_does_nothing(name: str) -> None:
    path = MODULES[name]
    assert imports(path) <= PURE | {"lakehouse.errors", "lakehouse.config.settings", "lakehouse.config"}
    tree = tree_of(path)
    imported = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    imported |= {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not imported & NO_IO
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not calls & {"open", "print", "input"}
    called = {
        node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & ACTIONS


def test_lake_paths_stand_in_one_module_and_one_builds_spark() -> None:
    for name, path in MODULES.items():
        code = ast.unparse(tree_of(path))
        if name != "lakehouse.contract.tables":
            assert not re.search(r"""['"](bronze|silver)/[a-z_]+['"]""", code), name
        if name != "lakehouse.lake.spark_session":
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


def test_no_module_and_no_test_is_longer_than_500_lines() -> None:
    paths = [*MODULES.values(), *(ROOT / "tests").rglob("*.py")]
    assert {str(path): n for path in paths if (n := len(path.read_text(encoding="utf-8").splitlines())) > 500} == {}


def test_tests_mirror_the_packages_inside_a_folder_for_each_cost() -> None:
    """``tests/<cost>/<package>/test_*.py``; what concerns the whole project stands in the folder of its cost."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    costs = {folder.removeprefix("tests/") for folder in settings["testpaths"]}
    rooms = {path.name for path in (ROOT / "lakehouse").iterdir() if path.is_dir()} | {"benchmarks", "campaign"}
    for path in (ROOT / "tests").rglob("test_*.py"):
        cost, *room = path.parent.relative_to(ROOT / "tests").parts
        assert cost in costs, f"pytest does not run {path}"
        assert not room or (len(room) == 1 and room[0] in rooms), f"{path}: no such package"
