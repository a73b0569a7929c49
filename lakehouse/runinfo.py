"""EDGE. Which run of which code this process is: what commits, logs and the audit say of where a change came from."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import secrets
import socket
import subprocess
from datetime import UTC, datetime
from functools import cache

from lakehouse.settings import PROJECT

RUN_ID = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
"""Of this process: when it began, and six digits that tell two that began in one second apart."""


@cache
def who() -> str:
    """``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


@cache
def code_version() -> str:
    """The git commit that the running code is exactly; otherwise a hash of the code itself.

    ``git-<12 digits>`` when the project is a clean work tree, ``source-<12 digits>`` when it was changed, or when there
    is no git: the hash of every Python file that runs.
    """
    commit = _git("rev-parse", "HEAD")
    top = _git("rev-parse", "--show-toplevel")
    clean = _git("status", "--porcelain", "--untracked-files=no", "--", "*.py") == ""
    if commit and clean and top == str(PROJECT):
        return f"git-{commit[:12]}"
    digest = hashlib.sha256()
    for path in sorted((*PROJECT.glob("*.py"), *(PROJECT / "lakehouse").rglob("*.py"))):
        digest.update(f"{path.relative_to(PROJECT)}\0".encode())
        digest.update(path.read_bytes() + b"\0")
    return f"source-{digest.hexdigest()[:12]}"


def _git(*words: str) -> str | None:
    """What git prints; None when it cannot say. Takes no lock of the repository's."""
    try:
        made = subprocess.run(
            ["git", "-C", str(PROJECT), *words],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return made.stdout.strip()


def origin(what: str, **facts: object) -> dict[str, object]:
    """Who did what, in which run, with which code; ``facts`` beside it."""
    return {"who": who(), "what": what, "run": RUN_ID, "code": code_version(), **facts}


def commit_metadata(what: str, **facts: object) -> str:
    """``origin`` as the ``userMetadata`` of a Delta commit: JSON on one line."""
    return json.dumps(origin(what, **facts), ensure_ascii=False)
