"""Files that hold secrets: readable by their owner only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from lakehouse.config import text_file
from lakehouse.config.fields import Secret
from lakehouse.config.settings import Config
from lakehouse.errors import ConfigError


def check_private(path: Path | str, setting: str) -> None:
    """Raise ``ConfigError`` when a file of secrets is readable by others, or not readable at all."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"{setting} names {path}, which cannot be read: {error.strerror}.") from None
    mode = stat.S_IMODE(status.st_mode)
    # a file that is not our own (a secret that Kubernetes mounts) can be read by our group at best
    if mode & (0o077 if status.st_uid == os.getuid() else 0o007):
        raise ConfigError(f"{setting} names {path}, which others can read (mode {mode:04o}): chmod 600 {path}")


def read_secret(path: Path | str, setting: str) -> Secret:
    """The text of a file that only its owner can read. Raises ``ConfigError``."""
    check_private(path, setting)
    try:
        return Secret(text_file.read(path, f"{setting} names").strip())
    except OSError as error:
        raise ConfigError(f"{setting} names {path}, which cannot be read: {error.strerror}.") from None


def secrets_of(config: Config) -> tuple[str, ...]:
    """Every secret that this process can read: none of them is ever logged."""
    kafka, monitoring = config.kafka, config.monitoring
    known = [str(kafka.sasl_password), str(monitoring.web_password), str(config.s3.secret_key)]
    if kafka.security_protocol.startswith("SASL") and not kafka.sasl_username:
        paths = Path(kafka.tls_dir).glob("*.password")
        known += [path.read_text(encoding="utf-8-sig").strip() for path in paths if path.is_file()]
    return tuple(filter(None, known))
