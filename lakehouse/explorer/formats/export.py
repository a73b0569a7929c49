"""Answers for programs: csv, json, parquet; exact, in UTC, without thousands separators.

Decimals are text in json ("1234.50"): a JSON number would become a float in most readers. So is an integer that a float
does not hold, beyond 2^53; other integers and booleans are JSON's own. A null is ``null`` in json and an empty field in csv, and
so is in json what no JSON number can say: infinity and NaN. Parquet keeps DECIMAL and TIMESTAMP as such.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import IO, Any, BinaryIO

from lakehouse import atomic_file
from lakehouse.errors import ConfigError
from lakehouse.explorer.formats.values import UNSAFE, plain, visible
from lakehouse.lake.result import Flow, Result, Source

EXACT = 2**53 - 1
"""The largest integer that a reader of JSON which knows floats alone (JavaScript) tells from its neighbours."""

CHUNK = 50_000
"""Rows of a Parquet row group of an answer that is read while it is written."""


@contextlib.contextmanager
def replacing(target: str) -> Iterator[IO[str]]:
    """A text file that takes the place of ``target`` when all is written, so that no reader sees half of it. A device or a
    FIFO is written into."""
    with _replacing(target) as file:
        stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            yield stream
            stream.flush()
        finally:
            stream.detach()


@contextlib.contextmanager
def _replacing(target: str) -> Iterator[BinaryIO]:
    try:
        with atomic_file.replacing(target) as file:
            yield file
    except OSError as error:
        raise ConfigError(
            f"--output {target} cannot be written: {error.strerror}. Name a file in a folder of yours."
        ) from None


def to_csv(result: Result | Flow, stream: IO[str], *, harmless: bool = False) -> None:
    """RFC 4180 with a header line. ``harmless`` (for a terminal) writes control characters as escapes."""
    writer = csv_writer(stream)
    writer.writerow(result.names)
    for row in result.rows:
        values = [csv_value(value) for value in row]
        writer.writerow([visible(value) if harmless and isinstance(value, str) else value for value in values])


def csv_writer(stream: IO[str]) -> Any:
    """Python's writer of CSV, with lines that end in a line feed. It quotes what holds a character of the line end, and a lone
    carriage return ends a line for many readers: so its own line end has both."""

    class Lines:
        @staticmethod
        def write(line: str) -> None:
            stream.write(line.removesuffix("\r\n") + "\n")

    return csv.writer(Lines(), lineterminator="\r\n")


def csv_value(value: Any) -> Any:
    """One value as csv has it."""
    value = plain(value)
    if isinstance(value, bool):
        return str(value).lower()
    return dumps(value) if isinstance(value, list | dict) else value


def dumps(value: Any) -> str:
    r"""JSON in UTF-8; characters that could harm a terminal are written as ``\uXXXX``, which is the same text."""
    import unicodedata

    text = json.dumps(_exact(value), ensure_ascii=False, allow_nan=False)
    if text.isprintable():
        return text
    return "".join(json.dumps(char)[1:-1] if unicodedata.category(char) in UNSAFE else char for char in text)


def _exact(value: Any) -> Any:
    """The value with nothing in it that a reader of JSON would take for another one, or refuse."""
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_exact(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if type(value) is int and abs(value) > EXACT else value


def records(result: Result) -> list[dict[str, Any]]:
    """One dictionary per row, values as in JSON."""
    return [_record(result, row) for row in result.rows]


def _record(result: Result | Flow, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(result.names, map(plain, row), strict=True))


def to_json(result: Result | Flow, stream: IO[str]) -> None:
    """An array of objects, one a line."""
    before = "[\n"
    for row in result.rows:
        stream.write(before + dumps(_record(result, row)))
        before = ",\n"
    stream.write("[]\n" if before == "[\n" else "\n]\n")


def versions(sources: Iterable[Source]) -> dict[str, Any]:
    """Table → version and time of its commit, for the daily report in json."""
    return {source.table: {"version": source.version, "committed": plain(source.committed)} for source in sources}


def to_parquet(result: Result | Flow, target: str) -> None:
    """One Parquet file; its metadata key ``lakehouse.sources`` says what it was read from."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "text": pa.string(), "integer": pa.int64(), "boolean": pa.bool_(), "date": pa.date32(),
        "timestamp": pa.timestamp("us", "UTC"), "float": pa.float64(), "binary": pa.binary(),
    }  # fmt: skip
    rows = iter(result.rows)
    part_of = list(islice(rows, CHUNK if isinstance(result, Flow) else None))
    fields = []
    for index, column in enumerate(result.columns):
        values = [row[index] for row in part_of]
        if column.kind == "decimal":
            scale = max((-value.as_tuple().exponent for value in values if value is not None), default=2)
            fields.append((column.name, pa.decimal128(38, scale)))
        else:
            fields.append((column.name, kinds.get(column.kind) or pa.array(values).type))
    schema = pa.schema(fields, {"lakehouse.sources": dumps(versions(result.sources))})
    with _replacing(target) as file, pq.ParquetWriter(file, schema) as writer:
        while True:
            columns = [[row[index] for row in part_of] for index in range(len(fields))]
            arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
            part_of = list(islice(rows, CHUNK))
            if not part_of:
                return


def text_of(result: Result, kind: str) -> str:
    """``csv`` or ``json`` as one text."""
    stream = io.StringIO()
    (to_csv if kind == "csv" else to_json)(result, stream)
    return stream.getvalue()
