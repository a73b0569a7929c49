"""A checkpoint folder, read as values: the batches that were planned, those that were committed, and up to where.

``CheckpointFolder`` is what can be asked, whichever file system answers: ``FileCheckpoint`` here, in a fraction of a second
and without a JVM, or ``checkpoint.Checkpoint`` through Spark.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from lakehouse.config import Config
from lakehouse.errors import CheckpointInvalid
from lakehouse.lake import checkpoint_files, checkpoint_validation, object_store
from lakehouse.lake.checkpoint_files import COMMITS, FIRST_OFFSETS, METADATA, OFFSETS, TOPIC_ID, DamagedFile, Planned

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_T = TypeVar("_T")


class CheckpointFolder(ABC):
    """What a checkpoint folder holds. Every method raises ``CheckpointInvalid`` for a file that is damaged."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.job = path.rstrip("/").rsplit("/", 1)[-1].split("-")[0]  # silver's folder ends with its generation

    @abstractmethod
    def ids(self, name: str) -> list[int]:
        """The entries of the folder ``name`` whose names are numbers, sorted; none when it is not there."""

    @abstractmethod
    def text(self, name: str) -> str | None:
        """The file's text, without the byte 0 that Spark writes before some; None when there is none."""

    def refused(self, fault: DamagedFile) -> CheckpointInvalid:
        """The error for a file that cannot be read."""
        return checkpoint_validation.refusal(self.path, self.job, str(fault))

    def check(self, *, topic: str | None = None, table_id: str | None = None) -> None:
        """Raises ``CheckpointInvalid`` when the job cannot continue from this checkpoint: see ``checkpoint_validation.fault``."""
        found = checkpoint_validation.fault(self, self.job, topic=topic, table_id=table_id)
        if found:
            raise checkpoint_validation.refusal(self.path, self.job, found)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within it, a damaged file is refused with this folder's name and the next command."""
        try:
            yield
        except DamagedFile as fault:
            raise self.refused(fault) from None

    def _parsed(self, name: str, parse: Callable[[str], _T]) -> _T | None:
        text = self.text(name)
        with self.reading():
            return None if text is None else parse(text)

    def planned_ids(self) -> list[int]:
        return self.ids(OFFSETS)

    def committed_ids(self) -> list[int]:
        return self.ids(COMMITS)

    def is_new(self) -> bool:
        """True before the first batch was planned."""
        return not self.planned_ids()

    def query_id(self) -> str | None:
        """The query's id; None for a checkpoint that was never used."""
        found = self._parsed(METADATA, checkpoint_files.query_id)
        if found is None and not self.is_new():
            raise checkpoint_validation.refusal(self.path, self.job, "it has batches but no metadata file")
        return found

    def planned(self, batch_id: int) -> Planned | None:
        """The offset log's entry for one batch; None when it is not there (old ones are purged)."""
        return self._parsed(f"{OFFSETS}/{batch_id}", lambda text: checkpoint_files.planned(batch_id, text))

    def committed(self) -> Planned | None:
        """The last committed batch; None before the first."""
        committed = self.committed_ids()
        return self.planned(committed[-1]) if committed else None

    def first_offsets(self) -> dict[str, dict[int, int]]:
        """topic → partition → offset at which the first batch began, as Spark's Kafka source noted it."""
        found = self._parsed(FIRST_OFFSETS, checkpoint_files.first_offsets)
        if found is None:
            fault = f"it does not say where its first batch began ({FIRST_OFFSETS})"
            raise checkpoint_validation.refusal(self.path, self.job, fault, hidden=True)
        return found

    def topic_id(self) -> str | None:
        """The id of the topic that this checkpoint's offsets belong to; None when it was not noted."""
        return (self.text(TOPIC_ID) or "").strip() or None


class AdvancedFolder(CheckpointFolder):
    """A checkpoint of this process's own job: files of ours are written beside Spark's."""

    @abstractmethod
    def write_text(self, name: str, text: str) -> None:
        """A file of ours, which Spark does not look at: whole or not at all, on the disk or in the store when this returns."""

    @abstractmethod
    def forget(self, name: str) -> None:
        """Delete a file of ours."""


class FileCheckpoint(CheckpointFolder):
    """A checkpoint folder on a disk or in an object store, read without Spark."""

    def __init__(self, config: Config, path: str) -> None:
        super().__init__(path)
        self._fs: FileSystem
        self._root: str
        self._fs, self._root = object_store.filesystem(config, path)

    def ids(self, name: str) -> list[int]:
        from pyarrow import fs

        found = self._fs.get_file_info(fs.FileSelector(f"{self._root}/{name}", allow_not_found=True))
        return sorted(int(info.base_name) for info in found if info.base_name.isdigit())

    def text(self, name: str) -> str | None:
        try:
            with self._fs.open_input_stream(f"{self._root}/{name}") as stream:
                return bytes(stream.read()).lstrip(b"\0").decode(errors="replace")
        except FileNotFoundError:
            return None

    def existing(self, batch_id: int) -> Planned:
        """The offset log's entry for a batch that it must have."""
        found = self.planned(batch_id)
        if found is None:
            raise self.refused(DamagedFile(f"{OFFSETS}/{batch_id}"))
        return found

    def refused(self, fault: DamagedFile) -> CheckpointInvalid:
        return CheckpointInvalid(
            f"The file {self.path}/{fault.name} is missing or damaged: how far the job has read cannot be told. Type: "
            f"python ops_utils.py rebuild {self.job}"
        )
