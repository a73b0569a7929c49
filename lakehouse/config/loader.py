"""Reading the settings: ``config.ini`` and the environment into a frozen ``Config``.

Sources, the later winning: the default, ``config.ini`` (or ``--config FILE``), ``VENTES_<SECTION>__<KEY>`` in the
environment. A secret is never read from the ini file: it comes from the environment, or from the file (mode 0600)
that the ``…_file`` setting beside it names. A relative path counts from the folder of the ini file.
"""

from __future__ import annotations

import configparser
import difflib
import os
import typing
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from lakehouse import crash_points
from lakehouse.config import paths, rules, text_file
from lakehouse.config.fields import (
    DEFAULT_FILE,
    ENV_PREFIX,
    PARSERS,
    FilePath,
    Secret,
    SettingRow,
    format_value,
)
from lakehouse.config.secrets import read_secret
from lakehouse.config.settings import Config, sections, settings
from lakehouse.errors import ConfigError


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
        ini.read_string(text_file.read(path, "The settings file"), str(path))
    except FileNotFoundError:
        raise ConfigError(f"No such settings file: {path}. Give an existing one with --config FILE.") from None
    except (OSError, configparser.Error) as error:
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
        if not name.startswith(ENV_PREFIX) or name in crash_points.NAMES:
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
    if not path or paths.is_uri(path):
        return path
    return FilePath((folder / Path(path).expanduser()).resolve())


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
    s3 = values["S3"]
    if s3["secret_key_file"] and not s3["secret_key"]:
        s3["secret_key"] = read_secret(s3["secret_key_file"], "[S3] secret_key_file")
    web = values["MONITORING"]
    if web["web_password_file"] and not web["web_password"]:
        web["web_password"] = read_secret(web["web_password_file"], "[MONITORING] web_password_file")
    built = {section.lower(): cls(**values[section]) for section, cls in sections().items()}
    config = Config(**built, source=source)
    rules.check(config)
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
