"""A real S3 server on this machine for the tests: versitygw over a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakehouse.config import PROJECT
from lakehouse.kafka.broker.properties import free_port

BUCKET = "lac"
GET_IT = "make versitygw"


def executable() -> str | None:
    """versitygw on the PATH, or where ``make versitygw`` puts it."""
    return shutil.which(
        "versitygw", path=os.pathsep.join([os.environ.get("PATH", ""), str(PROJECT / ".cache" / "bin")])
    )


@dataclass(frozen=True)
class Server:
    """One bucket; ``settings`` name it as ``config_of`` takes them."""

    endpoint: str
    folder: Path

    def settings(self, prefix: str, state: Path) -> dict[str, str]:
        return {
            "DELTA__BASE_PATH": f"s3a://{BUCKET}/{prefix}",
            "DELTA__STATE_PATH": str(state),
            "S3__ENDPOINT": self.endpoint,
            "S3__REGION": "us-east-1",
            "S3__PATH_STYLE": "true",
            "S3__ACCESS_KEY": "cle",
            "S3__SECRET_KEY": "canari-du-coffre",
        }


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """The server while the block runs. Its files lie under ``folder``."""
    found = executable()
    assert found is not None, GET_IT
    port = free_port()
    (folder / BUCKET).mkdir(parents=True)
    secrets = {"ROOT_ACCESS_KEY": "cle", "ROOT_SECRET_KEY": "canari-du-coffre"}
    command = [found, "--port", f"127.0.0.1:{port}", "--region", "us-east-1", "--quiet", "posix", str(folder)]
    with subprocess.Popen(command, env={**os.environ, **secrets}, stdout=subprocess.DEVNULL) as process:
        try:
            _wait(f"http://127.0.0.1:{port}/", process)
            yield Server(f"http://127.0.0.1:{port}", folder / BUCKET)
        finally:
            process.terminate()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "versitygw ended"
        try:
            urllib.request.urlopen(url, timeout=1)
        except urllib.error.HTTPError:
            return  # it answers: a request without a signature is refused
        except OSError:
            time.sleep(0.1)
    raise AssertionError("versitygw does not answer")
