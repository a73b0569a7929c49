"""EDGE. Reading the settings: ``config.ini`` and the environment into a frozen ``Config``.

Sources, the later winning: the default, ``config.ini`` (or ``--config FILE``), ``VENTES_<SECTION>__<KEY>`` in the
environment. A secret is never read from the ini file: it comes from the environment, or from the file (mode 0600)
that the ``…_file`` setting beside it names. A relative path counts from the folder of the ini file.
"""

from __future__ import annotations

import configparser
import difflib
import ipaddress
import os
import re
import stat
import typing
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from lakehouse.errors import ConfigError
from lakehouse.parsing import (
    PARSERS,
    FilePath,
    Rate,
    Secret,
    format_duration,
    format_value,
    parse_duration,
    parse_float,
    parse_rate,
)
from lakehouse.settings import (
    DEFAULT_FILE,
    ENV_PREFIX,
    PROJECT,
    Config,
    Monitoring,
    SettingRow,
    sections,
    settings,
)

__all__ = [
    "DEFAULT_FILE", "ENV_PREFIX", "PARSERS", "PROJECT", "Config", "FilePath", "Monitoring", "Rate", "Secret",
    "as_environment", "check_private", "format_duration", "ini_text", "is_loopback", "load", "parse_duration", "parse_float", "parse_rate", "read_secret", "settings",
]  # fmt: skip


_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\]):\d{1,5}"
_MASTERS = rf"local(?:\[(?:\*|[1-9]\d*)(?:,\s*[1-9]\d*)?\])?|spark://{_HOST}(?:,{_HOST})*|k8s://(?:https?://)?\S+|yarn"


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


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
    names = list(sections())
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


def check_private(path: Path | str, setting: str) -> None:
    """Raise ``ConfigError`` when others can read a file of secrets, or when it cannot be read at all."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise ConfigError(f"{setting} names {path}, which cannot be read: {error.strerror}.") from None
    mode = stat.S_IMODE(status.st_mode)
    # a file that is not our own (a secret that Kubernetes mounts) can be read by our group at best
    if mode & (0o077 if status.st_uid == os.getuid() else 0o007):
        raise ConfigError(f"{setting} names {path}, which others can read (mode {mode:04o}): chmod 600 {path}")


def read_secret(path: Path | str, setting: str) -> Secret:
    """The text of a file that its owner alone can read. Raises ``ConfigError``."""
    check_private(path, setting)
    try:
        return Secret(Path(path).read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(f"{setting} names {path}, which cannot be read: {error.strerror}.") from None


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
    named = len(kafka.bootstrap_servers.split(","))
    if kafka.brokers > 1 and 1 < named < kafka.brokers:
        raise ConfigError(
            f"[KAFKA] brokers = {kafka.brokers} is not accepted with {named} bootstrap_servers: name all "
            f"{kafka.brokers}, or the first alone."
        )
    for section, key, text in (("SPARK", "driver_memory", config.spark.driver_memory), ("KAFKA", "heap", kafka.heap)):
        if not re.fullmatch(r"[1-9]\d*[kmgKMG]", text):
            raise ConfigError(f"[{section}] {key} = {text!r} is not accepted: expected a size such as 512m or 1g.")
    if not re.fullmatch(_MASTERS, config.spark.master):
        raise ConfigError(
            f"[SPARK] master = {config.spark.master!r} is not accepted: expected local[*], local[N], "
            f"spark://host:7077, k8s://https://host:443 or yarn."
        )
    for line in filter(None, map(str.strip, config.spark.conf.splitlines())):
        if not re.fullmatch(r"spark\.[^=\s]+\s*=.*", line):
            raise ConfigError(f"[SPARK] conf: {line!r} is not accepted: expected spark.some.key=value, one a line.")
    if kafka.security_protocol.startswith("SASL") and bool(kafka.sasl_username) != bool(kafka.sasl_password):
        raise ConfigError(
            f"[KAFKA] security_protocol = {kafka.security_protocol} needs sasl_username and a password: set "
            f"{ENV_PREFIX}KAFKA__SASL_PASSWORD or sasl_password_file."
        )
    monitoring = config.monitoring
    if monitoring.web_password and not monitoring.web_certificate:
        raise ConfigError(
            "[MONITORING] web_password without web_certificate is not accepted: the password would travel in the clear. "
            "Type: python setup_utils.py tls, and set web_certificate to the web.pem that it makes."
        )
    for key, host in (("metrics_host", monitoring.metrics_host), ("dashboard_host", monitoring.dashboard_host)):
        if not is_loopback(host) and not monitoring.web_password:
            raise ConfigError(
                f"[MONITORING] {key} = {host} is not accepted without a password and TLS: whoever reaches it could read "
                f"the figures. Set web_certificate and web_password_file (or {ENV_PREFIX}MONITORING__WEB_PASSWORD), or "
                f"{key} = 127.0.0.1."
            )


def load(path: Path | str | None = None, env: Mapping[str, str] | None = None) -> Config:
    """Read, type and check every setting. Raises ``ConfigError`` with one sentence; starts nothing."""
    source = Path(path).expanduser().resolve() if path else DEFAULT_FILE
    texts = _collect(_read_ini(source), source, os.environ if env is None else env)
    values: dict[str, dict[str, Any]] = {section: {} for section in sections()}
    for row in settings():
        if (row.section, row.key) in texts:
            text, origin = texts[row.section, row.key]
            value = _parse(row, text, origin)
        else:
            value = PARSERS.get(row.annotation, str)(row.default)
        values[row.section][row.key] = _absolute(value, source.parent) if isinstance(value, FilePath) else value
    kafka = values["KAFKA"]
    if kafka["sasl_password_file"] and not kafka["sasl_password"]:
        kafka["sasl_password"] = read_secret(kafka["sasl_password_file"], "[KAFKA] sasl_password_file")
    web = values["MONITORING"]
    if web["web_password_file"] and not web["web_password"]:
        web["web_password"] = read_secret(web["web_password_file"], "[MONITORING] web_password_file")
    built = {section.lower(): cls(**values[section]) for section, cls in sections().items()}
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
