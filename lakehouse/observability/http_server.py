"""The frame of every HTTP server of the project, dashboard and metrics alike: who is answered, and how long a client may take.

A client that does not send its request, or does not read its answer, costs a connection for a bounded time only, and a
bounded number of connections: nobody is locked out by connections that ask nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from lakehouse.observability import web_access

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from lakehouse.config import Config

REQUEST_SECONDS = 10.0
"""Time for a TLS handshake and a whole request header."""
READ_SECONDS = 30.0
"""Time that a client may leave an answer unread."""
WAITING = 64
"""Connections that have not sent a whole request. One more ends the one that has waited longest."""
SERVING = 64
"""Requests that are answered at the same time."""
HEADERS = (
    ("content-security-policy", "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)  # fmt: skip
Peer = tuple[str, int]


class Listener(socket.socket):
    """A listening socket that knows which of its connections are still to send a request, and ends those that do not.

    It sits below TLS, so that a handshake which never ends counts as well. ``accept`` and the rest run in the server's
    event loop. Raises ``OSError`` when the address cannot be had.
    """

    def __init__(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, port), family=family, backlog=WAITING)
        super().__init__(family, socket.SOCK_STREAM, fileno=made.detach())
        self._links: dict[Peer, socket.socket] = {}
        self._waiting: OrderedDict[Peer, asyncio.TimerHandle] = OrderedDict()

    @property
    def port(self) -> int:
        return int(self.getsockname()[1])

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        link, place = super().accept()
        peer = place[0], place[1]
        self._links[peer] = link
        self.expects(peer)
        return link, place

    def expects(self, peer: Peer) -> None:
        """A request is to come from there, in time."""
        self.has(peer)
        if peer not in self._links:
            return  # it was ended
        self._waiting[peer] = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self.drop, peer)
        if len(self._waiting) > WAITING:
            for other in [peer for peer in self._waiting if self._links[peer].fileno() < 0]:
                self.drop(other)  # it has ended by itself
        while len(self._waiting) > WAITING:
            self.drop(next(iter(self._waiting)))

    def has(self, peer: Peer) -> None:
        """The request has come."""
        if timer := self._waiting.pop(peer, None):
            timer.cancel()

    def drop(self, peer: Peer) -> None:
        """End the connection. Its descriptor is closed by the event loop, which finds the stream ended."""
        self.has(peer)
        link = self._links.pop(peer, None)
        if link is not None:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


class Frame:
    """Around an application: the host names that are answered, the password, safe headers, and the limits above."""

    def __init__(self, app: ASGIApp, config: Config, host: str, listener: Listener) -> None:
        self._app, self._config, self._host, self._listener = app, config, host, listener
        self._guesses = web_access.Guesses()
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        peer: Peer = tuple(scope["client"] or ("", 0))  # none: it has hung up
        self._listener.has(peer)
        self._serving += 1
        try:
            app = self._refusal(peer, scope) or self._app
            await app(scope, receive, self._guarded(peer, send))
        finally:
            self._serving -= 1
            self._listener.expects(peer)

    def _refusal(self, peer: Peer, scope: Scope) -> ASGIApp | None:
        """The answer instead of the application's; None when there is nothing against it."""
        from starlette.datastructures import Headers
        from starlette.responses import PlainTextResponse

        headers = Headers(scope=scope)
        if not web_access.host_is_ours(self._host, headers.get("host", "")):
            return PlainTextResponse(
                "Invalid host header: this server answers to this machine's own names only.\n", 400
            )
        if self._serving > SERVING:
            return PlainTextResponse("Too many requests at once. Try again in a moment.\n", 503, {"retry-after": "2"})
        verdict = self._guesses.refusal(self._config, peer[0], headers.get("authorization"))
        if verdict is None:
            return None
        status, sentence, (name, text) = verdict
        return PlainTextResponse(sentence, status, {name: text})

    def _guarded(self, peer: Peer, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", []), *((name.encode(), text.encode()) for name, text in HEADERS),
                ]  # fmt: skip
            await asyncio.sleep(
                0
            )  # what is sent to a client that has gone waits for nothing, and must not hold up the others
            try:
                async with asyncio.timeout(READ_SECONDS):
                    await send(message)
            except TimeoutError:
                self._listener.drop(peer)

        return guarded


class Server:
    """An application within the frame. ``run`` serves in the foreground until a signal, ``start`` in a thread until ``stop``.

    ``app`` makes the application in the thread that serves, so that its imports hold up nobody. Raises ``OSError`` when
    the address cannot be had, ``ConfigError`` for a wrong certificate.
    """

    def __init__(self, app: ASGIApp, config: Config, host: str, port: int) -> None:
        self._app, self._config, self._host = app, config, host
        self._tls = web_access.server_context(config)
        self.listener = Listener(host, port)
        self.port = self.listener.port
        self._uvicorn: uvicorn.Server | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name="http", daemon=True)

    def run(self) -> None:
        import uvicorn

        tls = self._tls
        settings = uvicorn.Config(
            Frame(self._app, self._config, self._host, self.listener), http="h11", ws="none", log_config=None, log_level="error",
            access_log=False, server_header=False, backlog=WAITING, timeout_graceful_shutdown=2,
            ssl_context_factory=(lambda *_: tls) if tls is not None else None,
        )  # fmt: skip
        self._uvicorn = uvicorn.Server(settings)
        if self._stopping.is_set():
            return
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn ends in order, then raises the signal again
            self._uvicorn.run(sockets=[self.listener])

    def start(self) -> Server:
        """Serve in a thread of its own."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, with the answers in hand."""
        self._stopping.set()
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
        self._thread.join(5)
        self.listener.close()
