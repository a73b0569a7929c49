"""The whole pipeline on this machine: the Procfile's processes under the supervisor, with the settings of one run."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Collection
from pathlib import Path

import psutil

from lakehouse import config as settings
from lakehouse.config import PROJECT, Config
from lakehouse.errors import ConfigError, SetupError
from lakehouse.jvm import class_archive, jars, java
from lakehouse.kafka.broker.node import running_pid
from lakehouse.kafka.broker.properties import answers, embeddable, free_port, port_is_free
from lakehouse.observability import log, web_access
from lakehouse.setup.pipeline_status import PipelineStatus
from lakehouse.setup.procfile import read_procfile
from lakehouse.setup.supervisor import FIRST, Supervisor, WhenIdle

PROCFILE = PROJECT / "Procfile"
DASHBOARD = "dashboard"
ARCHIVE_AFTER = 60.0
"""Seconds between Silver's first pass and the class archive's making: a new user looks at the page then."""


def run(config: Config, *, procfile: str | None = None, without: Collection[str] = ()) -> int:
    """Run until a signal (0), or until a process gives up (its code). Raises before anything starts.

    Every setting reaches the children through their environment, wherever it came from. A Kafka that is not on this
    machine, or that no certificate of ours is for, is used as it is, and the Procfile's broker is left out.
    """
    commands = read_procfile(Path(procfile) if procfile else PROCFILE)
    for name in without:
        if name not in commands:
            raise ConfigError(f"--without {name} is not accepted: expected one of {', '.join(commands)}.")
    left_out = set(without)
    if not embeddable(config):
        left_out.add(FIRST)
    if DASHBOARD in commands and DASHBOARD not in left_out:
        config = with_free_port(config)
    _java(config)
    for which in jars.wanted(config):  # once, here: the children would wait for each other
        if which == FIRST and FIRST in left_out:
            continue
        if which == "kafka" or config.development.jars == "lock":
            jars.resolve(config, which)
    status = PipelineStatus(config)
    supervisor = Supervisor(
        {name: command for name, command in commands.items() if name not in left_out},
        env={**os.environ, **settings.as_environment(config), log.SUPERVISED: "1"},
        folder=PROJECT,
        ready=lambda child: _serves(config, child),
        restart=config.development.restart_children,
        status=status.text,
        stopping=status.stopping,
        when_idle=_class_archive(config, status),
        kept=f"the data is kept in {config.delta.base_path}. The next make run goes on from there",
    )
    with status:
        return supervisor.run(when_up=lambda: _say_what_next(supervisor, config))


def _java(config: Config) -> None:
    """A Java, fetched where there is none; a JAVA_HOME that is passed over is warned of."""
    try:
        java.find(config)
    except SetupError:
        if config.development.java_home:
            raise
        java.install(config)
    if passed_over := java.unusable_java_home(config):
        print(f"warning: {passed_over} Type: unset JAVA_HOME", file=sys.stderr)


def _class_archive(config: Config, status: PipelineStatus) -> WhenIdle | None:
    """The class archive's making, once nobody waits: some time after Silver's first pass. None when it is there."""
    if config.development.jars != "lock" or class_archive.are_made(class_archive.paths(config)):
        return None
    passed: list[float] = []

    def due() -> bool:
        if not passed and status.silver_has_passed:
            passed.append(time.monotonic())
        return bool(passed) and time.monotonic() - passed[0] > ARCHIVE_AFTER

    return WhenIdle(
        [sys.executable, str(PROJECT / "setup_utils.py"), "archive"], due,
        "the classes of Spark and Kafka are archived in the background, at the lowest priority: later starts are faster",
    )  # fmt: skip


def with_free_port(config: Config) -> Config:
    """The settings with a port for the dashboard that is free now: its own, or, beside another pipeline's, any."""
    host, port = config.monitoring.dashboard_host, config.monitoring.dashboard_port
    if port and port_is_free(host, port):
        return config
    monitoring = dataclasses.replace(config.monitoring, dashboard_port=free_port())
    return dataclasses.replace(config, monitoring=monitoring)


def _serves(config: Config, child: int) -> bool:
    """Whether this very child's broker answers: another program on the port, or an earlier run's broker, is not it."""
    pid = running_pid(config)
    try:
        return pid is not None and child in {p.pid for p in psutil.Process(pid).parents()} and answers(config)
    except psutil.Error:
        return False


def dashboard_address(config: Config, port: int | None = None) -> str:
    """The dashboard's address for a browser on this machine, with the settings' port unless another is given. A wildcard
    address means this machine."""
    host = config.monitoring.dashboard_host
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"{web_access.scheme(config)}://{shown}:{port or config.monitoring.dashboard_port}/"


def _say_what_next(supervisor: Supervisor, config: Config) -> None:
    base = config.delta.base_path
    names = [child.name for child in supervisor.children]
    for line in (
        f"running: {', '.join(names)}; the first sale is on the page in half a minute, in the Silver figures a little later",
        *([f"open in a browser:  {dashboard_address(config)}"] if DASHBOARD in names else []),
        "see the figures, in a second terminal:  .venv/bin/python query_utils.py --batch",
        "is every process well:  .venv/bin/python ops_utils.py status",
        f"data: {base}   logs: {log.folder(config)}",
        "stop: Ctrl-C (in order, a few seconds). The next make run goes on from there",
    ):
        supervisor.say(line)
