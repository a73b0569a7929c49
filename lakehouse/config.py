"""The settings: one table, here, from which config.ini, the README's table and the parser all follow.

Each section is a frozen dataclass; each field is one setting with its type, default, unit and help. Sources, the
later winning: the default, ``config.ini`` (or ``--config FILE``), ``VENTES_<SECTION>__<KEY>`` in the environment.
A secret is never read from the ini file: it comes from the environment, or from the file (mode 0600) that the
``…_file`` setting beside it names. A relative path counts from the folder of the ini file.
"""

from __future__ import annotations

import configparser
import dataclasses
import difflib
import math
import os
import re
import stat
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lakehouse.errors import ConfigError

PROJECT = Path(__file__).resolve().parent.parent
DEFAULT_FILE = PROJECT / "config.ini"
ENV_PREFIX = "VENTES_"


class Secret(str):
    """A text that never shows itself in ``repr``."""

    def __repr__(self) -> str:
        return "'***'" if self else "''"


class FilePath(str):
    """A path or URI; a relative path is made absolute against the ini file's folder."""


class Rate(float):
    """Events a second; ``max`` (no pause) is infinity."""


def setting(default: Any, help: str, *, unit: str = "", low: float | None = None, high: float | None = None) -> Any:
    """One row of the settings table."""
    return field(default=default, metadata={"help": help, "unit": unit, "low": low, "high": high})


