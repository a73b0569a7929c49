"""The HTTP server of a process's metrics and health: GET only, nothing but four paths, nothing to write; with
``[MONITORING] web_password`` and ``web_certificate``, for those who know the password, by TLS."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from lakehouse.observability import metrics, web_access
from lakehouse.observability.registry import exposition

if TYPE_CHECKING:
    from lakehouse.observability.health import Monitor


class Server(socketserver.ThreadingTCPServer):
    """Not ``HTTPServer``, which resolves its own host name before it serves."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    monitor: Monitor
    tls: ssl.SSLContext | None

    def get_request(self) -> tuple[socket.socket, Any]:
        """The TLS handshake happens in the request's own thread, at its first read: a silent client blocks no other."""
        link, place = super().get_request()
        if self.tls is not None:
            link = self.tls.wrap_socket(link, server_side=True, do_handshake_on_connect=False)
        return link, place

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up, or speaks no TLS, is ignored; our own defects are logged."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "ventes", ""
    timeout = 10

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
        if not web_access.allowed(self.server.monitor.config, self.headers.get("Authorization")):
            self._send(401, b"a user and a password are needed\n", "text/plain; charset=utf-8", web_access.CHALLENGE)
            return
        monitor, path = self.server.monitor, self.path.split("?")[0]
        if path in ("/livez", "/readyz", "/startupz"):
            code, body = monitor.answer(path[1:])  # type: ignore[arg-type]
            self._send(code, (json.dumps(body, ensure_ascii=False) + "\n").encode(), "application/json; charset=utf-8")
        elif path == "/metrics":
            monitor.meter.set(metrics.READY, float(not monitor.reasons("readyz")))
            self._send(200, *exposition(monitor.meter))
        else:
            self._send(404, b"/metrics /livez /readyz /startupz\n", "text/plain; charset=utf-8")

    do_HEAD = do_GET

    def _send(self, code: int, body: bytes, kind: str, *more: tuple[str, str]) -> None:
        self.send_response(code)
        for name, text in more:
            self.send_header(name, text)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """No line for each scrape."""


def start(monitor: Monitor, host: str, port: int) -> Server:
    """Serve in a thread of its own. Raises ``OSError`` when the port is taken, ``ConfigError`` for a wrong certificate."""
    tls = web_access.server_context(monitor.config)
    kind = type("Server", (Server,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})
    server: Server = kind((host, port), _Handler)
    server.monitor, server.tls = monitor, tls
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="monitor", daemon=True).start()
    return server
