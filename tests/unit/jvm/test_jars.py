"""jars.py without a registry: a stand-in for Ivy lays files down, everything else is real."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.jvm import jars
from lakehouse.jvm.jars import Jar

CONTENT = {"one": b"first jar", "two": b"second jar"}
LOCKED = [Jar("org.example", name, "1.0", hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items()]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings.load(env={"VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path / "cache")})


class Registry:
    """Serves ``content``; counts how often it was asked, and for what."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self.content = content
        self.asked: list[list[str]] = []

    def __call__(self, _config: Config, scratch: Path, wanted: list[Jar], _one_more: object) -> str:
        self.asked.append([jar.artifact for jar in wanted])
        scratch.mkdir()
        for jar in wanted:
            if jar.artifact in self.content:
                (scratch / jar.filename).write_bytes(self.content[jar.artifact])
        return "  last line of Ivy"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry(dict(CONTENT))
    monkeypatch.setattr(jars, "_run_ivy", made)
    monkeypatch.setattr(jars, "read_lock", lambda: {"spark": LOCKED, "kafka": []})
    monkeypatch.setattr(jars.time, "sleep", lambda _seconds: None)
    return made


def test_the_lock_file_holds_both_sets_with_unique_files() -> None:
    locked = jars.read_lock()
    assert (len(locked["spark"]), len(locked["kafka"])) == (8, 44)
    for jar_set in locked.values():
        assert len({jar.filename for jar in jar_set}) == len(jar_set)
    assert "io.delta:delta-spark_4.2_2.13:4.4.0" in [jar.coordinate for jar in locked["spark"]]


def test_a_bad_line_of_the_lock_is_named(tmp_path: Path) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text("# fine\nspark org.example:one:1.0 abc\n", encoding="utf-8")
    with pytest.raises(SetupError, match=r"jars\.lock:2: 'spark org\.example:one:1\.0 abc' is not accepted"):
        jars.read_lock(lock)


def test_the_ivy_file_asks_for_exact_versions_without_dependencies() -> None:
    text = jars.ivy_module(LOCKED)
    assert '<dependency org="org.example" name="two" rev="1.0" transitive="false"/>' in text


def test_files_are_fetched_once_and_come_in_the_locks_order(config: Config, registry: Registry) -> None:
    expected = [
        jars.folder(config, "spark") / "org.example_one-1.0.jar",
        jars.folder(config, "spark") / "org.example_two-1.0.jar",
    ]
    assert jars.resolve(config, "spark") == expected
    assert jars.resolve(config, "spark") == expected
    assert registry.asked == [["one", "two"]]
    assert [path.read_bytes() for path in expected] == list(CONTENT.values())


def test_only_a_damaged_or_missing_file_is_fetched_again(config: Config, registry: Registry) -> None:
    one, two = jars.resolve(config, "spark")
    two.write_bytes(b"second jam")  # same length: only the hash can tell
    jars.resolve(config, "spark")
    one.unlink()
    jars.resolve(config, "spark")
    assert registry.asked == [["one", "two"], ["two"], ["one"]]
    assert (one.read_bytes(), two.read_bytes()) == (CONTENT["one"], CONTENT["two"])


def test_a_wrong_hash_from_the_registry_is_an_error_with_both_hashes(config: Config, registry: Registry) -> None:
    registry.content["two"] = b"something else"
    with pytest.raises(SetupError) as caught:
        jars.resolve(config, "spark")
    text = str(caught.value)
    assert "org.example:two:1.0" in text
    assert LOCKED[1].sha256 in text and hashlib.sha256(b"something else").hexdigest() in text
    assert not (jars.folder(config, "spark") / LOCKED[1].filename).exists()
    assert len(registry.asked) == 1, "a wrong hash is not tried again"


def test_what_does_not_arrive_is_tried_again_then_named(config: Config, registry: Registry) -> None:
    del registry.content["two"]
    with pytest.raises(SetupError, match=r"1 of 2 JARs of the set 'spark' could not be fetched: org\.example:two:1\.0"):
        jars.resolve(config, "spark")
    assert registry.asked == [["one", "two"], ["two"], ["two"]]
    assert list(jars.folder(config, "spark").parent.glob(".spark-*")) == [], "the scratch folder is gone"


def test_two_at_once_fetch_once(config: Config, registry: Registry) -> None:
    barrier = threading.Barrier(2)
    results: list[list[Path]] = []

    def resolve() -> None:
        barrier.wait()
        results.append(jars.resolve(config, "spark"))

    threads = [threading.Thread(target=resolve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert registry.asked == [["one", "two"]]


def test_a_cache_that_cannot_be_written_says_which_setting(tmp_path: Path, registry: Registry) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    config = settings.load(env={"VENTES_DEVELOPMENT__CACHE_DIR": str(blocked)})
    with pytest.raises(SetupError, match=r"cannot be written: .*Set \[DEVELOPMENT\] cache_dir"):
        jars.resolve(config, "spark")
    assert registry.asked == []


def test_ivy_that_cannot_start_leaves_no_scratch(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_java(_config: Config) -> None:
        raise SetupError("No Java")

    monkeypatch.setattr(jars.java, "find", no_java)
    with pytest.raises(SetupError, match="No Java"):
        jars.resolve(config, "spark")
    assert list(jars.folder(config, "spark").parent.glob(".spark-*")) == []
