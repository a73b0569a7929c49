"""A disk that fails, a clock that is wrong, a broker behind a proxy: for the processes of one history alone, by a small library
that is preloaded into them. Needs a C compiler; without one its faults are not run, and the report says so."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).parent / "shim.c"
_PLACE = 216
_FIELDS = (
    "clock_ns", "clock_reads", "disk_errno", "disk_skip", "disk_fail", "disk_seen", "disk_failed", "from_port", "to_port",
    "redirected",
)  # fmt: skip


def compiler() -> str | None:
    """The C compiler; None where there is none."""
    return shutil.which("cc") or shutil.which("gcc")


def build(folder: Path) -> Path | None:
    """The library, compiled into ``folder``; None without a compiler."""
    found, library = compiler(), folder / "shim.so"
    if found is None:
        return None
    if not library.exists():
        folder.mkdir(parents=True, exist_ok=True)
        words = [found, "-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
        subprocess.run(words, check=True, capture_output=True)
    return library


class Shim:
    """What goes wrong in the processes that have ``environment``, from now on and until ``clear``; and how often it did."""

    def __init__(self, library: Path, folder: Path) -> None:
        self._path = folder / "control"
        self._path.write_bytes(bytes(8 * len(_FIELDS) + _PLACE))
        with self._path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), 0)
        self.environment = {"LD_PRELOAD": str(library), "CAMPAIGN_CONTROL": str(self._path)}

    def __getitem__(self, field: str) -> int:
        return int(struct.unpack_from("q", self._shared, 8 * _FIELDS.index(field))[0])

    def __setitem__(self, field: str, value: int) -> None:
        struct.pack_into("q", self._shared, 8 * _FIELDS.index(field), value)

    def clear(self) -> None:
        """Nothing goes wrong, and nothing was counted."""
        self._shared[:] = bytes(len(self._shared))

    def disk(self, place: str, errno: int, *, after: int, writes: int) -> None:
        """Of the writes to files whose path holds ``place``, ``writes`` fail with ``errno``, the first of them after ``after``."""
        start = 8 * len(_FIELDS)
        self._shared[start : start + _PLACE] = place.encode().ljust(_PLACE, b"\0")
        self["disk_seen"] = self["disk_failed"] = 0
        self["disk_skip"], self["disk_fail"] = after, writes
        self["disk_errno"] = errno  # last: it switches the fault on

    def clock(self, seconds: float) -> None:
        """The time of day is wrong by so much."""
        self["clock_reads"] = 0
        self["clock_ns"] = int(seconds * 1e9)

    def redirect(self, port: int, proxy: int) -> None:
        """Connections to ``port`` go to ``proxy``."""
        self["redirected"] = 0
        self["to_port"], self["from_port"] = proxy, port
