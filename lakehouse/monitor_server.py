"""EDGE. The HTTP server of a process's metrics and health: GET only, nothing but four paths, nothing to write."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from lakehouse import metrics
from lakehouse.meter import exposition

if TYPE_CHECKING:
    from lakehouse.monitor import Monitor


class Server(socketserver.ThreadingTCPServer):
    """Not ``HTTPServer``: that one asks the name service for its own name before it serves."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    monitor: Monitor


class _Handler(BaseHTTPRequestHandler):
    server_version, sys_version = "ventes", ""
    timeout = 10

    def do_GET(self) -> None:
        assert isinstance(self.server, Server)
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

    def _send(self, code: int, body: bytes, kind: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """A line for each scrape would say nothing."""


def start(monitor: Monitor, host: str, port: int) -> Server:
    """Serve in a thread of its own. Raises ``OSError`` when the port is taken."""
    kind = type("Server", (Server,), {"address_family": socket.AF_INET6 if ":" in host else socket.AF_INET})
    server: Server = kind((host, port), _Handler)
    server.monitor = monitor
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="monitor", daemon=True).start()
    return server
