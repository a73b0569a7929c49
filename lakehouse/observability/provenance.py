"""Provenance of a commit: the run and code of this process, and what a Delta ``commitInfo`` says of another one."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import secrets
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from lakehouse.config.fields import PROJECT

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


_ADDED = ("numOutputRows", "num_added_rows")


@dataclass(frozen=True)
class Origin:
    """``who`` did ``what`` in which ``run`` with which ``code`` (None: a writer that does not say); further ``facts``.

    ``added``, ``updated`` and ``deleted`` are rows, as the writer counted them; None when the commit does not tell.
    """

    who: str | None
    what: str | None
    run: str | None
    code: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    added: int | None = None
    updated: int | None = None
    deleted: int | None = None

    def rows_at(self) -> tuple[datetime | None, int | None]:
        """For a commit that appended rows to Bronze: their ``date_ingestion``, and how many they are."""
        if (milliseconds := self.facts.get("clock_ms")) is not None:
            return datetime.fromtimestamp(milliseconds / 1000, UTC), self.added
        if (moment := self.facts.get("date_ingestion")) is not None:
            return datetime.fromisoformat(moment), self.added
        return None, None

    def shown(self) -> str:
        """In a few words."""
        parts = [
            self.what or "unknown writer",
            *(f"{key} {self.facts[key]}" for key in ("batch",) if key in self.facts),
        ]
        return " ".join(parts)


def read_origin(commit: Mapping[str, Any]) -> Origin:
    """One entry of a table's history."""
    facts = _metadata(commit)
    added, updated, deleted = _rows(commit.get("operation"), commit.get("operationMetrics") or {})
    if commit.get("operation") == "RESTORE":  # its writer counts files; who asked for it counted the rows
        added, deleted = facts.get("returning"), facts.get("leaving")
    known = {key: facts.pop(key, None) for key in ("who", "what", "run", "code")}
    texts = {key: None if value is None else str(value) for key, value in known.items()}
    return Origin(**texts, facts=facts, added=added, updated=updated, deleted=deleted)


def _metadata(commit: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = json.loads(commit.get("userMetadata") or "{}")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(metrics: Mapping[str, Any], *names: str) -> int | None:
    return next((int(metrics[name]) for name in names if metrics.get(name) is not None), None)


def _rows(operation: str | None, metrics: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Rows added, updated, deleted: Spark's names, then delta-rs'. A compaction changes none."""
    if operation in ("OPTIMIZE", "SET TBLPROPERTIES", "CREATE TABLE", "VACUUM START", "VACUUM END"):
        return 0, 0, 0
    if operation == "MERGE":
        return (
            _number(metrics, "numTargetRowsInserted", "num_target_rows_inserted"),
            _number(metrics, "numTargetRowsUpdated", "num_target_rows_updated"),
            _number(metrics, "numTargetRowsDeleted", "num_target_rows_deleted"),
        )
    if operation == "DELETE":
        return 0, 0, _number(metrics, "numDeletedRows", "num_deleted_rows")
    if operation == "UPDATE":
        return 0, _number(metrics, "numUpdatedRows", "num_updated_rows"), 0
    return _number(metrics, *_ADDED), None, None
