"""Cuts: whatever is killed whenever, the versions that a record names belong together, and readers are given them."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.contract.tables import PAR_PAYS, PAR_PRODUIT, PAR_SEGMENT, TENDANCES, VENTES
from lakehouse.errors import ConfigError
from lakehouse.explorer import command
from lakehouse.explorer.answers import Answers
from lakehouse.lake import cuts
from lakehouse.lake.query import Query
from lakehouse.lake.reader import CutGone, Lake
from lakehouse.silver.job import SilverJob
from tests.support import job_lake, lakes
from tests.support.kills import killed_at

ROWS = lakes.sales(180, days=4)
SINK = "lakehouse.silver.local_sink:LocalSink"
STEPS = (
    (f"{SINK}._merge", "before"),
    (f"{SINK}._merge", "after"),
    (f"{SINK}._committed", "before"),
    (f"{SINK}._append", "after"),
)


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / "lake"))
    monkeypatch.setenv("VENTES_ANALYTICS__ENGINE", "local")
    monkeypatch.setenv("VENTES_MONITORING__SILVER_METRICS_PORT", "0")
    return str(tmp_path / "lake")


def run() -> None:
    assert SilverJob(config.load()).run() == 0


def bronze(base: str, rows: list[lakes.Row], batch: int) -> None:
    job_lake.append(base, VENTES, rows, job_lake.CLOCK + timedelta(seconds=batch), batch)


def sums(lake: Lake) -> dict[str, tuple[int, Decimal]]:
    """Sales and revenue as each table has them."""
    found = {}
    for spec in (PAR_PAYS, PAR_SEGMENT, PAR_PRODUIT, TENDANCES):
        query = Query(f"SELECT SUM(total_transactions), SUM(revenue_total) FROM {spec.name}", (spec.name,))
        found[spec.name] = lake.read(query).rows[0]
    found[VENTES.name] = lake.read(Query(f"SELECT COUNT(*), SUM(montant) FROM {VENTES.name}", (VENTES.name,))).rows[0]
    return found


def every_cut() -> list[cuts.Cut]:
    settings = config.load()
    last = cuts.newest(settings)
    return [cuts.named(settings, str(number)) for number in range(1, last.number + 1)] if last else []


@pytest.mark.parametrize("seed", range(3))
def test_totals_agree_at_every_cut_whatever_was_killed(base: str, seed: int) -> None:
    """Passes are killed at random steps while Bronze grows; readers that come at any time find equal sums at the last cut, and
    at each one before it."""
    chance = random.Random(seed)
    left = list(ROWS)
    batch = 0
    disagreed = False
    while left:
        size = chance.randint(10, 60)
        bronze(base, left[:size], batch)
        left, batch = left[size:], batch + 1
        if batch == 1 or chance.random() < 0.3:
            run()
        else:
            step, when = chance.choice(STEPS)
            killed_at(base, step, [], number=chance.randint(1, 2), when=when, script="streaming_silver")
        disagreed |= len(set(sums(Lake(base)).values())) > 1
        for cut in every_cut():
            found = sums(Lake.of(config.load(), cut=cut))
            assert len(set(found.values())) == 1, (cut.number, found)
    assert disagreed, "without a cut a reader meets a pass half-way: otherwise this proves nothing"
    run()
    last = every_cut()[-1]
    assert sums(Lake.of(config.load(), cut=last))[VENTES.name][0] == len(ROWS)


def test_a_pass_without_news_records_no_cut_and_a_later_one_does(base: str) -> None:
    bronze(base, ROWS[:20], 0)
    run()
    run()
    assert [cut.number for cut in every_cut()] == [1]
    bronze(base, ROWS[20:30], 1)
    run()
    assert [cut.number for cut in every_cut()] == [1, 2]
    assert every_cut()[0].tables[VENTES.name].version == 0 and every_cut()[1].tables[VENTES.name].version == 1


def test_a_report_and_a_join_are_read_at_the_last_cut_and_say_what_is_on_its_way(
    base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lakes.write(base, "ventes_rejetees", lakes.rejects())
    bronze(base, ROWS[:20], 0)
    run()
    bronze(base, ROWS[20:29], 1)
    join = (
        "SELECT (SELECT COUNT(*) FROM ventes_stream) AS a, (SELECT SUM(total_transactions) FROM ventes_par_pays) AS b"
    )
    assert Answers(config.load()).sql(join, max_rows=9, timeout=60).rows == [(20, 20)]
    assert command.main(["--sql", join]) == 0
    assert "9 newer sales are on their way to these figures (" in capsys.readouterr().out
    assert command.main(["--batch", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["cut"] == 1 and report["sections"]["totals"]["rows"][0]["total_transactions"] == 20
    assert command.main(["--batch"]) == 0
    assert "9 newer sales are on their way to these figures (" in capsys.readouterr().out
    one = Answers(config.load()).sql("SELECT COUNT(*) FROM ventes_stream", max_rows=9, timeout=60)
    assert one.rows == [(29,)], "one table agrees with itself: its newest version"
    answers = Answers(config.load())
    answers.sql(join, max_rows=9, timeout=60)
    assert answers.sql("SELECT COUNT(*) FROM ventes_stream", max_rows=9, timeout=60).rows == [(29,)]
    run()
    assert Answers(config.load()).sql(join, max_rows=9, timeout=60).rows == [(29, 29)]
    assert command.main(["--batch"]) == 0
    assert "on their way" not in capsys.readouterr().out


def test_a_cut_is_travelled_to_by_its_number(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    for batch in range(3):
        bronze(base, ROWS[20 * batch : 20 * batch + 20], batch)
        run()
    for text, sales in {"1": 20, "2": 40, "3": 60, "last": 60}.items():
        assert command.main(["totals", "--cut", text, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["total_transactions"] == sales
    for wrong in ("0", "4", "x", "9" * 30):
        with pytest.raises(ConfigError, match="expected last, or a number from 1 to 3"):
            cuts.named(config.load(), wrong)
    assert command.main(["totals", "--cut", "1", "--at", "2026-11-22"]) == 2


def test_a_damaged_record_is_passed_over(base: str) -> None:
    for batch in range(2):
        bronze(base, ROWS[20 * batch : 20 * batch + 20], batch)
        run()
    settings = config.load()
    Path(base, "cuts", f"{2:012}.json").write_text("")
    found = cuts.newest(settings)
    assert found and found.number == 1
    bronze(base, ROWS[40:60], 2)
    run()
    found = cuts.newest(settings, found)
    assert found and found.number == 3


def test_a_cut_of_tables_that_were_replaced_is_refused_and_readers_take_the_newest(base: str, tmp_path: Path) -> None:
    """A lake that was restored keeps its numbers and counts its versions again."""
    bronze(base, ROWS[:20], 0)
    run()
    cut = every_cut()[0]
    Path(base, "silver", "ventes_par_pays").rename(tmp_path / "away")
    rows = lakes.silver(ROWS[:10])["ventes_par_pays"]
    for _ in range(cut.tables["ventes_par_pays"].version + 1):
        lakes.write(base, "ventes_par_pays", rows, mode="overwrite")
    with pytest.raises(CutGone, match="Cut 1 cannot be read any more"):
        Lake.of(config.load(), cut=cut).snapshot("ventes_par_pays")
    found = Answers(config.load()).sql(
        "SELECT (SELECT COUNT(*) FROM ventes_stream), (SELECT SUM(total_transactions) FROM ventes_par_pays)",
        max_rows=9, timeout=60,
    )  # fmt: skip
    assert found.rows == [(20, 10)]


def test_a_cut_is_forgotten_with_the_versions_that_it_names(base: str) -> None:
    for batch in range(3):
        bronze(base, ROWS[20 * batch : 20 * batch + 20], batch)
        run()
    settings = config.load()
    assert cuts.forget(settings, datetime.now(UTC)) == 0
    later = datetime.now(UTC) + settings.delta.deleted_file_retention
    assert cuts.forget(settings, later) == 2, "the last one stays: it is what readers read"
    assert cuts.named(settings, "last").number == 3
