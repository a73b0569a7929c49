"""Names: no two modules of ``lakehouse`` define the same public class, and a name in a docstring exists."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lakehouse.config import PROJECT

KEYS = {"lakehouse.sources"}
"""Dotted texts that begin as a module does and are none: keys of a file's metadata."""

SHARED: dict[str, str] = {}
"""Class name → why two modules may define it."""

NOT_OURS = {"self", "rich", "pyspark", "time", "filters", "watched", "major", "transaction"}
"""First words of dotted names in docstrings that are no module of ours: libraries, variables, Kafka's settings."""
FILE = re.compile(r".*\.(py|ini|pem|key|json|jsonl|txt|log|md|toml)")


@cache
def modules() -> dict[str, Path]:
    """Dotted name below ``lakehouse`` → file; a package's is its ``__init__``."""
    root = PROJECT / "lakehouse"
    return {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in root.rglob("*.py")
    }


@cache
def defined(path: Path) -> frozenset[str]:
    """What a module's text names: its definitions, at the top level or in a class, and what it imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name):
                found.add(name)
            case ast.Name(id=name, ctx=ast.Store()):
                found.add(name)
    return frozenset(found)


def exists(dotted: str) -> bool:
    """Whether ``dotted`` is a module, by the end of its name, or a name that such a module defines."""
    parts = dotted.removeprefix("lakehouse.").split(".")
    for cut in range(len(parts), 0, -1):
        ending = ".".join(parts[:cut])
        found = [path for name, path in modules().items() if name == ending or name.endswith(f".{ending}")]
        if found:
            return any(set(parts[cut:]) <= defined(path) for path in found)
    return False


def docstrings(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)):
                yield text


@pytest.mark.parametrize("name", sorted(modules()))
def test_a_name_in_a_docstring_exists(name: str) -> None:
    tree = ast.parse(modules()[name].read_text(encoding="utf-8"))
    said = {found for text in docstrings(tree) for found in re.findall(r"``([a-z_]+(?:\.\w+)+)(?:\(\))?``", text)}
    said = {dotted for dotted in said if dotted.split(".")[0] not in NOT_OURS and dotted not in KEYS}
    said = {dotted for dotted in said if not FILE.fullmatch(dotted)}
    assert {dotted for dotted in said if not exists(dotted)} == set()


def test_a_stale_name_is_seen() -> None:
    assert exists("checkpoint_files.DeltaOffset") and exists("lake.reader") and exists("runner.Work.progress")
    assert not exists("positions.silver") and not exists("checkpoint_files.DeltaOffsets")


def public_classes(tree: ast.Module) -> Iterator[str]:
    """The public classes of a module's top level."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def test_each_public_class_name_stands_once() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((PROJECT / "lakehouse").rglob("*.py")):
        for name in public_classes(ast.parse(path.read_text(encoding="utf-8"))):
            found[name].append(path.relative_to(PROJECT).as_posix())
    assert {name: places for name, places in found.items() if len(places) > 1 and name not in SHARED} == {}
    assert {name for name in SHARED if len(found[name]) < 2} == set(), "they stand once: remove them from SHARED"


def test_a_private_class_and_one_inside_another_are_not_counted() -> None:
    tree = ast.parse("class Plan:\n    class Step: ...\nclass _Place: ...\n")
    assert list(public_classes(tree)) == ["Plan"]
