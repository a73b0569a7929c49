"""Access to the metrics and the dashboard: open on loopback unless a password is set; elsewhere a password
and TLS are the condition (``config.load`` refuses anything less).

One user, HTTP Basic over TLS: Prometheus, browsers and curl speak it.
"""

from __future__ import annotations

import base64
import hmac
import ssl

from lakehouse.config import Config
from lakehouse.config.secrets import check_private
from lakehouse.errors import ConfigError

CHALLENGE = ("WWW-Authenticate", 'Basic realm="ventes", charset="UTF-8"')


def authorization(config: Config) -> str | None:
    """The header that a request needs; None when it needs none."""
    monitoring = config.monitoring
    if not monitoring.web_password:
        return None
    return "Basic " + base64.b64encode(f"{monitoring.web_user}:{monitoring.web_password!s}".encode()).decode()


def allowed(config: Config, header: str | None) -> bool:
    """Whether a request with this Authorization header may be answered. Takes as long for a wrong password as for the
    right one."""
    wanted = authorization(config)
    return wanted is None or hmac.compare_digest((header or "").encode(), wanted.encode())


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
