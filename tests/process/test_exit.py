"""How a script's process ends: with the exit code of its ``main``, whatever its threads are doing and whoever reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from lakehouse.config import PROJECT

BUSY = """
import sys, threading
from deltalake import DeltaTable

inside = threading.Event()

def read():
    while True:
        inside.set()
        DeltaTable(sys.argv[1]).history()

def main():
    threading.Thread(target=read, daemon=True).start()
    inside.wait()
    print("done")
    return 3
"""
CRASHES = BUSY + "sys.exit(main())"
ENDS = BUSY + "from lakehouse.entry_point import execute\nexecute(main)"


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def table(tmp_path: Path) -> str:
    write_deltalake(str(tmp_path), pa.table({"a": [1]}))
    return str(tmp_path)


def test_a_thread_that_reads_a_table_does_not_change_the_exit_code(table: str) -> None:
    """The fault it guards against is real: the interpreter's own end crashes when the thread comes back to it."""
    assert -11 in {run(CRASHES, table).returncode for _ in range(10)}, "it no longer crashes: is execute still needed?"
    for _ in range(10):
        ended = run(ENDS, table)
        assert (ended.returncode, ended.stdout, ended.stderr) == (3, "done\n", "")


def test_what_main_ends_with_becomes_the_exit_code() -> None:
    for ending, code, said in (
        ("return 0", 0, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(4)", 4, ""),
        ("raise ValueError('broken')", 1, "ValueError: broken"),
    ):
        ended = run(f"from lakehouse.entry_point import execute\ndef main():\n  {ending}\nexecute(main)")
        assert ended.returncode == code
        assert said in ended.stderr and ("Traceback" in ended.stderr) == bool(said)


def test_every_script_ends_so() -> None:
    for script in PROJECT.glob("*.py"):
        assert script.read_text(encoding="utf-8").endswith('if __name__ == "__main__":\n    execute(main)\n'), script


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_the_null_device_and_no_file_takes_its_place(tmp_path: Path, closed: str) -> None:
    program = (
        "from lakehouse.entry_point import execute\n"
        "import sys\n"
        "def main():\n"
        "  with open(sys.argv[1], 'w') as held:\n"
        "    print('out'); print('err', file=sys.stderr); sys.stdin.read()\n"
        "    held.write(str(held.fileno()))\n"
        "  return 0\n"
        "execute(main)"
    )
    place = tmp_path / "held"
    command = f'"$0" -c "$1" "$2" {closed}'
    ended = subprocess.run(
        ["sh", "-c", command, sys.executable, program, str(place)],
        cwd=PROJECT, stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0
    assert int(place.read_text(encoding="ascii")) > 2


@pytest.mark.parametrize("command", ["ops_utils.py --help", "query_utils.py --help", "setup_utils.py --help"])
def test_a_reader_that_has_gone_is_no_fault(command: str) -> None:
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} {command} | true"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
