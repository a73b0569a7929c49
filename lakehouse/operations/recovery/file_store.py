"""A folder of files, on this machine or in an object store (a URI that pyarrow's file systems know). No JVM.

A file is written whole or not at all: beside its name first, on the disk, then moved there. An object store does that by
itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse import atomic_file
from lakehouse.config import Config, paths
from lakehouse.errors import LakehouseError, one_line
from lakehouse.lake import object_store

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """One file: its path below the store's root, bytes, and when it was last changed (ns since 1970, 0: not known)."""

    path: str
    size: int
    mtime_ns: int


class Store:
    """Files below ``place``. Nothing is made before something is written."""

    def __init__(self, place: str, config: Config) -> None:
        """``s3a://`` takes the settings of ``[S3]``. Raises ``LakehouseError``."""
        from pyarrow import fs

        self.place = place.rstrip("/")
        path = self.place if paths.is_uri(self.place) else str(Path(self.place).absolute())
        self._fs: FileSystem
        self._root: str
        try:
            self._fs, self._root = object_store.filesystem(config, path)
        except (OSError, ValueError) as error:
            raise LakehouseError(f"The place {place} cannot be opened: {one_line(error, 200)}") from None
        self.is_local = isinstance(self._fs, fs.LocalFileSystem)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def files(self, folder: str = "") -> list[File]:
        """Every file below ``folder``, by path; none when there is no such folder."""
        from pyarrow import fs

        for _ in range(3):  # a listing may meet a folder that is being removed
            with contextlib.suppress(FileNotFoundError):
                found = self._fs.get_file_info(fs.FileSelector(self._at(folder), allow_not_found=True, recursive=True))
                cut = len(self._root) + 1
                return sorted(
                    (
                        File(info.path[cut:], info.size, info.mtime_ns or 0)
                        for info in found
                        if info.type == fs.FileType.File
                    ),
                    key=lambda file: file.path,
                )
        return []

    def chunks(self, path: str) -> Iterator[bytes]:
        """The file's bytes. Raises ``FileNotFoundError``."""
        with self._fs.open_input_stream(self._at(path)) as stream:
            while chunk := stream.read(_CHUNK):
                yield bytes(chunk)

    def read(self, path: str) -> bytes:
        """The whole file. Raises ``FileNotFoundError``."""
        return b"".join(self.chunks(path))

    def put(self, path: str, chunks: Iterable[bytes], *, expected: str | None = None) -> str:
        """Write a file and return its SHA-256. With ``expected``, raises ``Changed`` when the bytes have another one, and
        leaves nothing behind. Raises ``LakehouseError`` when the store cannot be written, and what ``chunks`` raises."""
        seen = hashlib.sha256()
        part = self._at(path) + (f".{uuid.uuid4().hex[:8]}.part" if self.is_local else "")
        try:
            with self._writing():
                if self.is_local:
                    self._fs.create_dir(part.rpartition("/")[0], recursive=True)
                stream = self._fs.open_output_stream(part)
            try:
                for chunk in chunks:
                    seen.update(chunk)
                    with self._writing():
                        stream.write(chunk)
            finally:
                with self._writing():
                    stream.close()
            if expected is not None and seen.hexdigest() != expected:
                raise Changed(path)
            if self.is_local:
                with self._writing():
                    atomic_file.move(part, self._at(path))
        except BaseException:
            with contextlib.suppress(OSError):
                self._fs.delete_file(part)
            raise
        return seen.hexdigest()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn an error of writing into ``LakehouseError``: a full disk must not look like a missing file, for which the capture
        of the lake starts again."""
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else one_line(error, 200)
            raise LakehouseError(
                f"{self.place} cannot be written: {reason}. Make room there, or name another place, and type the same "
                f"command again."
            ) from None

    def delete(self, path: str) -> None:
        self._fs.delete_file(self._at(path))


class Changed(Exception):
    """The bytes of a file are not those that were expected."""


def digest(chunks: Iterable[bytes]) -> str:
    """SHA-256 of the chunks together, in hexadecimal."""
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
    return seen.hexdigest()
