"""Checks of everything that a run needs, as a list of results; the caller shows them."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from lakehouse.config import PROJECT, Config, paths
from lakehouse.entry_point import OLDEST_PYTHON
from lakehouse.errors import BrokerUnavailable, LakehouseError, SetupError
from lakehouse.jvm import jars, java
from lakehouse.kafka.broker.properties import answers, embeddable, nodes, port_is_free
from lakehouse.observability import certificate_expiry, metrics, run_files
from lakehouse.setup.pipeline import dashboard_address

REQUIREMENTS = PROJECT / "requirements.txt"
GIB = 1024**3
PIPELINE = "Pipeline"
"""Name of the result that is there only while processes run with this data folder."""


@dataclass(frozen=True)
class CheckResult:
    """One line of the check. ``missing`` fails it; ``info`` is worth knowing, and fails nothing."""

    name: str
    status: Literal["ok", "missing", "info"]
    detail: str
    fix: str = ""


def ok(name: str, detail: str) -> CheckResult:
    """A check that passed."""
    return CheckResult(name, "ok", detail)


def missing(name: str, detail: str, fix: str) -> CheckResult:
    """A check that failed, with the command that fixes it."""
    return CheckResult(name, "missing", detail, fix)


def run(config: Config) -> list[CheckResult]:
    """Every check, in the order in which a person would fix them. Writes nothing but a probe file that it removes."""
    return [
        python(sys.version_info[:3]),
        packages(REQUIREMENTS),
        java_runtime(config),
        *java_home(config),
        *(jar_set(config, which) for which in jars.wanted(config)),
        *folders(config),
        disk(config),
        *broker(config),
        *pipeline(config),
        *certificates(config),
    ]


def python(version: tuple[int, ...]) -> CheckResult:
    """The version of Python."""
    text = ".".join(map(str, version))
    if version[:2] >= OLDEST_PYTHON:
        return ok("Python", f"{text}, {sys.executable}")
    return missing("Python", f"{text} is older than 3.11", "install Python 3.11 or newer, then: make setup")


def pins(requirements: Path) -> list[tuple[str, str]]:
    """Every ``name==version`` line, in the file's order; one with a condition is some other platform's."""
    return re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", requirements.read_text(encoding="utf-8"), re.MULTILINE)


def packages(requirements: Path, version_of: Callable[[str], str] = importlib.metadata.version) -> CheckResult:
    """Every ``name==version`` line against what is installed here."""
    wrong = []
    for name, wanted in pins(requirements):
        try:
            found = version_of(name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{name} {wanted} is not installed")
            continue
        if found != wanted:
            wrong.append(f"{name} is {found}, not {wanted}")
    if not wrong:
        return ok("Packages", f"{len(pins(requirements))} as pinned in {requirements.name}")
    return missing("Packages", "; ".join(wrong), "make -B setup")


def java_runtime(config: Config) -> CheckResult:
    """A Java that Spark and Kafka run on."""
    try:
        found = java.find(config)
    except SetupError as error:
        return missing("Java", str(error).splitlines()[0], "python setup_utils.py java")
    return ok("Java", f"{found.version}, {found.home}")


def java_home(config: Config) -> list[CheckResult]:
    """A JAVA_HOME that is passed over; nothing when it fits, or is not set."""
    why = java.unusable_java_home(config)
    return [CheckResult("JAVA_HOME", "info", why, "unset JAVA_HOME")] if why else []


def jar_set(config: Config, which: jars.Set) -> CheckResult:
    """The set's files against the hashes of jars.lock."""
    name = f"JARs: {which}"
    if which != "kafka" and config.development.jars == "provided":
        return CheckResult(name, "info", "brought by the cluster or by spark-submit --packages ([DEVELOPMENT] jars)")
    try:
        total, faulty = len(jars.read_lock()[which]), jars.faulty(config, which)
    except (SetupError, OSError) as error:
        return missing(name, str(error), "git checkout jars.lock")
    place = jars.folder(config, which)
    if not faulty:
        return ok(name, f"{total} with the right SHA-256 in {place}")
    absent = [jar for jar in faulty if not (place / jar.filename).is_file()]
    damaged = [jar.coordinate for jar in faulty if jar not in absent]
    details = [f"{len(absent)} of {total} are not in {place}"] if absent else []
    details += [f"wrong SHA-256: {', '.join(damaged)}"] if damaged else []
    return missing(name, "; ".join(details), "python setup_utils.py jars")


def folders(config: Config) -> list[CheckResult]:
    """Whether the data and cache folders can be written, or made. A URI is not checked."""
    results = []
    for name, text, setting in (
        ("Data folder", config.delta.base_path, "[DELTA] base_path"),
        *([("State folder", str(paths.state(config)), "[DELTA] state_path")] if paths.is_remote(config) else []),
        ("Cache folder", config.development.cache_dir, "[DEVELOPMENT] cache_dir"),
    ):
        if paths.is_uri(text):
            results.append(CheckResult(name, "info", f"{text} is a URI and is not checked"))
        elif problem := _cannot_write(Path(text)):
            results.append(missing(name, problem, f"set {setting} in config.ini to a folder that you can write"))
        else:
            results.append(ok(name, f"{text} can be written"))
    return results


