"""SIGKILL in the middle of a command or job: a real process that is killed at the moment the test chose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from lakehouse.config import ENV_PREFIX, PROJECT
from tests.support import preloaded
from tests.support.children import eventually

_CHILD = """
import sys, time
from importlib import import_module
from pathlib import Path
script, module, name, number, when, reached = sys.argv[1:7]
holder = import_module(module)
for part in name.split(".")[:-1]:
    holder = getattr(holder, part)
name = name.split(".")[-1]
real, calls = getattr(holder, name), []
def step(*args, **options):
    calls.append(1)
    if len(calls) == int(number) and when == "before":
        Path(reached).touch(); time.sleep(600)
    result = real(*args, **options)
    if len(calls) == int(number) and when == "after":
        Path(reached).touch(); time.sleep(600)
    return result
setattr(holder, name, step)
sys.exit(import_module(script).main(sys.argv[7:]))
"""


def killed_at(
    base: str,
    function: str,
    words: Sequence[str],
    *,
    number: int = 1,
    when: str = "after",
    script: str = "lakehouse.operations.command",
) -> None:
    """Run ``ops_utils.py``, or another module's ``main``, with ``words`` over the lake and SIGKILL it just ``before`` or ``after`` the ``number``-th call
    of ``function`` (``lakehouse.module:name``). Asserts that it was alive there: the kill met the middle of the work."""
    module, _, name = function.partition(":")
    reached = Path(base).parent / f"reached-{name}-{number}-{when}"
    reached.unlink(missing_ok=True)
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, script, module, name, str(number), when, str(reached), *words],
        cwd=PROJECT,
        env={**os.environ, f"{ENV_PREFIX}DELTA__BASE_PATH": base},
        stdin=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: reached.exists() or child.poll() is not None, 300, f"{function} was not called")
        assert child.poll() is None, "the command ended before it was killed"
    finally:
        child.kill()
    assert child.wait() == -signal.SIGKILL


def at_commit(folder: Path, text: str, number: int, when: str) -> AbstractContextManager[None]:
    """What is started in the block ends by SIGKILL in its ``number``-th commit, without Spark, that has ``text`` in it:
    ``before`` the version is there, when its data files are written, or ``after``."""
    library = preloaded.compiled("kill_at_commit", folder)
    return preloaded.loaded(library, TEST_KILL_AT=str(number), TEST_KILL_TEXT=text, TEST_KILL_WHEN=when)


def killed_at_commit(
    base: str, words: Sequence[str], text: str, number: int, when: str, *, script: str = "ops_utils.py"
) -> None:
    """Run the script with ``words`` over the lake, killed as ``at_commit`` says. Asserts that it was."""
    with at_commit(Path(base).parent, text, number, when):
        ended = subprocess.run(
            [sys.executable, script, *words],
            cwd=PROJECT, env={**os.environ, f"{ENV_PREFIX}DELTA__BASE_PATH": base}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ended.returncode == -signal.SIGKILL, f"exit code {ended.returncode}:\n{ended.stdout}{ended.stderr}"
