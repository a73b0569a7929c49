"""The manifest of a backup: what was written is read, and whatever else stands there is one sentence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.operations.recovery.manifest import BackupFile, Manifest, parse, text_of

ID = "20261127T085345.556198Z-a276bd"
MANIFEST = Manifest(
    ID, "2026-11-27T08:53:45+00:00", {"who": "a@b"}, {"ventes_stream": 5},
    {"topic": "ventes", "topic_id": None, "batch": 1, "offsets": {"0": 50}, "planned": None},
    {"generation": "g", "batch": -1, "bronze_version": 5, "built": True},
    (BackupFile("bronze/a", "a" * 64, 3, 7), BackupFile("silver/ü b", "b" * 64, 0)),
)  # fmt: skip

Body = dict[str, Any]


def signed(body: Body) -> bytes:
    """A manifest's file whose own hash fits, as anybody can write one."""
    plain = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return json.dumps({**body, "sha256": hashlib.sha256(plain.encode()).hexdigest()}).encode()


def body() -> Body:
    made: Body = json.loads(text_of(MANIFEST))
    del made["sha256"]
    return made


def test_what_was_written_is_read() -> None:
    assert parse(text_of(MANIFEST).encode(), ID) == MANIFEST
    assert parse(signed(body()), ID) == MANIFEST


def entry(**changed: Any) -> Callable[[Body], None]:
    return lambda made: made["entries"][0].update(changed)


def within(name: str, **changed: Any) -> Callable[[Body], None]:
    return lambda made: made[name].update(changed)


def top(**changed: Any) -> Callable[[Body], None]:
    return lambda made: made.update(changed)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (top(id="../../victim"), "it says that it is the backup '../../victim'"),
        (top(id=None), "it says that it is the backup None"),
        (top(format=2), "its format is not 1"),
        (top(created=7), "created is 7"),
        (top(more=1), "its fields are"),
        (top(origin=[]), "origin is no JSON object"),
        (top(tables=None), "tables is no JSON object"),
        (top(entries={}), "entries is no list"),
        (top(entries=[3]), "a file is no JSON object"),
        (top(entries=[None]), "a file is no JSON object"),
        (within("tables", ventes_stream="5"), "tables: ventes_stream is '5'"),
        (within("tables", ventes_stream=True), "tables: ventes_stream is True"),
        (within("bronze", batch=None), "batch is None"),
        (within("bronze", offsets=None), "offsets is no JSON object"),
        (within("bronze", offsets={"x": 1}), "offsets: the partition is 'x'"),
        (within("bronze", planned={"0": -1}), "planned: 0 is -1"),
        (within("bronze", topic="a\0b"), "topic is"),
        (within("bronze", other=1), "bronze has the fields"),
        (within("silver", built="yes"), "built is 'yes'"),
        (within("silver", bronze_version=1.5), "bronze_version is 1.5"),
        (entry(path="../outside"), "it names the file '../outside'"),
        (entry(path="/etc/passwd"), "it names the file '/etc/passwd'"),
        (entry(path="a//b"), "it names the file 'a//b'"),
        (entry(path="a/."), "it names the file 'a/.'"),
        (entry(path=""), "a file's path is ''"),
        (entry(path="a\0b"), "a file's path is"),
        (entry(path=None), "a file's path is None"),
        (entry(path=5), "a file's path is 5"),
        (entry(path="silver/ü b"), "it names the file 'silver/ü b' twice"),
        (entry(path="silver/ü b/c"), "it names 'silver/ü b' as a file and as a folder"),
        (entry(sha256=None), "the hash of 'bronze/a' is None"),
        (entry(sha256="../" + "a" * 61), "the hash of 'bronze/a' is"),
        (entry(bytes=-1), "the size of 'bronze/a' is -1"),
        (entry(bytes=None), "the size of 'bronze/a' is None"),
        (entry(mtime_ns="now"), "the time of 'bronze/a' is 'now'"),
        (entry(extra=1), "a file has the fields"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(change: Callable[[Body], None], said: str) -> None:
    made = body()
    change(made)
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(signed(made), ID)


@pytest.mark.parametrize(
    "text", [b"", b"\0", b"null", b"7", b"[]", b'"a"', b"{}", b"[" * 100_000, b"\xff", b'{"a": "\\ud800"}']
)
def test_what_is_no_manifest_is_said(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^(it is no JSON|its own hash does not fit)"):
        parse(text, ID)


def test_the_manifest_of_another_backup_is_not_this_ones() -> None:
    with pytest.raises(ValueError, match="it says that it is the backup"):
        parse(text_of(MANIFEST).encode(), "20261127T085345.556198Z-000000")


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


@given(name=st.sampled_from(sorted(body())), value=anything)
def test_whatever_stands_in_a_field_it_is_read_or_said(name: str, value: Any) -> None:
    try:
        made = parse(signed({**body(), name: value}), ID)
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(made, Manifest)
