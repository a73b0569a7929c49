"""A TCP proxy on the loopback, through which a history's jobs reach the broker, and which can hold back what it passes on."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

_CHUNK = 1 << 16
_TICK = 0.02


class Proxy:
    """Passes bytes on until told otherwise. ``held`` counts the bytes that waited, ``cut`` the connections that were left
    half-open; a connection that is held goes on when it is let go, as after a partition."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._requests, self._answers = threading.Event(), threading.Event()
        self._delay = 0.0
        self._upstream: list[socket.socket] = []
        self._ended = threading.Event()
        self.held = self.cut = 0
        self.heal()
        threading.Thread(target=self._accept, daemon=True).start()

    def heal(self) -> None:
        """All passes at once."""
        self._delay = 0.0
        self._requests.set()
        self._answers.set()

    def hold(self, *, requests: bool, answers: bool) -> None:
        """What goes to the broker, what comes from it, or both, waits."""
        for passes, holds in ((self._requests, requests), (self._answers, answers)):
            passes.clear() if holds else passes.set()

    def slow(self, seconds: float) -> None:
        """Each piece of an answer comes so much later."""
        self._delay = seconds

    def leave_half_open(self) -> None:
        """The broker's ends of all connections close; the clients' ends stay open, and nobody answers there."""
        ends, self._upstream = self._upstream, []
        for end in ends:
            self.cut += 1
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No new connection; those that are there end."""
        self._ended.set()
        self.heal()
        self._server.close()
        self.leave_half_open()

    def _accept(self) -> None:
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._requests.wait()  # a new connection waits as well
        try:
            broker = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._upstream.append(broker)
        back = threading.Thread(target=self._pump, args=(broker, client, self._answers, True), daemon=True)
        back.start()
        self._pump(client, broker, self._requests, False)
        back.join()
        was_cut = broker not in self._upstream
        broker.close()
        if was_cut:  # half-open: the client's end stays as it is, until it gives up or all ends
            self._until_the_client_leaves(client)
        with contextlib.suppress(ValueError):
            self._upstream.remove(broker)
        client.close()

    def _until_the_client_leaves(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not self._ended.is_set():
                if select.select([client], [], [], 0.2)[0] and not client.recv(_CHUNK):
                    return

    def _pump(self, source: socket.socket, target: socket.socket, passes: threading.Event, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                if not passes.is_set():
                    self.held += len(data)
                    passes.wait()
                if answers and self._delay:
                    self.held += len(data)
                    self._ended.wait(self._delay)
                target.sendall(data)
        if not answers or (source in self._upstream and not self._ended.is_set()):
            with contextlib.suppress(OSError):  # who said that it ends, ends; of a half-open one nobody says so
                target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def proxy(target: int) -> Iterator[Proxy]:
    """A proxy before a port of this machine, for as long as the block runs."""
    made = Proxy(target)
    try:
        yield made
    finally:
        made.close()
