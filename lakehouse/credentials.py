"""EDGE. Who this process is to Kafka, and whom it believes: users, passwords and the authority's certificate."""

from __future__ import annotations

from pathlib import Path

from lakehouse.config import Config
from lakehouse.errors import ConfigError
from lakehouse.private_files import read_secret


def folder(config: Config) -> Path:
    """Where ``setup_utils.py tls`` puts what it makes."""
    return Path(config.kafka.tls_dir)


def ca_file(config: Config) -> Path | None:
    """The authority that clients believe: ``ssl_cafile``, or our own when there is one; None: the system's."""
    if config.kafka.ssl_cafile:
        return Path(config.kafka.ssl_cafile)
    own = folder(config) / "ca.pem"
    return own if own.is_file() else None


def password_file(config: Config, user: str) -> Path:
    """Where a user's password lies."""
    return folder(config) / f"{user}.password"


def password_of(config: Config, user: str) -> str:
    """A user's password. Raises ``ConfigError`` when there is none, or when others can read it."""
    path = password_file(config, user)
    if not path.exists():
        raise ConfigError(
            f"[KAFKA] security_protocol = {config.kafka.security_protocol} needs a password for {user}, and there is no "
            f"{path}. Set sasl_username with VENTES_KAFKA__SASL_PASSWORD or sasl_password_file, or type: python "
            f"setup_utils.py tls"
        )
    return str(read_secret(path, "[KAFKA] tls_dir"))


def user_and_password(config: Config) -> tuple[str, str]:
    """``sasl_username`` and its password; without one, the user that the script is (``roles.ROLES``)."""
    kafka = config.kafka
    if kafka.sasl_username:
        return kafka.sasl_username, str(kafka.sasl_password)
    return config.role, password_of(config, config.role)


def secrets_of(config: Config) -> tuple[str, ...]:
    """Every secret that this process may come to know: none of them is ever written into a log."""
    kafka, monitoring = config.kafka, config.monitoring
    known = [str(kafka.sasl_password), str(monitoring.web_password), str(config.s3.secret_key)]
    if kafka.security_protocol.startswith("SASL") and not kafka.sasl_username:
        paths = Path(kafka.tls_dir).glob("*.password")
        known += [path.read_text(encoding="utf-8").strip() for path in paths if path.is_file()]
    return tuple(filter(None, known))
