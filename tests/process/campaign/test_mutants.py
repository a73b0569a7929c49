"""Mutation testing finds the edge that no test looks at, and nothing else."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from campaign import mutants
from lakehouse.config import PROJECT

MODULE = '''"""A rule."""

LIMIT = 10


def is_old(age: int) -> bool:
    if age < 0:
        raise ValueError(f"{age} of {LIMIT + 1}")
    return age > LIMIT
'''
ALL = """
import pytest
from rule import is_old

def test_far():
    assert is_old(99) is True and is_old(0) is False

def test_negative():
    with pytest.raises(ValueError):
        is_old(-1)
"""
EDGE = """
def test_edge():
    assert is_old(11) is True and is_old(10) is False
"""


RUN = "import sys; from campaign import mutants; mutants.IMPORTED = ('pytest',); sys.exit(mutants.main())"
EXPECTED = [
    (3, "10 → 11"), (7, "Lt → LtE"), (7, "Lt → Gt"), (9, "return None"), (7, "0 → 1"), (9, "Gt → GtE"), (9, "Gt → Lt"),
]  # fmt: skip


def test_each_operator_number_and_condition_is_changed_and_no_text() -> None:
    assert sorted((line, what) for line, what, _ in mutants.mutants(MODULE, "rule.py")) == sorted(EXPECTED)


def test_a_tree_is_as_it_was_when_its_mutants_were_made() -> None:
    tree = ast.parse(MODULE)
    before = ast.dump(tree)
    for node, put in list(mutants.places(tree)):
        for _, changed in mutants.variants(node):
            put(changed)
            assert ast.dump(tree) != before
            put(node)
    assert ast.dump(tree) == before


@pytest.mark.parametrize(
    ("tests", "code", "said"),
    [
        (ALL + EDGE, 0, ["rule: 7 mutants, 7 noticed, 0 survived"]),
        (ALL, 1, ["rule:3: 10 → 11: LIMIT = 10", "rule:9: Gt → GtE: return age > LIMIT", "rule: 7 mutants, 5 noticed, 2 survived"]),
        (ALL + "    assert is_old(10)", 2, []),
    ],
)  # fmt: skip
def test_what_no_test_notices_is_named(tmp_path: Path, tests: str, code: int, said: list[str]) -> None:
    (tmp_path / "rule.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "test_rule.py").write_text(tests, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", RUN, "rule", "test_rule.py"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout.splitlines()) == (code, said), ended.stderr
    assert (ended.stderr == "The tests fail without a mutant.\n") is (code == 2)
