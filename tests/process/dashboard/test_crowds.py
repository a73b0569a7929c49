"""The dashboard under many clients: connections that ask nothing, more questions than it answers, another loopback address."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from lakehouse.dashboard import question_queue, server
from lakehouse.dashboard.html import BUSY
from lakehouse.dashboard.query_process import Reply
from lakehouse.dashboard.question import Question
from tests.support.dashboards import dashboard
from tests.support.harness import config_of


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_400_connections_that_ask_nothing_lock_no_reader_out(tmp_path: Path, host: str) -> None:
    with (
        dashboard(str(tmp_path / "lake"), tmp_path / "log", MONITORING__DASHBOARD_HOST=host) as found,
        contextlib.ExitStack() as held,
    ):
        assert found.get("/static/style.css").status == 200
        psutil.Process(found.child.process.pid).rlimit(resource.RLIMIT_NOFILE, (256, 256))
        port = int(found.address.rstrip("/").rpartition(":")[2])
        for _ in range(400):
            link = held.enter_context(socket.create_connection((host, port), timeout=60))
            link.sendall(b"GET /sales HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        assert found.get("/static/style.css").status == 200
        assert found.get("/sales", Host="evil.example").status == 400


def test_a_page_whose_questions_were_dropped_says_so_and_when_it_asks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(question_queue, "LIMIT", 2)
    goes_on = threading.Event()

    def ask(_question: Question, _cut: object = None) -> Reply:
        assert goes_on.wait(60)
        return Reply(None, "no lake")

    config = config_of(tmp_path, "localhost:1", "t", MONITORING__DASHBOARD_PORT="0")
    board = server.Dashboard(config)
    monkeypatch.setattr(board._cache, "_ask", ask)
    made = server.server(config, board).start()
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{made.port}/sales?lang=en", timeout=60)
        text = refused.value.read().decode()
        assert (refused.value.code, refused.value.headers["retry-after"]) == (503, str(BUSY))
        assert "Too many questions at once." in text and "It asks again in 5 seconds." in text
    finally:
        goes_on.set()
        made.stop()
