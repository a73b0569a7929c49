"""Kafka credentials of this process: user, password, CA certificate; and the rights of each user."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from lakehouse.config import Config, paths
from lakehouse.config.secrets import read_secret
from lakehouse.errors import ConfigError

ADMIN, BROKER = "admin", "broker"
SUPER_USERS = (ADMIN, BROKER)


class Grant(NamedTuple):
    """A user may do ``operation`` on ``kind`` ``name``; with ``prefix``, on all whose name begins so."""

    user: str
    operation: str
    kind: str
    name: str
    prefix: bool = False


def grants(topic: str) -> list[Grant]:
    """Every right besides the super users'. WRITE and READ include DESCRIBE."""
    return [
        Grant("producer", "WRITE", "TOPIC", topic),
        Grant("bronze", "READ", "TOPIC", topic),
        Grant("bronze", "DESCRIBE_CONFIGS", "TOPIC", topic),
        Grant("bronze", "READ", "GROUP", GROUP_PREFIX, prefix=True),
        Grant("operator", "READ", "TOPIC", topic),  # reconcile reads offsets again that are in no table
        Grant("operator", "DESCRIBE_CONFIGS", "TOPIC", topic),
        Grant("monitor", "DESCRIBE", "TOPIC", topic),
        Grant("monitor", "DESCRIBE_CONFIGS", "TOPIC", topic),
    ]


GROUP_PREFIX = "ventes-bronze"
"""Spark's consumers name a group each, and commit nothing to it."""
USERS = (*SUPER_USERS, *dict.fromkeys(grant.user for grant in grants("")))


def folder(config: Config) -> Path:
    """The folder that ``setup_utils.py tls`` writes to."""
    return paths.tls_folder(config)


def password_file(config: Config, user: str) -> Path:
    """The file of a user's password."""
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
    """``sasl_username`` and its password; without one, the user that the script is (``cli.ROLES``)."""
    kafka = config.kafka
    if kafka.sasl_username:
        return kafka.sasl_username, str(kafka.sasl_password)
    return config.role, password_of(config, config.role)
