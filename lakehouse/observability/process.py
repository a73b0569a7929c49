"""Serves a process's metrics and health on a port, and keeps its run file and log file.

A process joins with one line::

    with process.serve(config, "dashboard", ready=lambda: [] if pages_answer() else ["no page answers"]) as watched:
        watched.started()
        …

``ready`` is asked each time and returns the reasons why the process is not ready. ``watched.meter`` takes its values;
declare them in ``metrics`` first.
"""

from __future__ import annotations

import os
import platform
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil

from lakehouse.config import PROJECT, Config
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.observability import log, metrics, provenance, run_files
from lakehouse.observability.health import Monitor, Reasons, _log
from lakehouse.observability.run_files import RunFile

if TYPE_CHECKING:
    from lakehouse.observability.http_server import Server

_SAMPLE_SECONDS = 10.0
"""How long the end of a process waits for the sample in hand: it reads tables, in native code."""


@contextmanager
def serve(config: Config, process: str, *, ready: Reasons | None = None) -> Iterator[Monitor]:
    """A ``Monitor`` that is served while the block runs: port, run file, log file, samples.

    ``process`` is one of ``metrics.PROCESSES``. A port that another program holds is replaced by a free one, with a
    warning: figures are worth less than the sales. The run file says which; ``ops_utils.py status`` reads it there.
    Whatever ends the block is noted in the run file and passes on.
    """
    with run_files.name_of_its_own(config, process) as name:
        watched = Monitor(config, process)
        watched.name = name
        if ready is not None:
            watched.ready_when(ready)
        with log.to_file(config, name, watched.note):
            server = _listen(watched)
            run = _run_file(watched, server.port if server else None)
            _describe(watched, run)
            run_files.write(config, run)
            sampler = threading.Thread(target=watched._sampling, name="samples", daemon=True)
            sampler.start()
            try:
                yield watched
            except BaseException as error:
                watched.exit_code = _code(error)
                if isinstance(error, Exception):
                    cause = str(error) or type(error).__name__
                    log.get(process).file_only("error", f"ended: {cause}")
                    watched.last_error = cause
                raise
            finally:
                watched.end()
                sampler.join(_SAMPLE_SECONDS)
                if server is not None:
                    server.stop()
                ended = replace(
                    run, ended=datetime.now(UTC), exit_code=watched.exit_code, last_error=watched.last_error
                )
                with suppress(OSError):  # a full disk must not hide what ended the block
                    if name == process:
                        run_files.write(config, ended)
                    else:
                        run_files.remove(config, name)  # its log tells the rest


def _code(error: BaseException) -> int:
    if isinstance(error, LakehouseError):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    return 130 if isinstance(error, KeyboardInterrupt) else 1


def _listen(watched: Monitor) -> Server | None:
    """The server, on the setting's port or a free one; None when nothing is to be served."""
    monitoring = watched.config.monitoring
    if not monitoring.metrics:
        return None
    from lakehouse.observability.health_server import start

    # a second process of a name never competes for the first one's port
    port = getattr(monitoring, f"{watched.process}_metrics_port") if watched.name == watched.process else 0
    try:
        return start(watched, monitoring.metrics_host, port)
    except OSError as error:
        try:
            server = start(watched, monitoring.metrics_host, 0)
        except OSError:
            raise ConfigError(
                f"[MONITORING] metrics_host = {monitoring.metrics_host} is not accepted ({error.strerror}): expected an "
                f"address of this machine, such as 127.0.0.1."
            ) from None
        _log.warning(
            f"port {port} ([MONITORING] {watched.process}_metrics_port) is taken ({error.strerror}): metrics and health of "
            f"{watched.name} are on port {server.port} instead"
        )
        return server


def version() -> str:
    """The project's, as pyproject.toml has it."""
    lines = (PROJECT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    return next(line.split('"')[1] for line in lines if line.startswith("version"))


def _run_file(watched: Monitor, port: int | None) -> RunFile:
    return RunFile(
        name=watched.name,
        process=watched.process,
        pid=os.getpid(),
        process_started=psutil.Process().create_time(),
        host=socket.gethostname(),
        address=watched.config.monitoring.metrics_host,
        port=port,
        run_id=provenance.RUN_ID,
        version=version(),
        code=provenance.code_version(),
        started=datetime.now(UTC),
    )


def _describe(watched: Monitor, run: RunFile) -> None:
    watched.meter.set(metrics.BUILD, 1, run.version, run.code, platform.python_version())
    watched.meter.set(metrics.STARTED, run.started.timestamp())