@dataclass(frozen=True)
class Kafka:
    bootstrap_servers: str = setting("localhost:9092", "brokers, host:port, comma-separated")
    topic: str = setting("ventes_stream", "topic that carries the sales")
    create_topic: bool = setting(True, "create the topic when it is missing; without it, a missing topic is an error")
    partitions: int = setting(4, "partitions of a topic that is created here", low=1, high=10_000)
    replication_factor: int = setting(1, "copies of each partition of a topic that is created here", low=1, high=100)
    retention: timedelta = setting(timedelta(days=7), "how long a topic created here keeps messages", low=1)
    max_message_bytes: int = setting(1_048_588, "largest message the topic accepts", unit="bytes", low=1024)
    controller_port: int = setting(
        0, "embedded broker: port of its controller; 0 takes the broker's port + 1", high=65535, low=0
    )
    heap: str = setting("512m", "embedded broker: Java heap (-Xmx)")
    request_timeout: timedelta = setting(timedelta(seconds=10), "how long a client waits for a broker's answer", low=1)
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = setting(
        "PLAINTEXT", "how clients talk to the brokers"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = setting(
        "SCRAM-SHA-512", "SASL mechanism, with a SASL security_protocol"
    )
    sasl_username: str = setting("", "SASL user, with a SASL security_protocol")
    sasl_password: Secret = setting(Secret(""), "SASL password (secret: environment or sasl_password_file only)")
    sasl_password_file: FilePath = setting(FilePath(""), "file (mode 0600) that holds the SASL password")
    ssl_cafile: FilePath = setting(FilePath(""), "PEM file of the certificate authority, with SSL or SASL_SSL")


@dataclass(frozen=True)
class Spark:
    master: str = setting("local[*]", "Spark master; spark-submit --master wins over it")
    app_name: str = setting("ventes", "prefix of the application names")
    driver_memory: str = setting("1g", "Java heap of the driver (plain python only; spark-submit has --driver-memory)")
    shuffle_partitions: int = setting(2, "spark.sql.shuffle.partitions; fixed for the life of a checkpoint", low=1)
    ui: bool = setting(False, "serve Spark's web interface")
    ui_port: int = setting(4040, "port of Spark's web interface", low=1, high=65535)
    log_level: Literal["ERROR", "WARN", "INFO", "DEBUG"] = setting("ERROR", "level of Spark's own log lines")
    conf: str = setting("", "more Spark settings, one key=value a line; they win over the project's")


@dataclass(frozen=True)
class Delta:
    base_path: FilePath = setting(
        FilePath("data"), "root of all that a run writes: tables, checkpoints, broker data, logs; a path or a URI"
    )
    checkpoint_interval: int = setting(50, "commits between two checkpoints of a table's log", low=1)
    log_retention: timedelta = setting(timedelta(days=30), "how long a table's log entries are kept", low=1)
    deleted_file_retention: timedelta = setting(
        timedelta(days=7), "how long files that left a table stay on disk, for time travel", low=1
    )
    auto_compact: bool = setting(True, "merge small files inside the writer after a commit")
    auto_compact_min_files: int = setting(60, "small files in one partition that start a compaction", low=2)
    snapshot_partitions: int = setting(1, "tasks that rebuild a table's state", low=1)
    lock_timeout: timedelta = setting(timedelta(0), "how long a job waits for another writer's lock", low=0)


@dataclass(frozen=True)
class Streaming:
    watermark_delay: timedelta = setting(timedelta(minutes=10), "how late a sale may be and still be on time", low=1)
    future_tolerance: timedelta = setting(
        timedelta(minutes=5), "how far a sale may lie after the broker's clock; at most watermark_delay", low=0
    )
    trigger_interval: timedelta = setting(timedelta(seconds=1), "pause between the starts of two micro-batches", low=0)
    max_offsets_per_trigger: int = setting(500_000, "messages in one micro-batch, at most", low=1)
    starting_offsets: Literal["earliest", "latest"] = setting("earliest", "where a new checkpoint starts to read")
    max_restarts: int = setting(
        20, "restarts of the query in a row after passing faults, before the job gives up", low=0
    )
    restart_delay: timedelta = setting(
        timedelta(seconds=2), "first pause before such a restart; doubles up to 30 s", low=0
    )


@dataclass(frozen=True)
class Producer:
    rate: Rate = setting(Rate(0.5), "sales a second; max for no pause", low=0)
    clients: int = setting(200, "clients in the pool", low=1, high=1_000_000)
    duplicate_ratio: float = setting(0.0, "share of sales that are sent again", low=0, high=1)
    late_ratio: float = setting(0.0, "share of sales that are late by more than the watermark", low=0, high=1)
    malformed_ratio: float = setting(0.0, "share of messages that break the contract", low=0, high=1)
    linger: timedelta = setting(timedelta(milliseconds=5), "how long kafka-python waits to fill a batch", low=0)
    batch_size: int = setting(65_536, "largest batch of messages for one partition", unit="bytes", low=1)
    buffer_memory: int = setting(33_554_432, "messages that wait for the broker, at most", unit="bytes", low=1024)
    compression: Literal["none", "gzip", "lz4"] = setting("lz4", "compression of message batches")
    delivery_timeout: timedelta = setting(
        timedelta(minutes=2), "how long a message is retried before it counts as failed", low=1
    )


@dataclass(frozen=True)
class Analytics:
    timezone: ZoneInfo = setting(ZoneInfo("UTC"), "business time zone: it decides a sale's jour and heure")
    seuil_premium: Decimal = setting(Decimal("500"), "total_depense from which a client's day is Premium", unit="EUR")
    seuil_standard: Decimal = setting(Decimal("100"), "total_depense from which it is Standard", unit="EUR")
    achats_fidele: int = setting(2, "nb_achats from which a client is loyal (est_client_fidele)", low=1)
    top_clients: int = setting(5, "clients in the report's top list", low=1)
    dernieres_ventes: int = setting(10, "latest sales in the report", low=1)
    silver_every: timedelta = setting(timedelta(seconds=60), "pause between Silver passes in make run", low=1)


@dataclass(frozen=True)
class Monitoring:
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = setting("INFO", "level of the project's log lines")
    log_format: Literal["text", "json"] = setting("text", "text for people, json for machines")
    progress_interval: timedelta = setting(timedelta(seconds=10), "pause between two progress lines of a job", low=0)
    min_free_disk: int = setting(2, "free disk that check asks for", unit="GiB", low=0)


@dataclass(frozen=True)
class Performance:
    small_batch_rows: int = setting(50_000, "a batch up to this many rows is written as one file", unit="rows", low=0)
    open_writers: int = setting(32, "date partitions one task writes at once without sorting", low=0)
    max_partition_fetch_bytes: int = setting(8_388_608, "Bronze: fetch size for one partition", unit="bytes", low=1024)
    fetch_max_bytes: int = setting(67_108_864, "Bronze: fetch size for one request", unit="bytes", low=1024)
    fetch_max_wait: timedelta = setting(timedelta(milliseconds=50), "Bronze: longest wait for a fetch to fill", low=0)
    broadcast_rows: int = setting(50_000, "old rows up to which the exact door broadcasts them", unit="rows", low=0)
    max_files_per_trigger: int = setting(1000, "Silver: Bronze files in one micro-batch, at most", unit="files", low=1)
    silver_parallelism: int = setting(2, "Silver tables refreshed side by side", low=1, high=16)


@dataclass(frozen=True)
class Development:
    cache_dir: FilePath = setting(FilePath(".cache"), "folder of the JARs, and of a Java that set-up fetched")
    java_home: FilePath = setting(FilePath(""), "Java to use; empty: JAVA_HOME, then PATH, then the usual folders")
    jars: Literal["lock", "provided"] = setting(
        "lock", "lock: the files of jars.lock; provided: the cluster or spark-submit --packages brings them"
    )
    restart_children: bool = setting(True, "make run: start a process again that died from a signal or a fault")


@dataclass(frozen=True)
class Config:
    """All settings, read-only. ``source`` is the ini file that was read."""

    kafka: Kafka = Kafka()
    spark: Spark = Spark()
    delta: Delta = Delta()
    streaming: Streaming = Streaming()
    producer: Producer = Producer()
    analytics: Analytics = Analytics()
    monitoring: Monitoring = Monitoring()
    performance: Performance = Performance()
    development: Development = Development()
    source: Path = DEFAULT_FILE


@dataclass(frozen=True)
class SettingRow:
    """One setting as the documents show it."""

    section: str
    key: str
    type: str
    default: str
    unit: str
    help: str
    annotation: Any
    low: float | None
    high: float | None

    @property
    def env(self) -> str:
        return f"{ENV_PREFIX}{self.section}__{self.key.upper()}"


_UNITS = {
    "ms": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "s": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
}  # fmt: skip


def parse_duration(text: str) -> timedelta:
    """``"10 minutes"``, ``"500 ms"``, ``"0 seconds"`` → timedelta; raises ``ValueError`` otherwise."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if match is None or match[2] not in _UNITS:
        raise ValueError("a number and a unit, such as '10 minutes', '1 second' or '500 ms'")
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise ValueError("a shorter duration") from None


def format_duration(value: timedelta) -> str:
    """The largest unit that gives a whole number: ``timedelta(minutes=10)`` → ``"10 minutes"``."""
    milliseconds = round(value / timedelta(milliseconds=1))
    for name, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000)):
        if milliseconds % size == 0 and milliseconds >= size:
            count = milliseconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{milliseconds} ms"


def _parse_bool(text: str) -> bool:
    known = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _parse_int(text: str) -> int:
    if not re.fullmatch(r"\s*[+-]?\d[\d_]*\s*", text):
        raise ValueError("a whole number")
    return int(text)


def parse_float(text: str) -> float:
    """A finite number, or ``ValueError``."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def parse_rate(text: str) -> Rate:
    """``"0.5"`` → 0.5 a second; ``"max"`` → infinity; zero and below are refused."""
    if text.strip().lower() == "max":
        return Rate(math.inf)
    value = parse_float(text)
    if value <= 0:
        raise ValueError("a number above 0, or max")
    return Rate(value)


def _parse_decimal(text: str) -> Decimal:
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise ValueError("a decimal number such as 500 or 99.99") from None
    if not value.is_finite() or value < 0:
        raise ValueError("a decimal number of 0 or more")
    return value


def _parse_zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text.strip())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("an IANA time zone such as UTC or Europe/Paris") from None


