"""EDGE. Files of secrets, which their owner alone may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lakehouse.errors import ConfigError
from lakehouse.parsing import Secret


def check_private(path: Path | str, setting: str) -> None:
    """Raise ``ConfigError`` when others can read a file of secrets, or when it cannot be read at all."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"{setting} names {path}, which cannot be read: {error.strerror}.") from None
    mode = stat.S_IMODE(status.st_mode)
    # a file that is not our own (a secret that Kubernetes mounts) can be read by our group at best
    if mode & (0o077 if status.st_uid == os.getuid() else 0o007):
        raise ConfigError(f"{setting} names {path}, which others can read (mode {mode:04o}): chmod 600 {path}")


def read_secret(path: Path | str, setting: str) -> Secret:
    """The text of a file that its owner alone can read. Raises ``ConfigError``."""
    check_private(path, setting)
    try:
        return Secret(Path(path).read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(f"{setting} names {path}, which cannot be read: {error.strerror}.") from None
