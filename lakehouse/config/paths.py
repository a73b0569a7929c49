"""Local files and folders: what cannot be kept in an object store."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from lakehouse.config.settings import Config


def is_uri(path: str) -> bool:
    """Whether a path names a place in an object store or another file system, and not a local folder."""
    return "://" in path


_MISREAD = re.compile(r"%[0-9A-Fa-f]{2}|[\\\[\]^|\x00-\x1f\x7f\ud800-\udfff]")
"""What ``deltalake`` (1.6.6) does not read in a local path as it stands there: it decodes the first, takes a backslash for a
slash, and refuses the others."""


def misread(path: str) -> str | None:
    """The first part of a local path that ``deltalake`` takes for something else, so that it would open another folder;
    None when there is none."""
    found = None if is_uri(path) else _MISREAD.search(path)
    return found[0] if found else None


def is_remote(config: Config) -> bool:
    """Whether the tables and checkpoints are in an object store or another remote file system."""
    return is_uri(config.delta.base_path)


def state(config: Config) -> Path:
    """The local folder of the broker's data, logs, locks, run files and audit log: they are appended to, locked or mapped.

    ``[DELTA] state_path``, or ``base_path`` itself, or, when that is a URI, a folder of its own under the cache.
    """
    delta = config.delta
    if delta.state_path or not is_remote(config):
        return Path(delta.state_path or delta.base_path)
    return Path(config.development.cache_dir) / "state" / hashlib.sha256(delta.base_path.encode()).hexdigest()[:16]


def tls_folder(config: Config) -> Path:
    """The folder that ``setup_utils.py tls`` writes to."""
    return Path(config.kafka.tls_dir)


def ca_file(config: Config) -> Path | None:
    """The CA certificate that Kafka's clients trust: ``ssl_cafile``, or our own if there is one; None: the system's."""
    if config.kafka.ssl_cafile:
        return Path(config.kafka.ssl_cafile)
    own = tls_folder(config) / "ca.pem"
    return own if own.is_file() else None
