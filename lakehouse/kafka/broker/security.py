"""The locked-down embedded broker: its security properties, users and rights.

Clients come by TLS and SCRAM-SHA-512; the brokers among themselves as well, as the user ``broker``; controllers know each
other by the brokers' certificate. What is not granted is refused.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from lakehouse.config import Config
from lakehouse.config.secrets import check_private
from lakehouse.errors import LakehouseError, SetupError
from lakehouse.kafka.options import jaas
from lakehouse.kafka.users import BROKER, SUPER_USERS, USERS, folder, grants, password_of

MECHANISM = "SCRAM-SHA-512"


def secured(config: Config) -> bool:
    """Whether the embedded broker runs locked down."""
    return config.kafka.security_protocol == "SASL_SSL"


def check(config: Config) -> None:
    """Raise ``SetupError`` or ``ConfigError`` when a certificate or a password is missing, or readable to others."""
    place = folder(config)
    if not (place / "broker.pem").is_file():
        raise SetupError(f"The broker's certificate {place / 'broker.pem'} is missing. Type: python setup_utils.py tls")
    check_private(place / "broker.pem", "[KAFKA] tls_dir")
    for user in USERS:
        password_of(config, user)
    if config.kafka.sasl_mechanism != MECHANISM:
        raise SetupError(
            f"The embedded broker knows its users by {MECHANISM} only, not by [KAFKA] sasl_mechanism = "
            f"{config.kafka.sasl_mechanism}. Set {MECHANISM}, or run a Kafka of your own."
        )


def properties(config: Config) -> dict[str, object]:
    """The settings that lock it down. They hold the password of ``broker``: the file is 0600."""
    place = folder(config)
    return {
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SSL",
        "security.inter.broker.protocol": "SASL_SSL",
        "sasl.mechanism.inter.broker.protocol": MECHANISM,
        "sasl.enabled.mechanisms": MECHANISM,
        # the answer to a wrong password goes out well before the connection ends: kafka-python, which is told both in the
        # same moment by default (100 ms), takes the refusal for a lost connection
        "connection.failed.authentication.delay.ms": "2000",
        f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": jaas(
            MECHANISM, BROKER, password_of(config, BROKER)
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": (place / "broker.pem").as_posix(),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": (place / "ca.pem").as_posix(),
        "listener.name.controller.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(f"User:{user}" for user in SUPER_USERS),
        "allow.everyone.if.no.acl.found": "false",
    }


def format_arguments(config: Config) -> str:
    """What ``StorageTool format`` is told besides: the users. For a file (0600) that it reads: arguments are for all to see."""
    return "".join(f"--add-scram\n{MECHANISM}=[name={user},password={password_of(config, user)}]\n" for user in USERS)


def context(config: Config) -> ssl.SSLContext:
    """A client's TLS context: trusts the CA of all clients here and verifies the host name."""
    from lakehouse.config.paths import ca_file

    authority = ca_file(config)
    return ssl.create_default_context(cafile=str(authority) if authority else None)


def grant(admin: Any, topic: str) -> None:
    """Grant ``users.grants``; existing grants stay. Raises ``LakehouseError``."""
    from kafka.admin import ACL, ACLOperation, ACLPermissionType, ResourcePattern, ResourceType
    from kafka.admin import ACLResourcePatternType as Pattern

    wanted = [
        ACL(
            f"User:{one.user}", "*", ACLOperation[one.operation], ACLPermissionType.ALLOW,
            ResourcePattern(ResourceType[one.kind], one.name, Pattern.PREFIXED if one.prefix else Pattern.LITERAL),
        )
        for one in grants(topic)
    ]  # fmt: skip
    failed = admin.create_acls(wanted)["failed"]
    if failed:
        raise LakehouseError(f"Kafka did not take the rights of {topic}: {failed[0]}")


def users_file(home: Path) -> Path:
    """Marker file in the broker's folder: it was formatted with users."""
    return home / "users"
