"""Settings: ``config.ini`` and the environment, read, typed and checked into a frozen ``Config``.

Used by every package but ``contract``.
Import: the names below; ``paths`` and ``secrets`` as modules.
"""

from __future__ import annotations

from lakehouse.config.fields import (
    DEFAULT_FILE,
    ENV_PREFIX,
    PARSERS,
    PROJECT,
    FilePath,
    Rate,
    Secret,
    format_duration,
    parse_duration,
    parse_float,
    parse_rate,
)
from lakehouse.config.loader import as_environment, ini_text, load
from lakehouse.config.settings import Config, Monitoring, settings

__all__ = [
    "DEFAULT_FILE", "ENV_PREFIX", "PARSERS", "PROJECT", "Config", "FilePath", "Monitoring", "Rate", "Secret",
    "as_environment", "format_duration", "ini_text", "load", "parse_duration", "parse_float", "parse_rate", "settings",
]  # fmt: skip
