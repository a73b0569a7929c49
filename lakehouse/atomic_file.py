"""The one writer of whole files: a reader sees the old content or the new one, never half of it, whatever is killed.

A regular file is written beside its place, flushed, put on the disk and renamed. What is no regular file is written into,
since a rename would take its place: devices, FIFOs and descriptors under ``/proc``. A link keeps its target, which is written.
Only the standard library: every package may use it.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lakehouse import crash_points

_NAMED = 32
"""Characters of the file's name in that of its draft: a name of 255 bytes leaves no room for a longer one."""
_NOT_SYNCED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
"""What a device, a FIFO or a network's folder answers, which have nothing to put on a disk."""


def write(path: Path | str, data: bytes | str, *, mode: int | None = None, durable: bool = True) -> None:
    """Make ``data`` (a text in UTF-8) the content of a file. As ``replacing``."""
    with replacing(path, mode=mode, durable=durable) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def replacing(path: Path | str, *, mode: int | None = None, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream whose content takes the file's place at the end of the block; nothing is changed when the block raises.

    ``mode``: the permissions of the new file; None takes those of the file that is replaced, or what the umask leaves of
    0666. Without ``durable`` a power cut, not a kill, may bring the old content back or leave an empty file: for what can
    be made again. Raises ``OSError``.
    """
    target = _behind_links(Path(path))
    if _is_written_into(target):
        with os.fdopen(os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb") as stream:
            yield stream
        return
    draft = target.with_name(f".{target.name[:_NAMED]}.{secrets.token_hex(6)}.part")
    try:
        file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode)
    except OSError as error:  # it is the folder that does not let us in: nobody knows the draft's name
        error.filename = str(target.parent)
        raise
    try:
        with os.fdopen(file, "wb") as stream:
            if mode is None:
                with suppress(FileNotFoundError):
                    os.fchmod(file, stat.S_IMODE(target.stat().st_mode))
            yield stream
            stream.flush()
            if durable:
                sync(file)
        crash_points.step(f"before {target.name} is replaced")
        draft.replace(target)
        crash_points.step(f"after {target.name} was replaced")
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if durable:
        _sync_path(target.parent)


def move(draft: Path | str, target: Path | str) -> None:
    """Put a file that another program wrote, on the same file system, in the place of ``target``, on the disk when this
    returns. Raises ``OSError``."""
    _sync_path(draft)
    crash_points.step(f"before {Path(target).name} is moved")
    Path(draft).replace(target)
    crash_points.step(f"after {Path(target).name} was moved")
    _sync_path(Path(target).parent)


def sync(file: int) -> None:
    """``fsync`` of an open file; nothing for a device or a FIFO. Raises ``OSError``."""
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _NOT_SYNCED:
            raise


def _sync_path(path: Path | str) -> None:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(file)
    finally:
        os.close(file)


def _behind_links(path: Path) -> Path:
    """What the links lead to, whether it is there or not. Those under ``/proc`` name open files, not places."""
    for _ in range(40):  # as many as Linux follows
        if not path.is_symlink() or _is_of_a_process(path):
            break
        path = path.parent / path.readlink()
    return path


def _is_of_a_process(path: Path) -> bool:
    return Path(os.path.realpath(path.parent)).is_relative_to("/proc")


def _is_written_into(target: Path) -> bool:
    try:
        kind = target.stat().st_mode
    except FileNotFoundError:
        return False
    return _is_of_a_process(target) or not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))
