"""EDGE. Structured logs: readable lines on a terminal, JSON lines for machines; one set-up for every process."""

from __future__ import annotations

import logging
import sys

import structlog

from lakehouse.config import Monitoring


def configure(monitoring: Monitoring) -> None:
    """Set the process's log level and format. Lines go to stderr, so that stdout carries results only."""
    renderer: structlog.typing.Processor
    if monitoring.log_format == "json":
        renderer = structlog.processors.JSONRenderer(ensure_ascii=False)
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
        stamp = structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            stamp,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, monitoring.log_level)),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # as it is when the line is written
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")


def get(job: str) -> structlog.typing.FilteringBoundLogger:
    """A logger whose lines carry ``job=…``; set up at its first line, so that a module may hold one."""
    return structlog.get_logger(job=job)  # type: ignore[no-any-return]
