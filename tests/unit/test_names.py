"""A class name is one thing: no two modules of ``lakehouse`` define the same public class."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator

from lakehouse.config import PROJECT

SHARED: dict[str, str] = {}
"""Class name → why two modules may define it."""


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
