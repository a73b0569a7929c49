"""The name of a log file as log4j has to be told it: ``${…}`` stands for a value, and ``%…`` for another in a pattern of names."""

from __future__ import annotations

from pathlib import Path


def pattern(file: Path) -> str:
    """The names of a log's full files, but for ``.%i`` at their end, as log4j reads it each time that a file is full."""
    return plain(file.as_posix().replace("%", "%%"))


def plain(text: str) -> str:
    """A text in which log4j finds no value to replace: for what stands in a configuration file itself. It does not look into the
    values of others, such as a variable of the environment."""
    return text.replace("${", "$${")
