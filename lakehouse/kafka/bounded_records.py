"""Kafka's record batches, inflated piece by piece: whatever a sender compressed, a record costs bounded memory.

The broker limits a batch by its *compressed* size: one of 400 KB may hold a record of 400 MiB. kafka-python inflates a
batch as a whole. Here it is read as a stream, and of a record only the first bytes are kept. What Java compresses with,
pyarrow inflates: gzip, lz4, zstd, and snappy in blocks.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecord, DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords
from kafka.record.util import decode_varint

_PIECE = 65_536
_HEADERS = 100
"""Headers of a record that are kept, at most."""
_MARK = b"\x82SNAPPY\x00"
_MARK_SIZE = 16
"""Of the frame that Java puts around blocks of snappy."""


class CutBytes(bytes):
    """The first bytes of a key or a value of ``size`` bytes."""

    size: int


def size_of(value: bytes | None) -> int:
    """The bytes that the record has, however many of them were kept."""
    return value.size if isinstance(value, CutBytes) else len(value or b"")


class UnreadableBatch(CorruptRecordError):  # type: ignore[misc]  # kafka-python has no types
    """A batch that is damaged, or that nothing here can inflate. ``first`` and ``last``: the offsets that it may hold and that
    were not read yet; ``timestamp``: its latest, in milliseconds since 1970."""

    def __init__(self, first: int, last: int, timestamp: int, cause: object) -> None:
        super().__init__(f"the record batch of offsets {first} to {last} cannot be read: {cause}")
        self.first = first
        self.last = last
        self.timestamp = timestamp


def bound(consumer: Any, keep: int) -> None:
    """Have ``consumer`` keep ``keep`` bytes of a record at most. A longer key or value is ``CutBytes``."""
    consumer._fetcher.PartitionRecords = _partition_records(keep)


def _partition_records(keep: int) -> type:
    class BoundedPartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]
        def __init__(self, fetch_offset: int, tp: Any, records: MemoryRecords, **options: Any) -> None:
            # the batch checks itself: there it is known which offsets it holds
            super().__init__(fetch_offset, tp, _BoundedRecords(records, keep), **options | {"check_crcs": False})

    return BoundedPartitionRecords


class _BoundedRecords:
    """A fetch's batches as ``BoundedBatch``."""

    def __init__(self, records: MemoryRecords, keep: int) -> None:
        self._records = records
        self._keep = keep

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if not isinstance(batch, DefaultRecordBatch) or batch.is_control_batch:
            return batch  # one of Kafka before 0.11, or a transaction's marker, which is never compressed
        return BoundedBatch(batch._buffer, self._keep)


