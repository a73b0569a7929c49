"""PURE. Who may do what with Kafka: one user for each kind of process, and no right that it does not need.

The broker refuses everything that is not granted (StandardAuthorizer). ``admin`` and ``broker`` are super users: the
first sets up topics, the second is the brokers among themselves.
"""

from __future__ import annotations

from typing import NamedTuple

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
        Grant("operator", "READ", "TOPIC", topic),  # reconcile reads what stands in no table again
        Grant("operator", "DESCRIBE_CONFIGS", "TOPIC", topic),
        Grant("monitor", "DESCRIBE", "TOPIC", topic),
        Grant("monitor", "DESCRIBE_CONFIGS", "TOPIC", topic),
    ]


GROUP_PREFIX = "ventes-bronze"
"""Spark's consumers name a group each, and commit nothing to it."""
USERS = (*SUPER_USERS, *dict.fromkeys(grant.user for grant in grants("")))
ROLES = {
    "setup_utils.py": ADMIN,
    "producer_ventes.py": "producer",
    "spark_streaming_delta.py": "bronze",
    "ops_utils.py": "operator",
}
"""The user of each script; every other one is ``monitor``."""


def role_of(script: str) -> str:
    """The user that a script is, unless ``[KAFKA] sasl_username`` names another."""
    return ROLES.get(script, "monitor")
