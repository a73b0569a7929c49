"""What is said of a library's errors."""

from __future__ import annotations

import argparse
import errno

import pytest

from lakehouse import cli
from lakehouse.errors import cause_of, machine_fault, one_line


def test_a_librarys_error_becomes_one_plain_line() -> None:
    said = OSError("no rights for\n  the path \x1b[31m↳\x1b[0m Error performing GET")
    assert one_line(said) == "no rights for the path ↳ Error performing GET"
    assert one_line(said, 9) == "no rights"


_COPY = OSError(
    "Generic LocalFileSystem error\n   \x1b[31m↳\x1b[0m Unable to copy data to file\n   \x1b[31m↳\x1b[0m {} (os error {})\n"
)


@pytest.mark.parametrize(("number", "words"), [(28, "No space left on device"), (5, "Input/output error")])
def test_a_cause_on_a_later_line_is_not_lost(number: int, words: str) -> None:
    error = OSError(str(_COPY).format(words, number))
    assert cause_of(error) == f"Generic LocalFileSystem error: Unable to copy data to file: {words} (os error {number})"


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full."),
        (Exception("Unable to copy data to file (os error 28)"), "The disk is full."),
        (OSError(errno.EIO, "Input/output error"), "A disk does not read or write"),
        (RuntimeError("Failed to parse parquet: Input/output error (os error 5)"), "A disk does not read or write"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many files are open."),
    ],
)
def test_a_fault_of_the_machine_has_a_sentence(error: Exception, begins: str) -> None:
    said = machine_fault(error)
    assert said is not None and said.startswith(begins) and "type the same command again" in said
    made = argparse.ArgumentParser(prog="x.py")
    made.add_argument("--config", default="config.ini")
    assert cli.run(made, lambda _args, _config: raised(error), []) == 1


def test_another_error_has_none() -> None:
    assert machine_fault(KeyError("x")) is None
    assert machine_fault(FileNotFoundError(errno.ENOENT, "No such file")) is None


def raised(error: Exception) -> int:
    raise error
