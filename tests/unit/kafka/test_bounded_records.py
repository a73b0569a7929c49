"""Record batches as any client compresses them, read record by record in bounded memory, beside kafka-python's own reading."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable

import pyarrow as pa
import pytest
from kafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c

from lakehouse.kafka.bounded_records import BoundedBatch, CutBytes, UnreadableBatch, size_of

MIB = 1 << 20
STAMP = 1_700_000_000_000
FIRST = DefaultRecordBatch.HEADER_STRUCT.size * b"\0" + b"\x0c\0\0\0\1\1\0"
"""A batch's header, and a record of nulls at the first offset and time."""
ROWS = [
    (b"7", b'{"a": 1}', [("trace", b"\x00\xff"), ("empty", None)]),
    (None, b"x" * 3000, []),
    (b"", None, []),
    (b"key", b"", [("é", b"")]),
]
CODECS: dict[int, Callable[[bytes], bytes]] = {
    0: bytes,
    1: gzip.compress,
    2: lambda plain: pa.compress(plain, "snappy", asbytes=True),
    3: lambda plain: pa.compress(plain, "lz4", asbytes=True),
    4: lambda plain: pa.compress(plain, "zstd", asbytes=True),
}


def xerial(plain: bytes) -> bytes:
    """Snappy as Java's clients frame it, in small blocks."""
    blocks = [pa.compress(plain[at : at + 700], "snappy", asbytes=True) for at in range(0, len(plain), 700)]
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(b)) + b for b in blocks)


def packed(rows: list[tuple[bytes | None, bytes | None, list]], codec: int, pack: Callable[[bytes], bytes]) -> bytes:
    """A batch whose records start at offset 40."""
    header = DefaultRecordBatch.HEADER_STRUCT
    plain = bytearray()
    for number, (key, value, headers) in enumerate(rows):
        made = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, 2**31 - 1)
        made.append(0, STAMP, None, None, [])
        made.append(number, STAMP + number, key, value, headers)
        plain += made._buffer[len(FIRST) :]
    fields = [0, 0, 0, 2, 0, 0, len(rows) - 1, STAMP, STAMP + len(rows) - 1, -1, -1, -1, len(rows)]
    body = pack(bytes(plain))
    fields[0], fields[1], fields[5] = 40, header.size + len(body) - 12, codec
    whole = bytearray(header.pack(*fields) + body)
    struct.pack_into(
        ">I", whole, DefaultRecordBatch.CRC_OFFSET, calc_crc32c(whole[DefaultRecordBatch.ATTRIBUTES_OFFSET :])
    )
    return bytes(whole)


def facts(batch: DefaultRecordBatch) -> list[tuple]:
    return [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in batch]


@pytest.mark.parametrize(("codec", "pack"), [*CODECS.items(), (2, xerial)])
def test_every_compression_is_read_as_it_was_sent(codec: int, pack: Callable[[bytes], bytes]) -> None:
    plain = facts(DefaultRecordBatch(packed(ROWS, 0, bytes)))
    assert [row[2:4] for row in plain] == [(key, value) for key, value, _ in ROWS]
    assert facts(BoundedBatch(packed(ROWS, codec, pack), 100_000)) == plain
    # what is longer than the bound is cut, and nothing else
    cut = facts(BoundedBatch(packed(ROWS, codec, pack), 1000))
    assert [len(row[3] or b"") for row in cut] == [8, 500, 0, 0]
    assert [size_of(row[3]) for row in cut] == [8, 3000, 0, 0]
    assert cut[0] == plain[0] and cut[2:] == plain[2:]


def test_a_record_of_100_mib_costs_little_memory_and_its_neighbours_are_whole() -> None:
    value = b'{"a":"' + b"a" * (100 * MIB) + b'"}'
    whole = packed([ROWS[0], (b"7", value, [("h", b"after")]), ROWS[0]], 1, lambda plain: gzip.compress(plain, 6))
    del value
    assert len(whole) < MIB
    tracemalloc.start()
    pool = pa.default_memory_pool()
    before = pool.bytes_allocated()
    first, large, last = BoundedBatch(whole, MIB)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (first.value, last.value) == (ROWS[0][1], ROWS[0][1])
    assert isinstance(large.value, CutBytes) and large.value.startswith(b'{"a":"aaa') and len(large.value) == MIB // 2
    assert (size_of(large.value), large.offset, large.key) == (100 * MIB + 8, 41, b"7")
    assert large.headers == [("h", b"after")]
    assert peak < 16 * MIB and pool.bytes_allocated() - before < MIB


@pytest.mark.parametrize("part", ["key", "header", "headers"])
def test_a_long_key_and_long_headers_are_cut_as_well(part: str) -> None:
    long = b"k" * (5 * MIB)
    row = {
        "key": (long, b"value", []),
        "header": (b"7", b"value", [("h", long)]),
        "headers": (b"7", b"value", [(f"h{number}", b"x" * 50) for number in range(100_000)]),
    }[part]
    large, after = BoundedBatch(packed([row, ROWS[0]], 1, gzip.compress), 1000)
    assert len(large.key) + len(large.value or b"") + sum(len(n) + len(v or b"") for n, v in large.headers) <= 1000
    assert len(large.headers) <= 100 and after.value == ROWS[0][1] and after.offset == 41


def test_a_header_whose_name_is_no_text_does_not_spoil_the_batch() -> None:
    def pack(plain: bytes) -> bytes:
        return gzip.compress(plain.replace("é".encode(), b"\xff\xfe"))

    found = facts(BoundedBatch(packed(ROWS, 1, pack), 100_000))
    assert found[3][4] == [("\ufffd\ufffd", b"")]
    assert [row[3] for row in found] == [value for _, value, _ in ROWS]


@pytest.mark.parametrize("damage", ["checksum", "compression", "cut off", "no gzip"])
def test_a_damaged_batch_names_the_offsets_that_were_not_read(damage: str) -> None:
    pack = {"no gzip": lambda _: b"no gzip at all", "cut off": lambda plain: gzip.compress(plain[:-5])}
    whole = bytearray(packed(ROWS, 7 if damage == "compression" else 1, pack.get(damage, gzip.compress)))
    if damage == "checksum":
        whole[-1] ^= 1
    with pytest.raises(UnreadableBatch) as raised:
        list(BoundedBatch(bytes(whole), 100_000))
    assert (raised.value.first, raised.value.last) == (43 if damage == "cut off" else 40, 43)
