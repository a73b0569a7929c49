"""``reconcile --explain``: a key that does not exist, a key as people type it, and Silver while a pass is in hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lakehouse.contract.tables import PAR_PAYS
from lakehouse.operations import command
from tests.support import job_lake

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def base(tmp_path: Path) -> str:
    return str(tmp_path)


@pytest.fixture
def run(base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)

    def call(*words: str) -> tuple[int, str]:
        code = command.main(["reconcile", *words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ventes_par_pays", "Atlantis"), "There is no country 'Atlantis'. Countries: "),
        (("ventes_par_pays", "Frnce"), "Did you mean France?"),
        (("profil_clients", "999999"), "profil_clients has no row for client_id 999999, and no sale has that key."),
        (("ventes_aggreges", "999999", "2020-01-01"), "has no row for client_id 999999, jour 2020-01-01"),
    ],
)
def test_explain_says_that_a_key_does_not_exist(run: Run, base: str, words: tuple[str, ...], said: str) -> None:
    job_lake.build(base, count=40)
    code, out = run("--explain", *words)
    assert code == 2 and said in out


def test_explain_takes_a_key_as_people_type_it(run: Run, base: str) -> None:
    job_lake.build(base)
    assert run("--explain", "ventes_par_pays", "JAPON", "--json") == run(
        "--explain", "ventes_par_pays", "Japon", "--json"
    )


@pytest.mark.parametrize("after", [0, 30])
def test_explain_reads_the_last_completed_pass_while_another_is_in_hand(run: Run, base: str, after: int) -> None:
    """It does not wait: the pass may be long, or have broken off."""
    rows = job_lake.build(base)
    _, before = run("--explain", "ventes_par_pays", "Japon", "--json")
    folder = Path(base) / "checkpoints" / f"silver-{job_lake.GENERATION}" / "offsets"
    folder.mkdir(parents=True)
    end = json.dumps({"reservoirVersion": 2, "index": -1, "isStartingVersion": False})
    (folder / "0").write_text(f'v1\n{{"batchTimestampMs":1}}\n{end}')
    mark = job_lake.marked("silver batch", (f"ventes_par_pays-{job_lake.GENERATION}", 0))
    table = job_lake.table(base, PAR_PAYS)
    table.update(updates={"items_sold": "items_sold + 1"}, predicate="pays = 'Japon'", commit_properties=mark)
    for number in range(after):
        table.alter.set_table_properties({"ventes.x": str(number)}, raise_if_not_exists=False)
    code, out = run("--explain", "ventes_par_pays", "Japon", "--json")
    assert (code, json.loads(out)["figure"]) == (0, json.loads(before)["figure"]) and rows
