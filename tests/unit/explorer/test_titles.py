"""What stands over the columns: a title in both languages for each column of each question, and the glossary."""

from __future__ import annotations

import pytest

from lakehouse.contract.tables import PUBLIC
from lakehouse.errors import ConfigError
from lakehouse.explorer import glossary
from lakehouse.explorer.arguments import ACCENTED, PLAIN, choose, folded
from lakehouse.explorer.formats import titles
from lakehouse.explorer.queries import registry
from lakehouse.explorer.queries.model import Filters
from lakehouse.lake import history
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Result
from tests.support import lakes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = str(tmp_path_factory.mktemp("lake"))
    lakes.build(made)
    return made


def columns(base: str) -> set[tuple[str, str]]:
    """(question, column) of everything that a table can show."""
    lake = Lake(base)
    found = {("history", column.name) for column in history.COLUMNS}
    found |= {("row-counts", name) for name in lake.counts().names}
    found |= {(spec.name, name) for spec in PUBLIC for name in spec.public}
    for entry in registry.ENTRIES:
        if entry.kind == "query" and entry.name.replace("-", "_") not in lakes.ABSENT:
            found |= {(entry.name, name) for name in lake.read(entry.query(Filters(limit=1))).names}
    return found


def test_every_column_of_every_question_has_a_title_in_both_languages(base: str) -> None:
    assert {one for one in columns(base) if one[1] not in titles.COLUMNS} == set()
    assert all(all(pair) for pair in titles.COLUMNS.values())


def test_two_columns_of_one_answer_never_have_one_title(base: str) -> None:
    lake = Lake(base)
    for entry in registry.ENTRIES:
        if entry.kind == "query" and entry.name.replace("-", "_") not in lakes.ABSENT:
            found = lake.read(entry.query(Filters(limit=1)))
            for language in titles.LANGUAGES:
                heads = [column.head for column in titles.with_titles(found, language).columns]
                assert len(set(heads)) == len(heads), (entry.name, heads)


def test_amounts_and_shares_say_their_unit_and_names_stay() -> None:
    made = titles.with_titles(
        Result((Column("montant", "decimal"), Column("x", "text"), Column("part_pct", "decimal")), []), "en"
    )
    assert [column.head for column in made.columns] == ["Amount (EUR)", "x", "Share (%)"]
    assert made.names == ("montant", "x", "part_pct")


def test_the_glossary_explains_every_public_name() -> None:
    rows = glossary.answer("").rows
    assert {row[0] for row in rows} == {spec.name for spec in PUBLIC} | {
        name for spec in PUBLIC for name in spec.public
    }
    assert all(row[3] for row in rows)
    assert glossary.answer("Est Tardif").rows[0][:3] == ("est_tardif", "Late", "Tardive")
    assert glossary.MEANINGS.keys() <= {name for spec in PUBLIC for name in spec.public}


def test_names_are_folded_alike_in_python_and_in_sql() -> None:
    assert len(ACCENTED) == len(PLAIN)
    assert all(folded(accented) == plain for accented, plain in zip(ACCENTED, PLAIN, strict=True))
    assert choose("  COTE d’ivoire", ["France", "Côte d'Ivoire"], "country") == "Côte d'Ivoire"


def test_a_name_that_stands_there_is_taken_even_beside_its_like() -> None:
    assert choose("Etat", ["Etat", "État"], "country") == "Etat"
    with pytest.raises(ConfigError, match=r"There is no country 'etat'. Did you mean Etat[?] Countries: Etat, État."):
        choose("etat", ["Etat", "État"], "country")
