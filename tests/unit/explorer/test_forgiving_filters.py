"""Filters as people type them: case and accents do not matter, what no sale has is refused with what there is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import pytest

from lakehouse.contract.tables import PAR_PAYS
from lakehouse.explorer import command
from tests.support import lakes

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    base = str(tmp_path_factory.mktemp("lake"))
    lakes.build(base)
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)

    def call(*argv: str) -> tuple[int, str, str]:
        code = command.main(argv)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (("--pays", "cote d’ivoire"), ("--pays", "Côte d'Ivoire")), (("--pays", "JAPON"), ("--pays", "Japon")),
        (("--segment", "entreprise"), ("--segment", "Entreprise")),
    ],
)  # fmt: skip
def test_case_and_accents_do_not_matter(run: Run, typed: tuple[str, ...], meant: tuple[str, ...]) -> None:
    code, out, _ = run("totals", *typed, "--format", "json")
    assert (code, out) == (0, run("totals", *meant, "--format", "json")[1])
    assert json.loads(out)[0]["total_transactions"] > 0


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("totals", "--pays", "Japan"), "There is no country 'Japan'. Did you mean Japon? Countries: Belgique, Côte d'Ivoire, France, Japon."),
        (("by-day", "--pays", "Atlantis"), "There is no country 'Atlantis'. Countries: Belgique, Côte d'Ivoire, France, Japon."),
        (("totals", "--segment", "B2B"), "There is no segment 'B2B'. Segments: Particulier, Entreprise."),
        (("top-client",), "There is no question 'top-client'. Did you mean top-clients?"),
        (("history", "vente_stream"), "There is no table 'vente_stream'. Did you mean ventes_stream?"),
        (("client-sales",), "client-sales needs --client ID."),
    ],
)  # fmt: skip
def test_what_is_unknown_is_refused_with_what_there_is(run: Run, argv: tuple[str, ...], says: str) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "") and says in err and err.count("\n") == 1


def test_a_country_that_silver_has_not_merged_yet_is_known(run: Run) -> None:
    base = os.environ["VENTES_DELTA__BASE_PATH"]
    lakes.write(base, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "new", "pays": "Pérou"}])
    code, out, _ = run("totals", "--pays", "perou", "--format", "json")
    assert (code, json.loads(out)[0]["total_transactions"]) == (0, 1)
    lakes.write_spec(base, PAR_PAYS, [], mode="overwrite")
    assert run("totals", "--pays", "france")[0] == 0
