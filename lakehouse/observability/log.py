"""Structured logs: readable lines on the terminal (or JSON), and JSON lines in a rotating file of each process.

No line carries what a sale says of a person, nor a secret: loggers are given places (``topic[partition]@offset``),
codes and counts, a library's exception is told by ``cause_of``, and every text passes ``_without_secrets``. structlog is loaded by the first line: a tool that has
nothing to say does not wait for it.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse.config import Config, Monitoring, paths
from lakehouse.errors import traceback_of

SUPERVISED = "LAKEHOUSE_SUPERVISED"
"""Environment variable of ``make run``'s children: the supervisor puts time and process before each line itself, and shows what
the routine lines say in its status line. The log files are as ever."""
ROUTINE = ("progress", "pass done", "merged")
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_TAIL_BYTES = 262_144
_FIRST = ("time", "level", "event", "job", "run_id", "batch_id")

_monitoring = Monitoring()
_secrets: tuple[str, ...] = ()
_file: logging.Handler | None = None
_watchers: list[Callable[[str, str], None]] = []
_ready = False


def place(topic: str, partition: int, offset: int) -> str:
    """How a message is named in a log: ``ventes_stream[2]@1041``."""
    return f"{topic}[{partition}]@{offset}"


def configure(monitoring: Monitoring) -> None:
    """Set the process's log level and format. Lines go to stderr, so that stdout carries results only."""
    global _monitoring, _ready
    _monitoring, _ready = monitoring, False
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def folder(config: Config) -> Path:
    """Where log files lie."""
    return paths.state(config) / "logs"


class _Rotating(logging.handlers.RotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk loses log lines, but does not stop the job."""


@contextmanager
def to_file(config: Config, name: str, watch: Callable[[str, str], None] | None = None) -> Iterator[Path]:
    """Within it every line also goes to ``logs/<name>.jsonl``, which is rotated; ``watch(level, event)`` is called for each.

    One process a file: the caller makes the name its own.
    """
    global _file, _secrets
    path = folder(config) / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    before = (_file, _secrets)
    made = _Rotating(
        path,
        maxBytes=config.monitoring.log_file_bytes,
        backupCount=config.monitoring.log_file_count,
        encoding="utf-8",
        errors="backslashreplace",
    )
    from lakehouse.config.secrets import secrets_of

    _file, _secrets = made, secrets_of(config)
    if watch is not None:
        _watchers.append(watch)
    try:
        yield path
    finally:
        if watch is not None:
            _watchers.remove(watch)
        _file, _secrets = before
        with suppress(OSError):  # a full disk again
            made.close()


def last_error(config: Config, name: str, run_id: str) -> str | None:
    """The last error that a run wrote into its file, among the newest lines; None when there is none."""
    try:
        with (folder(config) / f"{name}.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")  # a text may hold U+2028
    except OSError:
        return None
    for line in reversed(lines):
        if '"error"' in line and run_id in line:
            with suppress(ValueError):  # the first line of the tail may be cut
                found = json.loads(line)
                if found.get("level") == "error" and found.get("run_id") == run_id:
                    return str(found["event"])
    return None


class Logger:
    """Lines that carry ``job=…``. Set up at its first line, so that a module can have one as a constant."""

    def __init__(self, job: str) -> None:
        self._job = job

    def debug(self, event: str, **fields: Any) -> None:
        self._say("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._say("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._say("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._say("error", event, fields)

    def file_only(self, level: str, event: str, **fields: Any) -> None:
        """A line for the file only: the terminal shows it in another form."""
        stamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        _into_file(None, level, dict(_without_secrets(None, level, {
            "event": event, "job": self._job, **fields, "level": level, "time": stamp,
        })))  # fmt: skip

    def _say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if LEVELS[level] < getattr(logging, _monitoring.log_level):
            return
        if not _ready:
            _set_up()
        import structlog

        getattr(structlog.get_logger(job=self._job), level)(event, **fields)


def get(job: str) -> Logger:
    """The logger of a job."""
    return Logger(job)


def _set_up() -> None:
    import structlog

    global _ready
    _ready = True
    terminal: list[structlog.typing.Processor]
    if _monitoring.log_format == "json":
        terminal = [_ordered, structlog.processors.JSONRenderer(ensure_ascii=False, default=str)]
    else:
        supervised = bool(os.environ.get(SUPERVISED))
        terminal = [
            _without_routine if supervised else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            _with_traceback,
            _without_secrets,
            _into_file,
            *([] if _monitoring.log_format == "json" else [_for_people]),
            *terminal,
        ],
        wrapper_class=structlog.BoundLogger,
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is when the line is written
        cache_logger_on_first_use=False,
    )


Event = MutableMapping[str, Any]


def _with_traceback(_logger: Any, _method: str, event: Event) -> Event:
    failure = sys.exception() if event.pop("exc_info", False) else None
    return event if failure is None else {**event, "exception": traceback_of(failure)}


def _without_secrets(_logger: Any, _method: str, event: Event) -> Event:
    for secret in _secrets:
        for key, value in event.items():
            if secret in (text := value if isinstance(value, str) else str(value)):
                event[key] = text.replace(secret, "***")
    return event


def _ordered(_logger: Any, _method: str, event: Event) -> Event:
    from lakehouse.observability import provenance  # a tool without a word to say does not need it

    whole = {**event, "run_id": provenance.RUN_ID}
    return {key: whole.pop(key) for key in _FIRST if key in whole} | whole


def _into_file(logger: Any, method: str, event: Event) -> Event:
    level, text = str(event["level"]), str(event["event"])
    for watch in list(_watchers):
        watch(level, text)
    handler = _file
    if handler is not None:
        line = json.dumps(_ordered(logger, method, event), ensure_ascii=False, default=str)
        record = logging.LogRecord("", LEVELS[level], "", 0, line, None, None)
        handler.handle(record)
    return event


def _without_routine(_logger: Any, _method: str, event: Event) -> Event:
    import structlog

    if event["level"] == "info" and event["event"] in ROUTINE:
        raise structlog.DropEvent
    return {key: value for key, value in event.items() if key != "job"}


def _for_people(_logger: Any, _method: str, event: Event) -> Event:
    return {key: value for key, value in event.items() if key != "time"}
