"""The SHA-256 of a file that is made here, kept beside it: a file that was cut off, damaged or replaced is never used.

What comes from a registry is compared with jars.lock; what is made on this machine differs from machine to machine, and is
compared with the record of its making. Whoever may write the whole cache may write both.
"""

from __future__ import annotations

from pathlib import Path

from lakehouse import atomic_file
from lakehouse.jvm.jars import sha256


def keep(made: Path, place: Path) -> None:
    """Move a file that is complete to its place, and record its hash. Until then, and when it is cut off between the two,
    the file counts as not made. The caller holds a lock."""
    found = sha256(made)
    atomic_file.move(made, place)
    atomic_file.write(_record(place), f"{found}  {place.name}\n")  # as sha256sum -c reads it


def is_intact(place: Path) -> bool:
    """Whether the file is there and is the one that was made."""
    try:
        recorded = _record(place).read_text(encoding="utf-8").split()
        return recorded[:1] == [sha256(place)]
    except (OSError, UnicodeDecodeError):
        return False


def _record(place: Path) -> Path:
    return place.with_name(f"{place.name}.sha256")
