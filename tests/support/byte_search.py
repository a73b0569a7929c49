"""A person looked for in every byte of a folder: as they are, and out of what is compressed or encoded there."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

Words = dict[str, bytes]


def words(client_id: int, name: str, sales: Iterable[str]) -> Words:
    """What to look for: number and name as they are encoded somewhere, and the sales. RocksDB leaves out how a key begins when
    the one before begins so too, so that of a sale's id the end is looked for."""
    return {
        "number": str(client_id).encode(),
        "number of 8 bytes": client_id.to_bytes(8, "little"),
        "number of 8 bytes, high first": client_id.to_bytes(8, "big"),
        "name": name.encode(),
        "name in JSON": json.dumps(name).encode()[1:-1],
        "name in UTF-16": name.encode("utf-16-le"),
        **{f"sale {sale}": sale[8:].encode() for sale in sales},
        **{f"sale {sale} as bytes": bytes.fromhex(sale.replace("-", ""))[4:] for sale in sales},
    }


def search(folder: Path, wanted: Words) -> dict[str, set[str]]:
    """File → the words that are in it; files that went meanwhile are left out."""
    found = {}
    for path in folder.rglob("*"):
        try:
            data = readable(path.name, path.read_bytes()) if path.is_file() else b""
        except FileNotFoundError:
            continue
        if seen := {word for word, text in wanted.items() if text in data}:
            found[str(path.relative_to(folder))] = seen
    return found


def readable(name: str, data: bytes) -> bytes:
    """The bytes, and behind them what they hold once they are decoded."""
    if data[:4] == data[-4:] == b"PAR1":
        return data + repr(pq.ParquetFile(io.BytesIO(data)).read().to_pylist()).encode()
    if data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            return data + b"".join(packed.read(one) for one in packed.namelist())
    return data + _blocks(data) if name.endswith(".changelog") else data


def _blocks(data: bytes) -> bytes:
    """The content of a stream of LZ4 blocks, as Spark writes them."""
    found, at = b"", 0
    while data[at : at + 8] == b"LZ4Block":
        packed, size, _ = struct.unpack_from("<iii", data, at + 9)
        body = data[at + 21 : at + 21 + packed]
        if size:
            found += body if data[at + 8] & 0xF0 == 0x10 else pa.decompress(body, size, "lz4_raw").to_pybytes()
        at += 21 + packed
    return found
