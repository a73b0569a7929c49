"""Small C libraries that a test's processes load before all others, so that a call of the operating system does what the test
chose."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def compiled(name: str, folder: Path) -> Path:
    """``name``.c of this folder, compiled into ``folder``. Skips the test on a machine without a C compiler, and says so."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip(f"NO C COMPILER: what needs {name}.c is NOT TESTED")
    made = folder / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", made, source, "-ldl"], check=True)
    return made


@contextmanager
def loaded(library: Path, **environment: str) -> Iterator[None]:
    """Whatever is started in the block has the library, and ``environment``, which tells it what to do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(library))
        for name, text in environment.items():
            patch.setenv(name, text)
        yield
