"""The table of what a change of each setting does: whole, and as the code has it."""

from __future__ import annotations

from collections import Counter

import pytest

from lakehouse import config
from lakehouse.config.changes import CHANGES, EFFECTS, FREE
from lakehouse.errors import ConfigError
from lakehouse.lake import spark_session


def test_every_setting_is_classified_once() -> None:
    named = Counter([*CHANGES, *(f"{section}.{key}" for section, keys in FREE.items() for key in keys.split())])
    assert named == Counter(f"{row.section}.{row.key}" for row in config.settings())


def test_every_effect_has_a_meaning_and_every_change_a_sentence() -> None:
    assert {change.effect for change in CHANGES.values()} == set(EFFECTS)
    assert all(change.depends and change.what for change in CHANGES.values())


@pytest.mark.parametrize(
    ("name", "bad"),
    [("spark.sql.session.timeZone", "Europe/Paris"), ("spark.sql.parquet.outputTimestampType", "INT96")],
)
def test_spark_options_that_would_change_times_are_refused(name: str, bad: str) -> None:
    wrong = config.load(env={"VENTES_SPARK__CONF": f"{name}={bad}"})
    with pytest.raises(ConfigError, match=rf"{name} = {bad} is not accepted: times would be stored or read as others"):
        spark_session.extra_settings(wrong)
    fine = config.load(env={"VENTES_SPARK__CONF": f"{name}={spark_session._FIXED[name]}\nspark.x=1"})
    assert spark_session.extra_settings(fine)["spark.x"] == "1"
