"""Reading the Procfile: the name and command of each process."""

from __future__ import annotations

import shlex
from pathlib import Path

from honcho.environ import parse_procfile

from lakehouse.config import text_file
from lakehouse.errors import ConfigError


def read_procfile(path: Path) -> dict[str, list[str]]:
    """Name → command, in the file's order. Raises ``ConfigError``."""
    try:
        text = text_file.read(path, "The Procfile")
    except OSError as error:
        raise ConfigError(f"The Procfile {path} cannot be read: {error.strerror}. Give one with --procfile.") from None
    try:
        lines = parse_procfile(text).processes
        commands = {name: shlex.split(command) for name, command in lines.items()}
    except (AssertionError, ValueError) as error:
        raise ConfigError(f"The Procfile {path} is not accepted: {error}.") from None
    if not commands:
        raise ConfigError(f"The Procfile {path} names no process: expected lines such as 'name: python script.py'.")
    return commands
