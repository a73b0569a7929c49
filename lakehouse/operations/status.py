"""State of every process: from its run file, the operating system and its health endpoint.

True after a crash: a run file names its process by id and start time, so that a process that is gone, killed or not,
is never shown as running, nor is a stranger that was given its id.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from lakehouse.config import Config, paths
from lakehouse.contract.tables import checkpoint
from lakehouse.errors import CheckpointInvalid, LakehouseError
from lakehouse.kafka.broker.properties import answers
from lakehouse.lake.checkpoint_folder import FileCheckpoint
from lakehouse.observability import log, metrics, run_files, web_access
from lakehouse.observability.run_files import RunFile

State = Literal["running", "starting", "failing", "stopped", "dead", "unknown"]

TIMEOUT = 2.0
"""Seconds that a process may take to answer."""


@dataclass(frozen=True)
class ProcessState:
    """One process. ``since``: when it started, or ended. ``figures``: see ``metrics.FIGURES``; empty when it does not
    run, but for what can be known without it (Bronze's lag)."""

    name: str
    state: State
    pid: int | None = None
    since: datetime | None = None
    reasons: tuple[str, ...] = ()
    last_error: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


def processes(config: Config) -> list[ProcessState]:
    """Every process of the pipeline, in its order, and second ones of a name (``producer-2``) behind the first."""
    known = run_files.read(config)
    names = [name for process in metrics.PROCESSES for name in _names(process, known)]
    with ThreadPoolExecutor(len(names)) as pool:
        return list(pool.map(lambda name: _state(config, name, known.get(name)), names))


def _names(process: str, known: Mapping[str, RunFile]) -> Iterator[str]:
    yield process
    yield from sorted(name for name, run in known.items() if run.process == process and name != process)


def _state(config: Config, name: str, run: RunFile | None) -> ProcessState:
    if run is None:
        return _without_file(config, name)
    if run.ended is not None:
        if run.exit_code:
            return _not_running(config, "dead", run, run.ended, f"it ended with exit code {run.exit_code}")
        return _not_running(config, "stopped", run, run.ended)
    if run.here and not run.alive:
        why = f"process {run.pid} is gone and did not say why: it was killed, or the machine was"
        return _not_running(config, "dead", run, run.started, why)
    return _running(config, run)


def _not_running(config: Config, state: State, run: RunFile, since: datetime, *reasons: str) -> ProcessState:
    if run.process == "kafka" and answers(config, TIMEOUT):
        reasons = (*reasons, f"yet a broker answers at {config.kafka.bootstrap_servers}")
    figures = _figures_without(config, run.name)
    error = run.last_error or log.last_error(config, run.name, run.run_id)
    return ProcessState(run.name, state, None, since, reasons, error, figures)


def _running(config: Config, run: RunFile) -> ProcessState:
    """The state of a process that runs here or on another machine, as it says itself."""
    if run.port is None:
        reason = "it serves no health: [MONITORING] metrics is false"
        return ProcessState(run.name, "unknown", run.pid, run.started, (reason,))
    place = f"{run.address}:{run.port}"
    answer = ask(config, _reachable(run.address), run.port)
    if answer is None or answer.get("run_id") != run.run_id:
        here = "" if run.here else f"; it was started on {run.host}"
        reason = f"process {run.pid} does not answer at {place} within {TIMEOUT:g} s{here}"
        return ProcessState(run.name, "failing" if run.here else "unknown", run.pid, run.started, (reason,))
    return _answered(run.name, answer, run.pid, run.started)


def _answered(name: str, answer: Mapping[str, Any], pid: int, since: datetime | None) -> ProcessState:
    states: dict[str, State] = {"ok": "running", "starting": "starting", "failing": "failing"}
    return ProcessState(
        name,
        states.get(str(answer.get("status")), "unknown"),
        pid,
        since,
        tuple(map(str, answer.get("reasons", ()))),
        answer.get("last_error"),
        {key: float(value) for key, value in answer.get("figures", {}).items()},
    )


def _without_file(config: Config, name: str) -> ProcessState:
    """The state of a process without a run file: it may run elsewhere, on the setting's port."""
    port = getattr(config.monitoring, f"{name}_metrics_port")
    if config.monitoring.metrics and port and paths.is_remote(config):
        answer = ask(config, _reachable(config.monitoring.metrics_host), port)
        if answer and answer.get("process") == name and answer.get("base_path") == str(config.delta.base_path):
            return _answered(name, answer, int(answer["pid"]), None)
    if name == "kafka" and answers(config, TIMEOUT):
        reason = f"a broker that was not started here answers at {config.kafka.bootstrap_servers}"
        return ProcessState(name, "running", reasons=(reason,))
    reason = "it was never started with this data folder"
    return ProcessState(name, "stopped", None, None, (reason,), None, _figures_without(config, name))


def _reachable(address: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def ask(config: Config, host: str, port: int) -> dict[str, Any] | None:
    """The answer of ``/readyz`` there; None when nothing answers in time. No proxy of the environment is asked."""
    link, header = http.client.HTTPConnection(host, port, timeout=TIMEOUT), web_access.authorization(config)
    try:
        if (tls := web_access.client_context(config)) is not None:
            link = http.client.HTTPSConnection(host, port, timeout=TIMEOUT, context=tls)
        link.request("GET", "/readyz", headers={"Authorization": header} if header else {})
        found = json.loads(link.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        link.close()
    return found if isinstance(found, dict) else None


def _figures_without(config: Config, name: str) -> dict[str, float]:
    """Figures of a process that does not run: Bronze's lag."""
    if name != "bronze":
        return {}
    read = committed_offsets(config)
    if read is None:
        return {}
    from lakehouse.kafka.clients import earliest_and_latest_offsets

    try:
        held = earliest_and_latest_offsets(config)
    except LakehouseError:
        return {}
    return {"lag_records": float(sum(max(0, end - read.get(number, begin)) for number, (begin, end) in held.items()))}


def committed_offsets(config: Config) -> dict[int, int] | None:
    """Partition → next offset, as Bronze's checkpoint on a local disk has it; None without one."""
    if paths.is_remote(config):
        return None
    try:
        last = FileCheckpoint(config, checkpoint(config.delta.base_path, "bronze")).committed()
        return last.kafka_ends(config.kafka.topic) if last else None
    except (OSError, ValueError, CheckpointInvalid):
        return None
