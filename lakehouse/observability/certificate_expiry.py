"""When the certificates end that the settings name. An expired one stops every client that checks it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from lakehouse.config import Config, paths

NAMES = ("web", "authority", "broker")
SOON_DAYS = 30
"""Days before the end from which ``setup_utils.py check`` and the alert say so."""


def in_use(config: Config) -> dict[str, Path]:
    """What it is → its file: ``web`` (metrics and dashboard), ``authority`` (that Kafka's clients trust) and ``broker``
    (the embedded one's), as far as the settings use them."""
    found = {}
    if config.monitoring.web_certificate:
        found["web"] = Path(config.monitoring.web_certificate)
    if config.kafka.security_protocol.endswith("SSL"):
        if (authority := paths.ca_file(config)) is not None:
            found["authority"] = authority
        if (broker := paths.tls_folder(config) / "broker.pem").is_file():
            found["broker"] = broker
    return found


def end_of(file: Path) -> datetime:
    """When the first of a PEM file's certificates ends: a chain is as good as its weakest. Raises ``OSError``, or
    ``ValueError`` for a file without a certificate."""
    from cryptography.x509 import load_pem_x509_certificates

    return min(one.not_valid_after_utc for one in load_pem_x509_certificates(file.read_bytes()))


def ends(config: Config) -> dict[str, float]:
    """What it is → its end, in seconds since 1970; those that cannot be read are left out."""
    found = {}
    for name, file in in_use(config).items():
        try:
            found[name] = end_of(file).timestamp()
        except (OSError, ValueError):
            continue
    return found


def days_left(end: datetime, now: datetime | None = None) -> int:
    """Whole days; below 0: it has expired."""
    return (end - (now or datetime.now(UTC))).days