def disk(config: Config) -> CheckResult:
    """Free space for a run."""
    wanted = config.monitoring.min_free_disk
    place = _existing(paths.state(config))
    free = shutil.disk_usage(place).free / GIB
    if free >= wanted:
        return ok("Disk", f"{free:.1f} GiB free at {place}")
    return missing(
        "Disk",
        f"{free:.1f} GiB free at {place}, {wanted} GiB wanted",
        "free some space, or set [DELTA] base_path to another disk, or [MONITORING] min_free_disk lower",
    )


def pipeline(config: Config) -> list[CheckResult]:
    """The pipeline of this data folder where it runs, and the dashboard's port where no dashboard does."""
    living = {one.process: one for one in run_files.read(config).values() if one.here and one.alive}
    results = []
    if living:
        names = ", ".join(name for name in metrics.PROCESSES if name in living)
        results.append(ok(PIPELINE, f"runs: {names}; data in {config.delta.base_path}"))
    if served := _dashboard_address(config, living.get("dashboard")):
        return [*results, ok("Dashboard", f"runs: {served}")]
    return [*results, _dashboard_port(config)]


def _dashboard_address(config: Config, run: run_files.RunFile | None) -> str | None:
    """Where the living dashboard ``run`` serves its pages. ``make run`` may have given it another port than the settings'."""
    if run is None:
        return None
    try:
        open_sockets = psutil.Process(run.pid).net_connections("inet")
    except psutil.Error:
        return None
    ports = {one.laddr.port for one in open_sockets if one.status == psutil.CONN_LISTEN} - {run.port}
    return dashboard_address(config, min(ports)) if ports else None


def _dashboard_port(config: Config) -> CheckResult:
    host, port = config.monitoring.dashboard_host, config.monitoring.dashboard_port
    if not port or port_is_free(host, port):
        return ok("Dashboard", f"port {port or 'of its choice'} is free on {host}")
    return CheckResult(
        "Dashboard", "info", f"port {port} is held by another program, or by another pipeline's dashboard",
        "VENTES_MONITORING__DASHBOARD_PORT=0 python dashboard.py",
    )  # fmt: skip


def certificates(config: Config) -> list[CheckResult]:
    """How long each certificate that the settings name is still valid; nothing without TLS."""
    return [_certificate(name, file, config) for name, file in certificate_expiry.in_use(config).items()]


def _certificate(name: str, file: Path, config: Config) -> CheckResult:
    ours = file.parent == paths.tls_folder(config)
    # a new authority signs new certificates
    old = f"{file.parent}/*.pem" if name == "authority" else str(file)
    renewing = f"rm {old}; python setup_utils.py tls" if ours else f"put a new certificate into {file}"
    fix, title = f"{renewing}; then restart the processes that use it", f"Certificate: {name}"
    try:
        end = certificate_expiry.end_of(file)
    except (OSError, ValueError) as error:
        return missing(title, f"{file} cannot be read: {error}", fix)
    left = certificate_expiry.days_left(end)
    if left < 0:
        return missing(title, f"{file} expired on {end:%Y-%m-%d}", fix)
    detail = f"{file} is valid for {left} more days, until {end:%Y-%m-%d}"
    return ok(title, detail) if left > certificate_expiry.SOON_DAYS else CheckResult(title, "info", detail, fix)


def broker(config: Config) -> list[CheckResult]:
    """The ports, and whether Kafka answers. A broker that does not run yet is nothing missing: make run starts it."""
    start = CheckResult("Broker", "info", "not running", "make run   (or: python setup_utils.py kafka)")
    if not embeddable(config):
        return [_answering_broker(config)]
    if answers(config):
        return [ok("Ports", f"a Kafka broker holds {config.kafka.bootstrap_servers}"), _answering_broker(config)]
    wanted = [(node.host, port) for node in nodes(config) for port in (node.port, node.controller_port)]
    host, taken = wanted[0][0], [str(port) for place, port in wanted if not port_is_free(place, port)]
    if not taken:
        return [ok("Ports", f"{' and '.join(str(port) for _, port in wanted)} are free on {host}"), start]
    fix = "stop the program that holds it, or: export VENTES_KAFKA__BOOTSTRAP_SERVERS=localhost:19092"
    return [missing("Ports", f"{', '.join(taken)} on {host}: taken by a program that is no Kafka broker", fix), start]


def _answering_broker(config: Config) -> CheckResult:
    from lakehouse.kafka.clients import describe_topic  # kafka-python takes 0.2 s, and only this needs it

    where = f"answers at {config.kafka.bootstrap_servers}"
    try:
        topic = describe_topic(config)
    except BrokerUnavailable as error:
        return missing("Broker", str(error), "start it, or name another in [KAFKA] bootstrap_servers")
    except LakehouseError as error:
        return CheckResult("Broker", "info", f"{where}; {error}", "python setup_utils.py topic")
    held = f"{where}, topic {topic.name} with {topic.partitions} partitions"
    if topic.replication_factor == 1:
        return ok("Broker", held)
    copies = f"{held}, {topic.in_sync} of {topic.replication_factor} copies in step"
    if topic.in_sync == topic.replication_factor:
        return ok("Broker", copies)
    return CheckResult("Broker", "info", copies, "start the brokers that are missing")


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _cannot_write(path: Path) -> str:
    """Why no file can be made there, or nothing. Tried for real: a file's mode does not apply to root, nor always on a network disk."""
    place = _existing(path)
    if not place.is_dir():
        return f"{place} is not a folder"
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as error:
        return f"{place} cannot be written: {os.strerror(error.errno or 0)}"
