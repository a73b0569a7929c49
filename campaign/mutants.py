"""Mutation testing of one module: a mutant is the module with one operator, number, condition or filter changed.

    python -m campaign.mutants lakehouse.bronze.batch_settings tests/unit/bronze/test_settings_property.py

Each mutant runs the tests in a forked process until one fails; those that none notices are printed, with exit code 1. The
module is replaced where it is imported, so that nothing is written, and a test that starts a process of its own does not see
the mutant. Texts, annotations and the values of errors are not changed. The figures are in docs/MUTANTS.md.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import copy
import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

SWAPPED: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt,), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt,), ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.And: (ast.Or,), ast.Or: (ast.And,), ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Add,),
    ast.FloorDiv: (ast.Mult,), ast.Div: (ast.Mult,), ast.Mod: (ast.FloorDiv,), ast.BitOr: (ast.BitAnd,),
    ast.BitAnd: (ast.BitOr,), ast.Break: (ast.Continue,), ast.Continue: (ast.Break,),
}  # fmt: skip
CALLED = {
    "min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "startswith": "endswith",
    "endswith": "startswith", "lstrip": "strip", "removeprefix": "removesuffix", "partition": "rpartition",
    "rpartition": "partition", "fullmatch": "match", "match": "search", "upper": "lower", "lower": "upper",
}  # fmt: skip
IMPORTED = (
    "pytest",
    "hypothesis",
    "pyarrow.parquet",
    "deltalake",
    "pyspark.sql.functions",
    "kafka.admin",
    "sqlglot",
    "psutil",
    "structlog",
    "faker",
)
"""What the tests need of others, once for all mutants."""

Mutant = tuple[int, str, CodeType]
"""Line, what was changed, and the module's code."""


def with_part(node: ast.AST, **parts: object) -> ast.AST:
    """The node with other parts."""
    changed = copy.copy(node)
    for name, part in parts.items():
        setattr(changed, name, part)
    return changed


def variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may stand in a node's place, each with a few words."""
    match node:
        case ast.Compare(ops=ops):
            for number, op in enumerate(ops):
                for other in SWAPPED.get(type(op), ()):
                    changed = [*ops[:number], other(), *ops[number + 1 :]]
                    yield f"{type(op).__name__} → {other.__name__}", with_part(node, ops=changed)
        case ast.BoolOp(op=op, values=values):
            yield "and/or", ast.BoolOp(SWAPPED[type(op)][0](), values)  # type: ignore[arg-type]
            for number in range(len(values)):
                left = [value for place, value in enumerate(values) if place != number]
                yield f"without operand {number + 1}", left[0] if len(left) == 1 else ast.BoolOp(op, left)
        case ast.BinOp(op=op) | ast.AugAssign(op=op):
            for other in SWAPPED.get(type(op), ()):
                yield f"{type(op).__name__} → {other.__name__}", with_part(node, op=other())
        case ast.Constant(value=bool() as value):
            yield f"{value} → {not value}", ast.Constant(not value)
        case ast.Constant(value=int() as value):
            yield f"{value} → {value + 1}", ast.Constant(value + 1)
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield f"without {type(node.op).__name__}", operand
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(
            test, ast.Compare | ast.UnaryOp
        ):
            yield "not", with_part(node, test=ast.UnaryOp(ast.Not(), test))
        case ast.comprehension(ifs=ifs):
            for number in range(len(ifs)):
                left = [each for place, each in enumerate(ifs) if place != number]
                yield f"without filter {number + 1}", with_part(node, ifs=left)
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)) if name in CALLED:
            key = "id" if isinstance(node.func, ast.Name) else "attr"
            yield f"{name} → {CALLED[name]}", with_part(node, func=with_part(node.func, **{key: CALLED[name]}))
        case ast.Return(value=ast.AST() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield "return None", ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield "without the call", ast.Pass()
        case ast.Break() | ast.Continue():
            yield SWAPPED[type(node)][0].__name__, SWAPPED[type(node)][0]()
        case ast.Slice(lower=lower, upper=upper):
            if lower:
                yield "from the start", ast.Slice(None, upper, node.step)
            if upper:
                yield "to the end", ast.Slice(lower, None, node.step)


def left_alone(tree: ast.AST) -> set[int]:
    """The nodes, by ``id``, that say something to readers only."""
    roots: list[ast.AST] = []
    for node in ast.walk(tree):
        roots += [part for name in ("annotation", "returns") if isinstance(part := getattr(node, name, None), ast.AST)]
        match node:
            case ast.FunctionDef(decorator_list=decorators) | ast.ClassDef(decorator_list=decorators):
                roots += decorators
            case ast.Raise() | ast.Import() | ast.ImportFrom() | ast.If(test=ast.Name(id="TYPE_CHECKING")):
                roots.append(node)
            case ast.JoinedStr(values=values):
                roots += [value for value in values if isinstance(value, ast.Constant)]
    return {id(each) for root in roots for each in ast.walk(root)}


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, Callable[[ast.AST], None]]]:
    """Each node, and what puts another into its place."""
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST):
                yield value, functools.partial(setattr, parent, name)
            elif isinstance(value, list):
                for number, each in enumerate(value):
                    if isinstance(each, ast.AST):
                        yield each, functools.partial(value.__setitem__, number)


