"""The frame of metrics and dashboard against clients that ask nothing, ask slowly, or do not read."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from lakehouse.config import PROJECT, Config, as_environment
from lakehouse.kafka.broker import certificates
from lakehouse.observability import http_server, process, run_files
from lakehouse.observability.http_server import Server
from tests.support.children import eventually
from tests.support.harness import config_of

HALF = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
SERVE = """
import resource, sys, threading
from lakehouse import config
from lakehouse.observability import process, run_files
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
settings = config.load()
with process.serve(settings, "silver") as watched:
    watched.started()
    print(run_files.read(settings)["silver"].port, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return config_of(tmp_path, "localhost:1", "t")


def locked(tmp_path: Path) -> Config:
    place = tmp_path / "tls"
    certificates.make(config_of(tmp_path, "localhost:1", "t", KAFKA__TLS_DIR=str(place)))
    return config_of(
        tmp_path,
        "localhost:1",
        "t",
        MONITORING__WEB_PASSWORD="juste",
        MONITORING__WEB_CERTIFICATE=str(place / "web.pem"),
    )


def status(port: int, path: str = "/livez", host: str = "127.0.0.1", **headers: str) -> http.client.HTTPResponse:
    link = http.client.HTTPConnection(host, port, timeout=60)
    link.request("GET", path, headers=headers)
    reply = link.getresponse()
    reply.read()
    link.close()
    return reply


@contextlib.contextmanager
def serving(app: object, config: Config, host: str = "127.0.0.1") -> Iterator[Server]:
    made = Server(app, config, host, 0).start()  # type: ignore[arg-type]
    yield made
    made.stop()


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await PlainTextResponse("hello")(scope, receive, send)


@pytest.mark.parametrize("tls", [False, True])
def test_400_connections_that_ask_nothing_lock_nobody_out_of_256_descriptors(tmp_path: Path, tls: bool) -> None:
    config = locked(tmp_path) if tls else config_of(tmp_path, "localhost:1", "t")
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VENTES_")}
    child = subprocess.Popen(
        [sys.executable, "-c", SERVE], cwd=PROJECT, env=clean | as_environment(config), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None and child.stdin is not None
    with contextlib.ExitStack() as held:
        held.callback(child.kill)
        port = int(child.stdout.readline())
        for _ in range(400):
            link = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
            if not tls:
                link.sendall(HALF)
        if tls:
            from lakehouse.operations import status as processes

            assert eventually(
                lambda: {one.state for one in processes.processes(config) if one.name == "silver"} == {"running"}, 60
            )
        else:
            assert status(port).status == 200
        child.stdin.close()
        assert child.wait(60) == 0


def test_a_request_that_does_not_come_in_time_ends_its_connection(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.2)
    with serving(hello, config) as made, socket.create_connection(("127.0.0.1", made.port), timeout=60) as slow:
        slow.sendall(HALF)
        assert slow.recv(100) == b""
        with socket.create_connection(("127.0.0.1", made.port), timeout=60) as second:  # after a whole request as well
            second.sendall(HALF + b"no\r\n\r\n" + HALF)
            assert second.makefile("rb").read().endswith(b"hello")
        assert status(made.port).status == 200
        assert eventually(lambda: not made.listener._links, 60), "nothing is remembered of what has ended"


def test_an_answer_that_nobody_reads_ends(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "READ_SECONDS", 0.2)
    ended = threading.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        async def lines() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 100_000

        assert scope["type"] == "http"
        try:
            await StreamingResponse(lines())(scope, receive, send)
        finally:
            ended.set()

    with serving(endless, config) as made, socket.create_connection(("127.0.0.1", made.port), timeout=60) as deaf:
        deaf.sendall(HALF + b"no\r\n\r\n")
        assert ended.wait(60)


def test_more_requests_than_are_served_at_once_are_told_when_to_come_back(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "SERVING", 1)
    arrived, goes_on = threading.Event(), threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        assert scope["type"] == "http"
        arrived.set()
        await asyncio.to_thread(goes_on.wait, 60)
        await PlainTextResponse("at last")(scope, receive, send)

    found: list[int] = []
    with serving(slow, config) as made:
        first = threading.Thread(target=lambda: found.append(status(made.port).status))
        first.start()
        assert arrived.wait(60)
        refused = status(made.port)
        assert (refused.status, refused.getheader("retry-after")) == (503, "2")
        goes_on.set()
        first.join(60)
    assert found == [200]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_metrics_answer_to_this_machines_names_alone(tmp_path: Path, host: str) -> None:
    config = config_of(tmp_path, "localhost:1", "t", MONITORING__METRICS_HOST=host)
    with process.serve(config, "silver") as watched:
        watched.started()
        port = run_files.read(config)["silver"].port
        assert port is not None
        for path in ("/metrics", "/readyz", "/nowhere"):
            refused = status(port, path, host, Host="evil.example")
            assert refused.status == 400 and refused.getheader("x-content-type-options") == "nosniff"
        assert status(port, "/livez", host).status == 200
        assert status(port, "/livez", host, Host=f"localhost:{port}").status == 200


def test_a_process_that_serves_ends_at_once(config: Config) -> None:
    """A client that keeps its connection does not hold up the end."""
    with process.serve(config, "silver") as watched:
        watched.started()
        port = run_files.read(config)["silver"].port
        idle = socket.create_connection(("127.0.0.1", port or 0), timeout=60)
        idle.sendall(HALF + b"no\r\n\r\n")
        assert b"200 OK" in idle.recv(10_000)
        threads = [one for one in threading.enumerate() if one.name == "http"]
    assert threads and not any(one.is_alive() for one in threads)
    idle.close()