class BoundedBatch(DefaultRecordBatch):  # type: ignore[misc]
    """One batch. Iterating raises ``UnreadableBatch``."""

    _buffer: bytearray
    _pos: int
    _decompressed: bool

    def __init__(self, buffer: bytes, keep: int) -> None:
        super().__init__(buffer)
        self._keep = keep
        self._next = self.base_offset
        self._whole = bytes(self._buffer)  # what was sent, while the parent's ``_buffer`` holds what was inflated of it
        self._read: Callable[[int], bytes] = lambda _: b""

    def _unreadable(self, cause: object) -> UnreadableBatch:
        return UnreadableBatch(self._next, self.last_offset, self.max_timestamp, cause)

    def __iter__(self) -> BoundedBatch:
        if not self._decompressed:
            if not self.validate_crc():
                raise self._unreadable("its checksum differs")
            self._decompressed = True
            if self.compression_type != self.CODEC_NONE:
                self._read = self._inflating(self._whole[self._pos :])
                self._buffer, self._pos = bytearray(), 0
        return self

    def __next__(self) -> DefaultRecord:
        if self._next_record_index >= self._num_records:
            raise StopIteration
        try:
            record = self._record()
        except (ValueError, IndexError, OSError, CorruptRecordError) as error:
            raise self._unreadable(error) from None
        self._next_record_index += 1
        self._next = record.offset + 1
        return record

    def _inflating(self, sent: bytes) -> Callable[[int], bytes]:
        """A function that returns up to so many bytes more."""
        import pyarrow as pa

        if self.compression_type == self.CODEC_SNAPPY:
            return _unsnapped(sent)
        names = {self.CODEC_GZIP: "gzip", self.CODEC_LZ4: "lz4", self.CODEC_ZSTD: "zstd"}
        try:
            stream = pa.CompressedInputStream(pa.BufferReader(sent), names[self.compression_type])
        except KeyError:
            raise self._unreadable("its compression is not known") from None
        return lambda size: bytes(stream.read(size))

    def _held(self) -> int:
        return len(self._buffer) - self._pos

    def _fill(self, size: int) -> int:
        """Inflate until ``size`` bytes are at hand, or the batch ends; how many are."""
        while self._held() < size and (piece := self._read(max(_PIECE, size - self._held()))):
            self._buffer = self._buffer[self._pos :] + piece
            self._pos = 0
        return self._held()

    def _varint(self) -> int:
        self._fill(10)
        value, self._pos = decode_varint(self._buffer, self._pos)
        return int(value)

    def _skip(self, size: int) -> None:
        while size > 0:
            if not (held := min(size, self._fill(min(size, _PIECE)))):
                raise CorruptRecordError("it ends within a record")
            self._pos += held
            size -= held

    def _bytes(self, size: int, keep: int) -> bytes | None:
        """The next ``size`` bytes, or the first ``keep`` of them; None for Kafka's null, of size -1."""
        if size < 0:
            return None
        kept = min(size, max(keep, 0))
        if self._fill(kept) < kept:
            raise CorruptRecordError("it ends within a record")
        found = bytes(self._buffer[self._pos : self._pos + kept])
        self._skip(size)
        if kept < size:
            found = CutBytes(found)
            found.size = size
        return found

    def _record(self) -> DefaultRecord:
        self._fill(10)
        length, start = decode_varint(self._buffer, self._pos)
        if length <= self._keep:
            size = start - self._pos + length
            if self._fill(size) < size:
                raise CorruptRecordError("it ends within a record")
            at = self._pos
            try:
                return self._read_msg()
            except UnicodeDecodeError:  # a header's name, which Java lets pass
                self._pos = at
        return self._record_by_fields()

    def _record_by_fields(self) -> DefaultRecord:
        """A record of more than ``keep`` bytes, or an odd one: see ``_read_msg`` of kafka-python for its layout."""
        length, keep = self._varint(), self._keep
        self._skip(1)  # attributes, of which there are none
        delta, offset = self._varint(), self.base_offset + self._varint()
        key = self._bytes(self._varint(), keep // 4)
        value = self._bytes(self._varint(), keep // 2)  # so that there is room for the headers
        keep -= len(key or b"") + len(value or b"")
        headers: list[tuple[str, bytes | None]] = []
        count = self._varint()
        while len(headers) < min(count, _HEADERS):
            name = self._bytes(self._varint(), keep) or b""
            headers.append((name.decode("utf-8", "replace"), self._bytes(self._varint(), keep - len(name))))
            keep -= len(name) + len(headers[-1][1] or b"")
        for _ in range(count - len(headers)):
            self._skip(self._varint())
            self._skip(self._varint())
        timestamp = self.max_timestamp if self.timestamp_type == self.LOG_APPEND_TIME else self.first_timestamp + delta
        return DefaultRecord(length, offset, timestamp, self.timestamp_type, key, value, headers)


def _unsnapped(sent: bytes) -> Callable[[int], bytes]:
    """Snappy cannot make much of little, a 21st at best: a block is inflated as a whole. Java sends a batch as many of
    them, other clients as one."""
    import pyarrow as pa

    codec = pa.Codec("snappy")
    ahead = bytearray(sent[_MARK_SIZE:] if sent.startswith(_MARK) else struct.pack(">i", len(sent)) + sent)

    def block(_: int) -> bytes:
        if not ahead:
            return b""
        (size,) = struct.unpack_from(">i", ahead)
        packed = bytes(ahead[4 : 4 + size])
        del ahead[: 4 + size]
        inflated, shift = 0, 0
        for byte in packed:  # a block begins with its inflated size, seven bits a byte
            inflated |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        return bytes(codec.decompress(packed, inflated))

    return block