def _parse_text(text: str) -> str:
    return text.strip()


PARSERS: Mapping[Any, Callable[[str], Any]] = {
    str: _parse_text,
    Secret: Secret,
    FilePath: lambda text: FilePath(text.strip()),
    int: _parse_int,
    float: parse_float,
    bool: _parse_bool,
    Rate: parse_rate,
    Decimal: _parse_decimal,
    timedelta: parse_duration,
    ZoneInfo: _parse_zone,
}
_TYPE_NAMES: Mapping[Any, str] = {
    str: "text", Secret: "secret", FilePath: "path", int: "integer", float: "number", bool: "boolean",
    Rate: "rate", Decimal: "decimal", timedelta: "duration", ZoneInfo: "time zone",
}  # fmt: skip


def format_value(value: Any) -> str:
    """A setting's value as config.ini writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Rate):
        return "max" if math.isinf(value) else f"{float(value):g}"
    if isinstance(value, Secret):
        return ""
    return str(value)


def _sections() -> dict[str, type[Any]]:
    hints = typing.get_type_hints(Config)
    return {f.name.upper(): hints[f.name] for f in dataclasses.fields(Config) if f.name != "source"}


def settings() -> Iterator[SettingRow]:
    """Every setting, in the order of the table above."""
    for section, cls in _sections().items():
        hints = typing.get_type_hints(cls)
        for item in dataclasses.fields(cls):
            annotation = hints[item.name]
            name = _TYPE_NAMES.get(annotation) or " | ".join(typing.get_args(annotation))
            meta = item.metadata
            yield SettingRow(
                section, item.name, name, format_value(item.default), meta["unit"], meta["help"], annotation,
                meta["low"], meta["high"],
            )  # fmt: skip


def _parse(row: SettingRow, text: str, origin: str) -> Any:
    where = f"[{row.section}] {row.key} = {'***' if row.annotation is Secret else repr(text)} ({origin})"
    try:
        if typing.get_origin(row.annotation) is Literal:
            choices = typing.get_args(row.annotation)
            if text.strip() not in choices:
                raise ValueError(f"one of {', '.join(choices)}")
            return text.strip()
        value = PARSERS[row.annotation](text)
        size = value.total_seconds() if isinstance(value, timedelta) else value
        unit = " seconds" if isinstance(value, timedelta) else ""
        if row.low is not None and size < row.low:
            raise ValueError(f"a value of {row.low:g}{unit} or more")
        if row.high is not None and size > row.high:
            raise ValueError(f"a value of {row.high:g}{unit} or less")
        return value
    except ValueError as error:
        raise ConfigError(f"{where} is not accepted: expected {error}.") from None


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f" Did you mean {close[0]}?" if close else f" Known: {', '.join(known)}."


def _read_ini(path: Path) -> configparser.ConfigParser:
    ini = configparser.ConfigParser(interpolation=None, default_section="")
    ini.optionxform = str  # type: ignore[assignment,method-assign]  # keys are compared as they are written
    try:
        with path.open(encoding="utf-8") as stream:
            ini.read_file(stream)
    except FileNotFoundError:
        raise ConfigError(f"No such settings file: {path}. Give an existing one with --config FILE.") from None
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"The settings file {path} cannot be read: {text}") from None
    return ini


def _collect(
    ini: configparser.ConfigParser, path: Path, env: Mapping[str, str]
) -> dict[tuple[str, str], tuple[str, str]]:
    """(section, key) → (text, where it came from), after the names were checked."""
    table = {(row.section, row.key): row for row in settings()}
    names = list(_sections())
    texts: dict[tuple[str, str], tuple[str, str]] = {}
    for section in ini.sections():
        if section not in names:
            raise ConfigError(f"Unknown section [{section}] in {path}.{_nearest(section, names)}")
        for key, text in ini[section].items():
            _check_key(table, section, key, f"in {path}")
            if table[section, key].annotation is Secret and text:
                raise ConfigError(
                    f"[{section}] {key} is a secret and may not stand in {path}: set {ENV_PREFIX}{section}__{key.upper()} "
                    f"in the environment, or [{section}] {key}_file to a file with mode 0600."
                )
            texts[section, key] = (text, str(path))
    for name, text in env.items():
        if not name.startswith(ENV_PREFIX):
            continue
        section, sep, key = name.removeprefix(ENV_PREFIX).partition("__")
        if not sep or section not in names:
            raise ConfigError(
                f"Unknown setting {name} in the environment: expected {ENV_PREFIX}<SECTION>__<KEY>."
                + _nearest(section, names)
            )
        _check_key(table, section, key.lower(), f"({name} in the environment)")
        texts[section, key.lower()] = (text, name)
    return texts


def _check_key(table: Mapping[tuple[str, str], SettingRow], section: str, key: str, origin: str) -> None:
    if (section, key) not in table:
        known = [k for s, k in table if s == section]
        raise ConfigError(f"Unknown key {key!r} in section [{section}] {origin}.{_nearest(key, known)}")


def _absolute(path: FilePath, folder: Path) -> FilePath:
    if not path or "://" in path:
        return path
    return FilePath((folder / Path(path).expanduser()).resolve())


def _read_secret(path: FilePath, key: str) -> Secret:
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if mode & 0o077:
            raise ConfigError(f"[KAFKA] {key} names {path}, which others can read (mode {mode:04o}): chmod 600 {path}")
        return Secret(Path(path).read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(f"[KAFKA] {key} names {path}, which cannot be read: {error.strerror}.") from None


def _check_together(config: Config) -> None:
    """Rules that bind two settings."""
    streaming, analytics, kafka, producer = config.streaming, config.analytics, config.kafka, config.producer
    if streaming.future_tolerance > streaming.watermark_delay:
        raise ConfigError(
            f"[STREAMING] future_tolerance ({format_duration(streaming.future_tolerance)}) may not exceed watermark_delay "
            f"({format_duration(streaming.watermark_delay)}): a future sale's duplicate could then outlive the memory of it."
        )
    if analytics.seuil_standard > analytics.seuil_premium:
        raise ConfigError(
            f"[ANALYTICS] seuil_standard ({analytics.seuil_standard}) may not exceed seuil_premium ({analytics.seuil_premium})."
        )
    if producer.duplicate_ratio + producer.late_ratio + producer.malformed_ratio > 1:
        raise ConfigError("[PRODUCER] duplicate_ratio + late_ratio + malformed_ratio may not exceed 1.")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", kafka.topic):
        raise ConfigError(
            f"[KAFKA] topic = {kafka.topic!r} is not accepted: letters, digits, '.', '_', '-', at most 249."
        )
    for server in kafka.bootstrap_servers.split(","):
        if not re.fullmatch(r"\s*\[?[A-Za-z0-9._:-]+\]?:\d{1,5}\s*", server):
            raise ConfigError(f"[KAFKA] bootstrap_servers: {server!r} is not accepted: expected host:port.")
    for section, key, text in (("SPARK", "driver_memory", config.spark.driver_memory), ("KAFKA", "heap", kafka.heap)):
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", text):
            raise ConfigError(f"[{section}] {key} = {text!r} is not accepted: expected a size such as 512m or 1g.")
    for line in filter(None, map(str.strip, config.spark.conf.splitlines())):
        if not re.fullmatch(r"spark\.[^=\s]+\s*=.*", line):
            raise ConfigError(f"[SPARK] conf: {line!r} is not accepted: expected spark.some.key=value, one a line.")
    if kafka.security_protocol.startswith("SASL") and not (kafka.sasl_username and kafka.sasl_password):
        raise ConfigError(
            f"[KAFKA] security_protocol = {kafka.security_protocol} needs sasl_username and a password: set "
            f"{ENV_PREFIX}KAFKA__SASL_PASSWORD or sasl_password_file."
        )


def load(path: Path | str | None = None, env: Mapping[str, str] | None = None) -> Config:
    """Read, type and check every setting. Raises ``ConfigError`` with one sentence; starts nothing."""
    source = Path(path).expanduser().resolve() if path else DEFAULT_FILE
    texts = _collect(_read_ini(source), source, os.environ if env is None else env)
    values: dict[str, dict[str, Any]] = {section: {} for section in _sections()}
    for row in settings():
        if (row.section, row.key) in texts:
            text, origin = texts[row.section, row.key]
            value = _parse(row, text, origin)
        else:
            value = PARSERS.get(row.annotation, str)(row.default)
        values[row.section][row.key] = _absolute(value, source.parent) if isinstance(value, FilePath) else value
    kafka = values["KAFKA"]
    if kafka["sasl_password_file"] and not kafka["sasl_password"]:
        kafka["sasl_password"] = _read_secret(kafka["sasl_password_file"], "sasl_password_file")
    built = {section.lower(): cls(**values[section]) for section, cls in _sections().items()}
    config = Config(**built, source=source)
    _check_together(config)
    return config


def as_environment(config: Config) -> dict[str, str]:
    """The same settings as environment overrides, for a child process. Secrets are included."""
    return {
        row.env: str(value) if isinstance(value, Secret) else format_value(value)
        for row in settings()
        for value in [getattr(getattr(config, row.section.lower()), row.key)]
    }


def ini_text() -> str:
    """The text of the config.ini that ships with the project: every setting at its default, with its help."""
    lines = [
        "# Every setting of the project, at its default. Any of them can be overridden by the environment:",
        "# VENTES_<SECTION>__<KEY>, for example VENTES_KAFKA__TOPIC=essai. Unknown keys are refused.",
    ]
    section = ""
    for row in settings():
        if row.section != section:
            section = row.section
            lines += ["", f"[{section}]"]
        unit = f" [{row.unit}]" if row.unit else ""
        lines.append(f"# {row.help} ({row.type}){unit}")
        lines.append(f"# {row.key} =" if row.annotation is Secret else f"{row.key} = {row.default}".rstrip())
    return "\n".join(lines) + "\n"
