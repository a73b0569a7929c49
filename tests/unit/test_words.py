"""The words of the project: docstrings, comments, identifiers and documents use the field's own terms, not metaphors."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from lakehouse.config import PROJECT

# A forbidden word, with its inflections → what to write. It is looked for in docstrings, comments and identifiers;
# ``class_name`` and ``ClassName`` are two words each.
FORBIDDEN = {
    r"doors?": "exact deduplication",
    r"books?|ledgers?": "the offset balance; the record of counts",
    r"sakes?": "for: name the reader or the reason",
    r"moods?": "state",
    r"horizons?": "exact_dedup_until; the retention limit",
    r"doyens?": "the oldest sale of the batch",
    r"holes?": "unaccounted offsets",
    r"knock(s|ed|ing)?": "check that it is reachable",
    r"hear(s|ing)?|heard": "handle, collect",
    r"judge[sd]?|judging": "validate",
    r"paint(s|ed|er|ers|ing)?": "render",
    r"askers?": "the query process",
    r"mend(s|ed|ing)?": "fix",
    r"upkeep|tend(s|ed|ing)?": "maintenance, maintain",
    r"looking": "state, snapshot",
    r"reckon(s|ed|ing)?": "compare, calculate",
    r"whom": "name it",
}
# Words that are right in a sentence and misleading as a name.
NOT_A_NAME = {r"accounts?": "tracker, balance, comparison", r"remains?": "what is left: name it"}


def words_of(text: str) -> set[str]:
    """``SaleDecoder.read_next`` → sale, decoder, read, next."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}


def prose(source: str, tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str() as text)):  # a docstring, of an attribute too
                yield text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def names(tree: ast.Module) -> Iterator[str]:
    """What the module defines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name


def forbidden_in(source: str) -> set[str]:
    tree = ast.parse(source)
    named = {word for name in names(tree) for word in words_of(name)}
    said = {word for text in prose(source, tree) for word in words_of(text)} | named
    return {word for word in said if any(re.fullmatch(pattern, word) for pattern in FORBIDDEN)} | {
        word for word in named if any(re.fullmatch(pattern, word) for pattern in NOT_A_NAME)
    }


def test_no_package_uses_a_forbidden_word() -> None:
    where: dict[str, list[str]] = defaultdict(list)
    for path in sorted((PROJECT / "lakehouse").rglob("*.py")):
        for word in forbidden_in(path.read_text(encoding="utf-8")):
            where[word].append(path.relative_to(PROJECT).as_posix())
    assert not {
        f"{word} in {', '.join(places)}: {plain}"
        for word, places in where.items()
        for pattern, plain in (FORBIDDEN | NOT_A_NAME).items()
        if re.fullmatch(pattern, word)
    }


DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])


def document_prose(text: str) -> str:
    """A document without its code, messages, file names and link targets; a diagram's labels are prose."""
    text = re.sub(r"^```(?!mermaid).*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`\n]*`", "", text))
    return text.replace("first paint", "")  # a browser's own measure


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(PROJECT).as_posix())
def test_a_document_uses_no_forbidden_word(path: Path) -> None:
    words = words_of(document_prose(path.read_text(encoding="utf-8")))
    assert not {
        f"{word}: {plain}" for word in words for pattern, plain in FORBIDDEN.items() if re.fullmatch(pattern, word)
    }


def test_a_documents_code_and_links_are_no_prose() -> None:
    assert words_of(document_prose("`judge` [a](judge.md)\n```python\njudge()\n```\n")) == {"a"}
    assert "judge" in words_of(document_prose("```mermaid\na-->judge\n```"))


def test_purity_is_said_by_the_layering_test_alone() -> None:
    sources = {path: path.read_text(encoding="utf-8") for path in (PROJECT / "lakehouse").rglob("*.py")}
    assert not {
        f"{path.relative_to(PROJECT)}: {text}"
        for path, source in sources.items()
        for text in prose(source, ast.parse(source))
        if re.search(r"\b(PURE|EDGE)\b", text)
    }


def test_a_forbidden_word_is_seen_in_prose_and_in_a_name_but_not_in_a_message_or_as_a_part() -> None:
    assert forbidden_in('"""Rows kept for a person\'s sake."""') == {"sake"}
    assert forbidden_in("x = 1  # through the exact door") == {"door"}
    assert forbidden_in('count = 1\n"""Holes in the topic."""') == {"holes"}
    assert forbidden_in("class BookKeeper: ...\ndef judge_all(mood: int) -> None: ...") == {"book", "judge", "mood"}
    assert forbidden_in("self.accounts = 1  # an account in the company") == {"accounts"}
    assert forbidden_in('raise ValueError("the door is shut")  # bookmarked, indoors') == set()
