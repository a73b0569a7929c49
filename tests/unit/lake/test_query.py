"""SQL literals of DataFusion: what is written is what is compared."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.config import PROJECT
from lakehouse.lake.query import literal, timestamp_type

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(1000, 1, 1), datetime(9998, 12, 31), timezones=zones)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> QueryBuilder:
    place = str(tmp_path_factory.mktemp("lake") / "one")
    write_deltalake(place, pa.table({"one": [1]}))
    return QueryBuilder().register("t", DeltaTable(place))


def value_of(engine: QueryBuilder, sql: str) -> object:
    return pa.table(engine.execute(f"SELECT {sql} AS v FROM t").read_all())["v"].to_pylist()[0]


@settings(max_examples=50, deadline=None)
@given(instants)
def test_an_instant_keeps_its_moment_to_the_microsecond(engine: QueryBuilder, moment: datetime) -> None:
    assert value_of(engine, literal(moment)) == moment.astimezone(UTC)


@settings(max_examples=50, deadline=None)
@given(st.dates(date(1000, 1, 1)) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_day_and_a_text_keep_their_value(engine: QueryBuilder, value: date | str) -> None:
    assert value_of(engine, literal(value)) == value


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        literal(datetime(2026, 1, 1))


def test_the_type_of_an_instant_is_written_in_one_place() -> None:
    assert timestamp_type("Europe/Paris") == "'Timestamp(Microsecond, Some(\"Europe/Paris\"))'"
    found = [
        path.name
        for path in (PROJECT / "lakehouse").rglob("*.py")
        if "Timestamp(Microsecond" in path.read_text(encoding="utf-8")
    ]
    assert found == ["query.py"]
