"""--sql: a person's SELECT through the guard, the engine's own process and its caps."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from deltalake import DeltaTable

from lakehouse.explorer import command
from tests.support import lakes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, base: str) -> Run:
    def call(*argv: str, base: str = base) -> tuple[int, str, str]:
        monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
        code = command.main(argv)
        return code, *capsys.readouterr()

    return call


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_sql(run: Run) -> None:
    code, out, _ = run("--sql", "SELECT pays, SUM(montant) AS ca FROM ventes_stream GROUP BY pays", "--format", "json")
    assert code == 0
    assert sum(Decimal(row["ca"]) for row in json.loads(out)) == sum(row["montant"] for row in lakes.sales())


def test_sql_shows_internal_columns_only_by_name(run: Run) -> None:
    assert "_pays" not in rows(run("--sql", "SELECT * FROM ventes_par_segment", "--format", "csv")[1])[0]
    assert "_pays" in rows(run("--sql", "SELECT _pays FROM ventes_par_segment", "--format", "csv")[1])[0]


def test_sql_keeps_two_columns_of_one_name(run: Run) -> None:
    _, out, _ = run(
        "--sql", "SELECT a.pays, b.pays FROM ventes_par_pays a JOIN ventes_par_pays b ON a.pays = b.pays", "--format", "json"
    )  # fmt: skip
    assert set(json.loads(out)[0]) == {"pays", "pays_2"}


def test_sql_caps(run: Run) -> None:
    code, out, err = run("--sql", "SELECT vente_id FROM ventes_stream ORDER BY 1", "--max-rows", "2", "--format", "csv")
    assert (code, [row["vente_id"] for row in rows(out)]) == (0, ["v00000", "v00001"])
    assert err.startswith("first 2 rows only")
    endless = (
        "SELECT COUNT(*) FROM " + ", ".join(f"ventes_stream t{n}" for n in range(6)) + " WHERE t0.montant < t5.montant"
    )
    code, _, err = run("--sql", endless, "--timeout", "1.5")
    assert (code, err[:54]) == (1, "query_utils.py: The query was stopped after 1.5 second")


def test_sql_that_is_refused_or_wrong(run: Run) -> None:
    code, _, err = run("--sql", "COPY ventes_stream TO '/tmp/x.csv'")
    assert (code, "starts with 'COPY'" in err) == (2, True)
    code, _, err = run("--sql", "SELECT nope FROM ventes_stream")
    assert (code, "No field named nope" in err, "Traceback" in err) == (1, True, False)
    assert run("--sql", "")[0] == 2


def test_sql_needs_more_memory_than_it_gets(run: Run) -> None:
    """400³ names in one array: gigabytes. The engine's process is ended, not this one."""
    three = ", ".join(f"ventes_stream t{n}" for n in range(3))
    code, _, err = run(
        "--sql", f"SELECT ARRAY_AGG(t0.vente_id || t1.client_nom || t2.produit_nom) FROM {three}", "--timeout", "120"
    )
    assert code == 1
    assert "it needed more than 2 GiB of memory" in err


def test_sql_reads_the_version_that_was_asked_for(run: Run) -> None:
    counted = ("--sql", "SELECT COUNT(*) AS n FROM ventes_stream", "--format", "csv")
    assert rows(run(*counted, "--version", "0")[1]) == [{"n": "200"}]
    assert rows(run(*counted)[1]) == [{"n": "400"}]


def test_sql_over_files_that_were_vacuumed_is_a_sentence(run: Run, base: str, tmp_path: Path) -> None:
    own = str(shutil.copytree(base, tmp_path / "own"))
    lakes.write(own, "ventes_par_pays", [], mode="overwrite")
    DeltaTable(f"{own}/silver/ventes_par_pays").vacuum(0, dry_run=False, enforce_retention_duration=False)
    code, _, err = run("--sql", "SELECT * FROM ventes_par_pays", "--version", "0", base=own)
    assert code == 1
    assert err.startswith("query_utils.py: Cannot read ventes_par_pays version 0: its files were removed")
