"""What is made here and used later as code, our own JARs and Java's class archives: only as it was made."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.jvm import class_archive, compiler, recorded_hash


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return settings.load(env={"VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path / "cache")})


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each compilation. The real compiler runs in tests/spark."""
    runs: list[int] = []

    def compile(_config: Config, _sources: list[Path], into: Path) -> list[Path]:
        runs.append(len(runs))
        made = into / "BronzeRow.class"
        made.write_bytes(b"our class")
        return [made]

    monkeypatch.setattr(compiler, "_compile", compile)
    return runs


def held(jar: Path) -> bytes:
    with zipfile.ZipFile(jar) as archive:
        return archive.read("BronzeRow.class")


def forged(jar: Path) -> None:
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("BronzeRow.class", b"another class")


def test_a_jar_of_ours_is_made_once(config: Config, compiled: list[int]) -> None:
    jar = compiler.jar(config, compiler.CORE)
    assert compiler.jar(config, compiler.CORE) == jar and compiled == [0]
    record = jar.with_name(f"{jar.name}.sha256").read_text(encoding="utf-8")
    assert record == f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.name}\n"
    assert sorted(path.name for path in jar.parent.iterdir() if path.suffix != ".lock") == [
        jar.name,
        f"{jar.name}.sha256",
    ]


@pytest.mark.parametrize(
    "damage", ["replaced", "cut off", "gone", "without a record", "record of another", "record is no text"]
)
def test_a_jar_that_is_not_the_one_that_was_made_is_made_again(
    config: Config, compiled: list[int], damage: str
) -> None:
    jar = compiler.jar(config, compiler.CORE)
    record = jar.with_name(f"{jar.name}.sha256")
    match damage:
        case "replaced":
            forged(jar)
        case "cut off":
            jar.write_bytes(jar.read_bytes()[:-1])
        case "gone":
            jar.unlink()
        case "without a record":
            forged(jar)
            record.unlink()
        case "record of another":
            record.write_text("0" * 64, encoding="utf-8")
        case "record is no text":
            record.write_bytes(b"\xff\xfe")
    assert compiler.jar(config, compiler.CORE) == jar
    assert compiled == [0, 1] and held(jar) == b"our class" and recorded_hash.is_intact(jar)


def test_a_cache_that_cannot_be_written_is_one_sentence(config: Config, tmp_path: Path, compiled: list[int]) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(SetupError, match=r"The JAR folder .* cannot be written: .*\. Set \[DEVELOPMENT\] cache_dir\."):
        compiler.jar(config, compiler.CORE)
    assert compiled == []


def test_a_class_archive_that_was_changed_is_not_used(tmp_path: Path) -> None:
    archive, scratch = tmp_path / "spark-1.jsa", tmp_path / "made"
    scratch.write_bytes(b"classes")
    recorded_hash.keep(scratch, archive)
    assert class_archive._options(archive)[0] == f"-XX:SharedArchiveFile={archive}"
    assert class_archive.are_made([archive])
    archive.write_bytes(b"klasses")
    assert class_archive._options(archive) == [] and not class_archive.are_made([archive])
    assert class_archive._options(tmp_path / "spark-2.jsa") == []
    (tmp_path / "spark-3.jsa").write_bytes(b"of a release that kept no record")
    assert class_archive._options(tmp_path / "spark-3.jsa") == []
