"""The faults themselves: a library that is preloaded, a proxy that holds back, and the person who types what is named."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign import shim, sweep
from campaign.faults import catalogue, network, person

needs_compiler = pytest.mark.skipif(shim.compiler() is None, reason="needs a C compiler")


@pytest.fixture
def made(tmp_path: Path) -> shim.Shim:
    library = shim.build(tmp_path)
    assert library is not None
    return shim.Shim(library, tmp_path)


def _run(made: shim.Shim, code: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **made.environment}
    return subprocess.run([sys.executable, "-c", code, *words], env=env, capture_output=True, text=True, check=False)


@needs_compiler
def test_a_clock_that_is_wrong_by_an_hour(made: shim.Shim) -> None:
    code = "import time; print(time.time())"
    assert abs(float(_run(made, code).stdout) - time.time()) < 60
    assert made["clock_reads"] == 0
    made.clock(-3600)
    assert -3660 < float(_run(made, code).stdout) - time.time() < -3540
    assert made["clock_reads"] > 0


@needs_compiler
def test_a_disk_that_fails_for_some_writes_of_some_files(made: shim.Shim, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "for name in sys.argv[1:]:\n"
        "    file = os.open(name, os.O_WRONLY | os.O_CREAT)\n"
        "    for _ in range(4):\n"
        "        try: print(os.write(file, b'x'), end=' ')\n"
        "        except OSError as error: print(error.errno, end=' ')\n"
    )
    (tmp_path / "here").mkdir()
    made.disk("/here/", errno.ENOSPC, after=1, writes=2)
    done = _run(made, code, str(tmp_path / "here" / "a"), str(tmp_path / "b"))
    assert done.stdout.split() == ["1", "28", "28", "1", *["1"] * 4]
    assert (made["disk_seen"], made["disk_failed"]) == (4, 2)
    made.clear()
    assert _run(made, code, str(tmp_path / "here" / "a")).stdout.split() == ["1"] * 4


@pytest.fixture
def echo() -> Iterator[int]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        while data := client.recv(100):
            client.sendall(data)
        client.close()

    def accept() -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield int(server.getsockname()[1])
    server.close()


def _ask(client: socket.socket, text: bytes) -> bytes | None:
    client.sendall(text)
    try:
        return client.recv(100)
    except TimeoutError:
        return None


def test_a_proxy_holds_back_one_way_and_goes_on(echo: int) -> None:
    with network.proxy(echo) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as client:
        assert _ask(client, b"1") == b"1"
        proxy.hold(requests=False, answers=True)
        assert _ask(client, b"2") is None
        assert proxy.held == 1
        proxy.heal()
        client.settimeout(20)
        assert client.recv(100) == b"2"


def test_a_half_open_connection_stays_silent_and_a_new_one_works(echo: int) -> None:
    with network.proxy(echo) as proxy, socket.create_connection(("127.0.0.1", proxy.port), timeout=0.3) as client:
        assert _ask(client, b"1") == b"1"
        proxy.leave_half_open()
        assert proxy.cut == 1
        assert _ask(client, b"2") is None
        with socket.create_connection(("127.0.0.1", proxy.port), timeout=20) as other:
            assert _ask(other, b"3") == b"3"


@needs_compiler
def test_a_connection_goes_to_the_proxy(made: shim.Shim, echo: int) -> None:
    made.redirect(9, echo)
    code = "import socket; c = socket.create_connection(('127.0.0.1', 9)); c.sendall(b'hi'); print(c.recv(9))"
    assert _run(made, code).stdout.strip() == "b'hi'"
    assert made["redirected"] == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("x: Nothing was written. Type: python ops_utils.py rebuild bronze", ["ops_utils.py", "rebuild", "bronze", "--yes"]),
        ("see: python spark_streaming_delta.py --accept-data-loss\n", ["spark_streaming_delta.py", "--accept-data-loss", "--once"]),
        ("To undo it: python ops_utils.py restore-table ventes_stream --version 4. To leave it: …", ["ops_utils.py", "restore-table", "ventes_stream", "--version", "4", "--yes"]),
        ("python streaming_silver.py, then reconcile again.", ["streaming_silver.py"]),
        ("Set the clock right, or wait 3 s, and start again.", None),
    ],
)  # fmt: skip
def test_the_named_command_is_typed(said: str, words: list[str] | None) -> None:
    assert person.named_command(said) == words


def test_a_stop_is_loud_when_it_says_what_to_do() -> None:
    assert person.is_loud("spark_streaming_delta.py: The disk is full. Make room, and type the same command again.")
    assert not person.is_loud("")
    assert not person.is_loud("Traceback (most recent call last):\nKeyError: 3\nType: something")
    assert not person.is_loud("KeyError: 3")


def test_every_fault_has_a_sentence() -> None:
    faults = [one.strike for one in {**catalogue.BRONZE, **catalogue.SILVER, **catalogue.RARE}.values()]
    between = [one for of_job in catalogue.BETWEEN.values() for one in of_job.values()]
    verbs = [*person.RUNNING.values(), *person.STOPPED.values()]
    for one in (*between, *verbs, *(each for each in faults if "<locals>" not in each.__qualname__)):
        assert one.__doc__, one


def test_the_sweep_knows_every_verb_that_writes() -> None:
    from lakehouse.operations import command

    kept = {"backup": "backup create", "rejects": "rejects replay", "rebuild": "rebuild bronze"}
    asks = {"status", "history", "audit"}  # they write nothing but their line of the audit log
    for verb in command.VERBS:
        assert verb in asks or kept.get(verb, verb) in sweep.SWEPT
