"""Whether one place lies in another, however either is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse.config.containment import is_within


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "lake" / "bronze").mkdir(parents=True)
    (tmp_path / "link").symlink_to("lake")
    (tmp_path / "deep").symlink_to("lake/bronze")
    (tmp_path / "dangling").symlink_to("lake/new")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "lake"


@pytest.mark.parametrize(
    "place",
    [
        "lake", "lake/", "./lake/store", "lake//store", "other/../lake/store", "link", "link/store/a", "deep", "deep/new",
        "deep/..", "dangling", "dangling/x", "lake/store/../store",
    ],
)  # fmt: skip
def test_a_place_in_the_lake_is_known(lake: Path, place: str) -> None:
    assert is_within(place, str(lake))
    assert is_within(place, "link/") and is_within(f"file://{Path(place).absolute()}", "lake")


@pytest.mark.parametrize(
    "place", ["", ".", "lakes", "lake2/store", "lake/../store", "link/../other", "/", "s3a://lake"]
)
def test_a_place_beside_it_is_not(lake: Path, place: str) -> None:
    assert not is_within(place, str(lake))


def test_a_folder_in_the_lake_need_not_be_there(tmp_path: Path) -> None:
    assert is_within(str(tmp_path / "none" / "store"), str(tmp_path / "none"))


def test_places_in_an_object_store(lake: Path) -> None:
    assert is_within("s3a://bucket/lake/store", "s3://bucket/lake/")
    assert is_within("s3a://bucket/x/../lake//store", "s3a://bucket/lake")
    assert is_within("s3a://bucket/lake", "s3a://bucket")
    for other in ("s3a://bucket/lakes", "s3a://other/lake", "s3a://bucket", "gs://bucket/lake/a", str(lake)):
        assert not is_within(other, "s3a://bucket/lake")
