"""Access to the metrics and the dashboard: open on loopback unless a password is set; elsewhere a password
and TLS are the condition (``config.load`` refuses anything less).

One user, HTTP Basic over TLS: Prometheus, browsers and curl speak it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import math
import ssl
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from lakehouse.config import Config
from lakehouse.config.rules import is_loopback
from lakehouse.config.secrets import check_private
from lakehouse.errors import ConfigError

CHALLENGE = ("WWW-Authenticate", 'Basic realm="ventes", charset="UTF-8"')
FREE_GUESSES = 3
"""Wrong passwords of one address, in a row, that cost no wait: a person mistypes."""
LONGEST_WAIT = 8.0
"""Seconds between two guesses of one address, at most: a person behind the same address waits no longer than that."""
REMEMBERED = 10_000
"""Addresses whose wrong passwords are remembered."""
Refusal = tuple[int, str, tuple[str, str]]


def authorization(config: Config) -> str | None:
    """The header that a request needs; None when it needs none."""
    monitoring = config.monitoring
    if not monitoring.web_password:
        return None
    return "Basic " + base64.b64encode(f"{monitoring.web_user}:{monitoring.web_password!s}".encode()).decode()


def allowed(config: Config, header: str | None) -> bool:
    """Whether a request with this Authorization header may be answered. The scheme's case is free (RFC 7235). Takes as
    long for a wrong password as for the right one."""
    wanted = authorization(config)
    if wanted is None:
        return True
    scheme, _, token = (header or "").strip().partition(" ")
    return hmac.compare_digest(f"{scheme.capitalize()} {token.strip()}".encode(), wanted.encode())


@dataclass(frozen=True)
class _Wrong:
    """What an address got wrong: how often in a row, until when it has to wait, and a hash of its last header."""

    times: int
    until: float
    last: bytes


class Guesses:
    """Wrong passwords, by address: after a few, each doubles the time until the address's next one is looked at. Not
    thread-safe.

    Another address never waits. The same wrong password again is no new guess, so that a program with an old password
    does not lock out the people behind its address.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, _Wrong] = OrderedDict()

    def refusal(self, config: Config, address: str, header: str | None) -> Refusal | None:
        """Status, sentence and header of the refusal; None when the request may be answered."""
        address, now = _block(address), self._clock()
        before = self._wrong.get(address)
        seen = hashlib.sha256((header or "").encode()).digest()
        known = header is None or (before is not None and before.last == seen)
        if before is not None and now < before.until and not known:
            wait = math.ceil(before.until - now)
            return (
                429,
                f"Too many wrong passwords from this address. Try again in {wait} s.\n",
                ("Retry-After", str(wait)),
            )
        if allowed(config, header):
            self._wrong.pop(address, None)
            return None
        if not known:
            times = before.times + 1 if before is not None else 1
            pause = min(2.0 ** (times - FREE_GUESSES), LONGEST_WAIT) if times >= FREE_GUESSES else 0.0
            self._wrong[address] = _Wrong(times, now + pause, seen)
            self._wrong.move_to_end(address)
            if len(self._wrong) > REMEMBERED:
                self._wrong.popitem(last=False)
        return 401, "A user and a password are needed.\n", CHALLENGE


def _block(address: str) -> str:
    """The address; of IPv6 its /64, all of which one subscriber has."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ipaddress.ip_network((int(found), 64), strict=False))


def host_is_ours(listening: str, header: str) -> bool:
    """Whether a request with this Host header is answered. A server that listens on this machine alone answers to this
    machine's names alone, so that no other site's name can be made to point at it. Elsewhere the password decides."""
    if not is_loopback(listening):
        return True
    name, _, port = header.rpartition(":")
    if not name or not port.isdecimal() or (":" in name and not name.endswith("]")):
        name = header
    name = name.removeprefix("[").removesuffix("]").lower()
    return is_loopback(name) or name == listening.lower()


def server_context(config: Config) -> ssl.SSLContext | None:
    """The server's TLS; None without a certificate. Raises ``ConfigError`` for one that cannot be used."""
    certificate = config.monitoring.web_certificate
    if not certificate:
        return None
    check_private(certificate, "[MONITORING] web_certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"[MONITORING] web_certificate = {certificate} is not accepted: {error.strerror or error}. Expected a PEM file "
            "with the key and the certificates. Type: python setup_utils.py tls"
        ) from None
    return context


def client_context(config: Config) -> ssl.SSLContext | None:
    """How one of our own tools asks a process that is served so: it believes that very certificate's chain, whatever
    name it is for, since it asks by this machine's address."""
    if not config.monitoring.web_certificate:
        return None
    context = ssl.create_default_context(cafile=config.monitoring.web_certificate)
    context.check_hostname = False
    return context


def scheme(config: Config) -> str:
    """``https`` with a certificate, else ``http``."""
    return "https" if config.monitoring.web_certificate else "http"
