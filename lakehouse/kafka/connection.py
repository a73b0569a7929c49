"""Connecting to Kafka: reachability, the TLS handshake, and Kafka's errors as those of the project."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any

import kafka
from kafka import errors as kafka_errors
from kafka.errors import KafkaError
from kafka.net.transport import KafkaSSLTransport, KafkaTCPTransport

from lakehouse.config import Config
from lakehouse.config.paths import ca_file
from lakehouse.errors import AccessRefused, BrokerUnavailable, LakehouseError
from lakehouse.kafka.broker import security
from lakehouse.kafka.options import host_and_port, servers
from lakehouse.kafka.users import user_and_password

START_COMMAND = "python setup_utils.py kafka"
PATCHED_VERSION = "3.0.12"
"""The version of kafka-python whose private methods are patched; another one is left as it is (docs/UPGRADING.md)."""
REFUSALS = 3
"""Refusals of a password before it counts as wrong: a broker may answer before it has loaded its users."""


def _data_before_error(
    receive: Callable[[Any], tuple[bytes, Exception | None]],
) -> Callable[[Any], tuple[bytes, Exception | None]]:
    @functools.wraps(receive)
    def receive_first(transport: Any) -> tuple[bytes, Exception | None]:
        data, end = receive(transport)
        return data, None if data else end  # the next call meets the end again

    return receive_first


def is_patched() -> bool:
    """Whether the installed kafka-python is the version whose private methods are patched."""
    return bool(kafka.__version__ == PATCHED_VERSION)


def keep_final_responses() -> None:
    """Make kafka-python process what a broker sends just before it closes the connection, such as the reason.

    kafka-python drops data that arrives together with the end of the connection; on a busy machine a wrong password then
    looks like a broker that does not answer. Patched once a process.
    """
    if not is_patched():
        return
    for transport in (KafkaTCPTransport, KafkaSSLTransport):
        if not hasattr(transport._sock_recv, "__wrapped__"):
            transport._sock_recv = _data_before_error(transport._sock_recv)


def password_refusals(causes: list[Exception]) -> list[Exception]:
    """Those errors of a connection that report a wrong password."""
    return [cause for cause in causes if isinstance(cause, kafka_errors.SaslAuthenticationFailedError)]


def unavailable(config: Config, cause: object) -> BrokerUnavailable:
    """The error for a broker that does not answer."""
    return BrokerUnavailable(
        f"Kafka does not answer at {', '.join(servers(config))} ({cause}). Start a broker with: {START_COMMAND}"
    )


def refused(config: Config, server: str, what: str) -> AccessRefused:
    """The error for a server whose TLS does not match the settings."""
    return AccessRefused(
        f"{server} is not to be talked to with [KAFKA] security_protocol = {config.kafka.security_protocol}: {what}"
    )


def _handshake(config: Config, server: str, link: socket.socket) -> None:
    """Raise ``AccessRefused`` with the reason when the TLS handshake fails."""
    host, authority = host_and_port(server)[0], ca_file(config)
    try:
        with security.context(config).wrap_socket(link, server_hostname=host):
            return
    except ssl.SSLCertVerificationError as error:
        if "ostname mismatch" in error.verify_message or "IP address mismatch" in error.verify_message:
            what = f"its certificate is not for the name {host}. Name it in bootstrap_servers as its certificate does, or make one for it: python setup_utils.py tls --host {host}"
        else:
            believed = authority or "those of this system"
            what = f"its certificate is not signed by an authority that is believed ({error.verify_message}); believed: {believed}. Set ssl_cafile to the right one"
        raise refused(config, server, what) from None
    except ssl.SSLError as error:
        raise refused(config, server, f"it does not speak TLS ({error.reason}). Is it PLAINTEXT?") from None


def speaks_tls(server: str, wait: float) -> bool:
    """Whether a port that closed a plain-text connection answers a TLS handshake."""
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # nothing is sent: only to see what it speaks
    try:
        with socket.create_connection(host_and_port(server), wait) as link, blind.wrap_socket(link):
            return True
    except OSError:
        return False


def check_reachable(config: Config, patience: float | None = None) -> None:
    """Raise ``BrokerUnavailable`` when no bootstrap server accepts a connection within ``patience`` seconds
    (default: ``request_timeout``), at once if all refuse; ``AccessRefused`` when the TLS handshake fails.

    kafka-python would retry for ``request_timeout`` without reporting why each attempt failed.
    """
    causes = []
    wait = config.kafka.request_timeout.total_seconds() if patience is None else patience
    for server in servers(config):
        try:
            with socket.create_connection(host_and_port(server), wait) as link:
                if config.kafka.security_protocol.endswith("SSL"):
                    _handshake(config, server, link)
                return
        except OSError as error:
            causes.append(error.strerror or str(error))
    raise unavailable(config, ", ".join(dict.fromkeys(causes)))


def translated(config: Config, error: Exception) -> LakehouseError:
    """Kafka's error as one of the project: no answer or a retriable error → ``BrokerUnavailable``, a wrong password or a
    missing right → ``AccessRefused``, any other → ``LakehouseError``."""
    where = ", ".join(servers(config))
    if isinstance(error, kafka_errors.SaslAuthenticationFailedError):
        user = user_and_password(config)[0]
        return AccessRefused(
            f"Kafka at {where} does not know the user {user} with this password. Set [KAFKA] sasl_username and "
            f"sasl_password_file, or leave sasl_username empty for the passwords of {config.kafka.tls_dir}."
        )
    if isinstance(error, kafka_errors.AuthorizationError):
        return may_not(config, type(error).__name__.removesuffix("AuthorizationFailedError").lower())
    no_answer = (
        kafka_errors.KafkaTimeoutError,
        kafka_errors.KafkaConnectionError,
        kafka_errors.NodeNotReadyError,
        OSError,
    )
    cause = str(error) if isinstance(error, KafkaError) else f"{type(error).__name__}: {error}"
    if isinstance(error, no_answer):
        return unavailable(config, cause)
    if getattr(error, "retriable", False):
        # such as OffsetNotAvailable: a new leader does not know yet how far its partition is acknowledged (KIP-207)
        return BrokerUnavailable(
            f"Kafka at {where} cannot answer yet ({cause}): its brokers start, or a partition changes its leader. Try again in "
            f"some seconds, or see who is there: python setup_utils.py check"
        )
    return LakehouseError(f"Kafka at {where} refuses: {cause}")


def may_not(config: Config, what: str) -> AccessRefused:
    """The error for a user without the right to ``what``."""
    user = user_and_password(config)[0] if config.kafka.security_protocol.startswith("SASL") else "a stranger"
    return AccessRefused(
        f"Kafka at {', '.join(servers(config))} does not let {user} do this ({what}, topic {config.kafka.topic}). Who may do "
        f"what: docs/SECURITY.md. Take the right user, or let an administrator grant it."
    )
