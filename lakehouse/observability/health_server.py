"""The pages of a process's metrics and health: nothing but four paths, nothing to write."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from lakehouse.observability import metrics
from lakehouse.observability.http_server import Server
from lakehouse.observability.registry import exposition

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from lakehouse.observability.health import Monitor

PATHS = "/metrics /livez /readyz /startupz\n"


class HealthPages:
    """The application. Each answer is found in a thread: readiness asks Kafka."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from starlette.responses import PlainTextResponse, Response

        if scope["type"] != "http":
            raise ValueError(scope["type"])  # uvicorn: there is no life span to follow
        if scope["method"] not in ("GET", "HEAD"):
            answer: Response = PlainTextResponse("GET only\n", 405, {"allow": "GET, HEAD"})
        else:
            code, body, kind = await asyncio.to_thread(self._answer, scope["path"])
            answer = Response(body, code, {"content-type": kind, "cache-control": "no-store"})
        await answer(scope, receive, send)

    def _answer(self, path: str) -> tuple[int, bytes, str]:
        """Status, body and content type."""
        if path in ("/livez", "/readyz", "/startupz"):
            code, said = self._monitor.answer(path[1:])  # type: ignore[arg-type]
            text = json.dumps(said, ensure_ascii=False) + "\n"
            return code, text.encode(), "application/json; charset=utf-8"
        if path == "/metrics":
            self._monitor.meter.set(metrics.READY, float(not self._monitor.reasons("readyz")))
            return 200, *exposition(self._monitor.meter)
        return 404, PATHS.encode(), "text/plain; charset=utf-8"


def start(monitor: Monitor, host: str, port: int) -> Server:
    """Serve in a thread of its own. Raises ``OSError`` when the port is taken, ``ConfigError`` for a wrong certificate."""
    return Server(HealthPages(monitor), monitor.config, host, port).start()
