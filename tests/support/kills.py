"""SIGKILL in the middle of an operator's command: a real process that waits at the moment the test chose, and is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from lakehouse.config import ENV_PREFIX, PROJECT
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