def mutants(source: str, file: str) -> Iterator[Mutant]:
    """Every mutant of a module's text that compiles."""
    tree = ast.parse(source)
    skipped, line = left_alone(tree), 0
    for node, put in list(places(tree)):
        line = getattr(node, "lineno", line)
        if id(node) in skipped:
            continue
        for what, changed in variants(node):
            put(changed)
            with contextlib.suppress(SyntaxError):
                yield line, what, compile(ast.fix_missing_locations(tree), file, "exec")
            put(node)


class Replaced(MetaPathFinder, Loader):
    """Gives a mutant to whoever imports the module."""

    def __init__(self, module: str, file: str, code: CodeType) -> None:
        self._module, self._file, self._code = module, file, code

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        if fullname != self._module:
            return None
        spec = ModuleSpec(fullname, self, origin=self._file)
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> None:  # noqa: ARG002
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def passes(finder: MetaPathFinder, tests: Sequence[str], seconds: int) -> bool:
    """Whether all tests pass in a process of their own; one that takes longer does not."""
    child = os.fork()
    if child == 0:
        os.setsid()
        signal.alarm(seconds)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        sys.meta_path.insert(0, finder)
        code = 1
        with contextlib.suppress(BaseException):
            code = int(importlib.import_module("pytest").main(["-q", "-x", "-p", "no:cacheprovider", *tests]))
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def main(argv: Sequence[str] | None = None) -> int:
    """1 when a mutant survived; 2 when the tests fail without one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--lines", help="these lines alone, such as 12,80")
    parser.add_argument("--seconds", type=int, default=120, help="how long the tests of a mutant may take")
    options = parser.parse_args(argv)
    sys.dont_write_bytecode = True
    for name in IMPORTED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    file = Path(options.module.replace(".", "/")).with_suffix(".py").resolve()
    source = file.read_text(encoding="utf-8")

    def survives(code: CodeType) -> bool:
        return passes(Replaced(options.module, str(file), code), options.tests, options.seconds)

    if not survives(compile(source, str(file), "exec")):
        print("The tests fail without a mutant.", file=sys.stderr)
        return 2
    chosen = {int(line) for line in options.lines.split(",")} if options.lines else None
    made = survived = 0
    for line, what, code in mutants(source, str(file)):
        if chosen is None or line in chosen:
            made += 1
            if survives(code):
                survived += 1
                print(f"{options.module}:{line}: {what}: {source.splitlines()[line - 1].strip()}", flush=True)
    print(f"{options.module}: {made} mutants, {made - survived} noticed, {survived} survived")
    return int(survived > 0)


if __name__ == "__main__":
    sys.exit(main())
