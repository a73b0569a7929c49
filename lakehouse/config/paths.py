"""Local folders: what cannot be kept in an object store."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lakehouse.config.settings import Config


def is_uri(path: str) -> bool:
    """Whether ``path`` names a place in an object store or another remote file system, and none on this machine."""
    return "://" in path


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
