"""The dashboard without a browser: addresses, amounts, drawings, one answer for many readers, and the server over HTTP."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

import dashboard as script
from lakehouse.config import PROJECT
from lakehouse.dashboard import (
    amounts,
    download,
    entries,
    pages,
    process_facts,
    translations,
)
from lakehouse.dashboard.answer_cache import AnswerCache
from lakehouse.dashboard.html import PageRenderer
from lakehouse.dashboard.query_process import LakeQueries
from lakehouse.dashboard.request import PAGES, read
from lakehouse.explorer import command
from lakehouse.explorer.queries import registry
from lakehouse.kafka.broker import certificates
from lakehouse.kafka.broker.properties import free_port
from lakehouse.lake.reader import Lake
from lakehouse.operations.status import ProcessState
from lakehouse.setup.pipeline import dashboard_address, with_free_port
from tests.support import lakes
from tests.support.children import eventually
from tests.support.dashboard_lake import FORMULA, PERIOD, SCRIPT, TODAY, config_of
from tests.support.dashboards import Served
from tests.support.dashboards import dashboard as serving


def page_text(base: str, page: str = "running", now: datetime | None = None, **given: str) -> str:
    """One page made directly, tags taken off."""
    config = config_of(base)
    made = AnswerCache(config, ask=LakeQueries(config).ask)
    made.start()
    try:
        view = read(page, {"lang": "en", **given}, today=TODAY)
        answers = made.answers(list(pages.questions(view)), first=60, later=60)
        body = PageRenderer(config).page(view, answers, made.tables(), now or datetime.now(UTC)).body.decode()
    finally:
        made.stop()
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def test_each_process_has_the_state_that_its_health_data_says(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    since = datetime(2026, 11, 22, 8, tzinfo=UTC)
    states = [
        ProcessState("bronze", "running", 42, since, figures={"lag_records": 12.0, "batch_seconds": 1.25}),
        ProcessState("silver", "dead", 43, since, ("no heartbeat for 90 s",), "DataLoss: gone"),
    ]
    monkeypatch.setattr(process_facts.status, "processes", lambda _: states)
    text = page_text(base)
    assert "The answer No: 1 not running Start it again with: make run." in text
    assert "silver: dead. no heartbeat for 90 s" in text
    assert "Not everything is running. silver: dead. Start it again with: make run" in page_text(base, "sales")
    assert "silver dead 43 2026-11-22 08:00:00 no heartbeat for 90 s DataLoss: gone" in text
    assert "bronze running 42" in text
    assert "bronze: Kafka lag 12 messages" in text and "bronze: Last batch 1.2 s limit: 10 s" in text


def test_an_old_lake_an_empty_one_and_an_empty_period_say_what_to_do(base: str, tmp_path: Path) -> None:
    assert "The newest sales are old" not in page_text(base, "sales")
    old = page_text(base, "sales", now=datetime.now(UTC) + timedelta(minutes=5))
    assert "Nothing was written to Bronze since" in old and "make run" in old
    empty = page_text(str(tmp_path / "nothing"), "sales")
    assert "The lake is still empty" in empty and "The pipeline is started: make run (to come)" in empty
    assert "not running" not in empty and "cannot" not in empty, "one calm card"
    period = page_text(base, "sales", du="2020-01-01", au="2020-01-02")
    assert "No sale in this period. The lake holds sales from 2026-11-10 to 2026-11-21. Show all days" in period


def test_the_steps_of_an_empty_lake_are_ticked_when_they_are_done_not_when_a_process_or_a_table_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes.write(str(tmp_path), "ventes_stream", [])  # as the Bronze job makes it before its first batch
    found: list[ProcessState] = []
    monkeypatch.setattr(process_facts.status, "processes", lambda _: found)

    def steps(**figures: dict[str, float]) -> list[bool]:
        found[:] = [
            ProcessState(name, "running", figures=figures.get(name, {})) for name in ("kafka", "producer", "bronze")
        ]
        text = page_text(str(tmp_path), "sales", now=datetime.now(UTC) + timedelta(minutes=5))
        assert "are old" not in text and "Not everything" not in text, "a slow start is no fault"
        return [
            f"{step} (done)" in text
            for step in (
                "is started: make run",
                "has sent the first sale",
                "Bronze has taken it in",
                "the first figures",
            )
        ]

    assert steps() == [True, False, False, False]
    assert steps(producer={"sent": 0.0}, bronze={"sales": 0.0}) == [True, False, False, False]
    assert steps(producer={"sent": 1.0}, bronze={"sales": 0.0}) == [True, True, False, False]
    assert steps(producer={"sent": 1.0}, bronze={"sales": 1.0}) == [True, True, True, False]
    assert steps(bronze={"sales": 0.0, "freshness_seconds": 3.0}) == [True, True, True, False], "of an earlier run"


def test_the_last_reconciliation_is_shown_or_how_to_make_one(tmp_path: Path, base: str) -> None:
    base = shutil.copytree(base, tmp_path / "lake").as_posix()
    assert "The answer Not proven yet" in page_text(base, "trust")
    record = {
        "finished": "2026-11-22T08:00:00+00:00",
        "differences": 0,
        "versions": {"ventes_stream": 3},
        "per_partition": [{"consumed": 1200, "difference": 0}, {"consumed": 485, "difference": 0}],
        "per_day": ["a line a day"],
    }
    folder = Path(base) / "audit" / "reconciliations"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "20261122T080000.000000Z-essai.json").write_text(json.dumps(record))
    text = page_text(base, "trust")
    assert (
        "The answer Yes 1,685 of 1,685 messages accounted for, no difference. Reconciled 2026-11-22 08:00:00 ." in text
    )
    assert (
        "Finished 2026-11-22T08:00:00+00:00 Differences 0 Record 20261122T080000.000000Z-essai.json Versions ventes_stream: 3"
        in text
        and "a line a day" not in text
    )


# --- over HTTP -------------------------------------------------------------------------------------------------------


def cells(text: str, card: str) -> list[list[str]]:
    """The table of a card, as texts."""
    section = re.search(rf'<section class="card[^"]*" id="{card}".*?</section>', text, re.DOTALL)
    assert section, card
    rows = re.findall(r"<tr>(.*?)</tr>", section[0].partition("<tbody>")[2], re.DOTALL)
    return [
        [
            html.unescape(re.sub(r"<[^>]*>", "", cell)).strip()
            for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL)
        ]
        for row in rows
    ]


def complete(served: Served, path: str) -> str:
    """The page when every card has its answer."""
    return str(eventually(lambda: (text := served.get(path).text) and "data-pending" not in text and text))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", ["en", "fr"])
def test_every_page_in_both_languages_is_complete_safe_and_local(served: Served, page: str, language: str) -> None:
    reply = served.get(f"/{page}?{PERIOD}&lang={language}&client=2")
    text = complete(served, f"/{page}?{PERIOD}&lang={language}&client=2")
    assert reply.status == 200 and f'<html lang="{language}">' in text
    assert translations.say(page, language) in html.unescape(text)  # type: ignore[arg-type]
    assert reply.headers["content-security-policy"].startswith("default-src 'self';")
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", text), "another host"
    assert not re.search(r"\son[a-z]+=|\sstyle=|<script>", text), "inline code, which the policy forbids"
    assert "This part cannot be read" not in text and "ne peut pas être lue" not in text


def test_a_hostile_name_is_text(served: Served) -> None:
    text = complete(served, f"/clients?{PERIOD}")
    assert SCRIPT not in text
    assert any(row[1] == SCRIPT for row in cells(text, "top-clients"))
    hostile = served.get("/clients?pays=%3Cscript%3Ealert(1)%3C/script%3E&client=%22%3E%3Cb%3E").text
    assert SCRIPT not in hostile and "<b>" not in hostile and "is not accepted" in hostile


ENGLISH = {"Belgique": "Belgium", "Japon": "Japan", "Côte d'Ivoire": "Côte d’Ivoire"}
"""The names of ``lakes.PLACES`` on an English page."""


@pytest.mark.parametrize(
    "given", [PERIOD, f"{PERIOD}&pays=France", "periode=all", f"{PERIOD}&segment=Entreprise&pays=Japon"]
)
def test_the_figures_are_those_of_the_explorer_at_the_same_version(served: Served, base: str, given: str) -> None:
    text = complete(served, f"/sales?{given}")
    filters = read("sales", dict(pair.split("=") for pair in given.split("&")), today=TODAY).filters
    lake = Lake(base)
    for card in pages.CARDS["sales"]:
        if card.live:
            continue
        result = lake.read(registry.entry(card.question).query(filters, ()))
        if card.shape == "kpis":
            (row,) = result.rows
            values = dict(zip(result.names, row, strict=True))
            shown = re.findall(r'<dd class="value">(.*?)</dd>', text)
            wanted = [amounts.euros(values["revenue_total"], "en"), f"{values['total_transactions']:,}",
                      amounts.euros(values["transaction_moyenne"], "en"), f"{values['unique_customers']:,}"]  # fmt: skip
            assert shown == wanted
        elif card.shape == "table":
            columns = [result.columns[result.names.index(name)] for name in card.columns]
            rows = [
                [
                    amounts.shown(ENGLISH.get(value, value), column, UTC, "en")
                    for value, column in zip(picked, columns, strict=True)
                ]
                for picked in zip(*(result.column(name) for name in card.columns), strict=True)
            ]
            assert cells(text, card.name) == rows, card.name
        for source in result.sources:
            assert f"{source.table} version {source.version}," in text


def test_an_unchanged_page_is_304_and_a_changed_one_is_not(own: str, tmp_path: Path) -> None:
    with serving(own, tmp_path / "log") as found:
        path = f"/sales?{PERIOD}"
        complete(found, path)
        tag = found.get(path).headers["etag"]
        assert (again := found.get(path, If_None_Match=tag)).status == 304 and again.text == ""
        lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "n"}])
        changed = eventually(lambda: (reply := found.get(path, If_None_Match=tag)).status == 200 and reply)
        assert "ventes_stream version 2," in eventually(lambda: (t := found.get(path).text) and "version 2," in t and t)
        assert changed.headers["etag"] != tag


def test_only_this_machines_names_are_answered(served: Served) -> None:
    assert served.get("/sales", Host="evil.example").status == 400
    assert served.get("/nothing").status == 404 and served.get("/csv/nothing.csv").status == 404
    assert served.get("/static/../server.py").status == 404 and served.get("/static/%2e%2e/server.py").status == 404


def test_a_page_that_does_not_exist_is_a_page(served: Served) -> None:
    reply = served.get("/sale?lang=fr")
    assert reply.status == 404 and "Cette page n’existe pas" in reply.text and 'href="/sales?lang=fr"' in reply.text
    assert "<b>" not in served.get("/%3Cb%3E").text


def luminance(colour: str) -> float:
    """WCAG 2's relative luminance of ``#rgb`` or ``#rrggbb``."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(scheme: str) -> None:
    """WCAG 2 AA: 4.5 for texts, 3 for edges and bars; and a country that sold little is no bare land."""
    css = (PROJECT / "lakehouse/dashboard/static/style.css").read_text()
    marker = "@media (prefers-color-scheme: dark)"
    bright, dark = css.split(marker)[0], css.split(marker)[1]
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", bright))
    inks = dict.fromkeys(("s4", "s5"), "#fff") | dict.fromkeys(("s1", "s2", "s3"), "#10151b")
    assert ".heat4, .heat5 { color: #fff; } .heat1, .heat2, .heat3 { color: #10151b; }" in css
    if scheme == "dark":
        colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", dark))
        inks = dict.fromkeys(("s1", "s2"), "#fff") | dict.fromkeys(("s3", "s4", "s5"), "#10151b")
        assert ".heat1, .heat2 { color: #fff; } .heat3, .heat4, .heat5 { color: #10151b; }" in css
    texts = [
        (name, ground) for name in ("ink", "soft", "accent", "good", "bad", "warn") for ground in ("paper", "ground")
    ]
    texts += [("bad", "bad-ground"), ("warn", "warn-ground"), ("paper", "accent")]
    faint = [pair for pair in texts if contrast(colours[pair[0]], colours[pair[1]]) < 4.5]
    faint += [(ink, shade) for shade, ink in inks.items() if contrast(colours[shade], ink) < 4.5]
    faint += [(name, "paper") for name in ("bar", "edge") if contrast(colours[name], colours["paper"]) < 3]
    faint += [("s1", "land")] * (contrast(colours["s1"], colours["land"]) < 1.3)
    assert faint == []


def test_every_download_that_a_page_offers_is_there(served: Served) -> None:
    """A table that does not exist offers none; a question without a table of its own is no download."""
    for page in PAGES:
        text = served.get(f"/{page}?{PERIOD}&client=2").text
        offered = re.findall(r'class="csv" href="([^"]+)"', text)
        assert offered and not any(name in link for link in offered for name in pages.RARE)
        assert {html.unescape(link): served.get(html.unescape(link)).status for link in offered} == {
            html.unescape(link): 200 for link in offered
        }
    assert {served.get(f"/csv/{name}.csv").status for name in ("row-counts", "history", "sql", "corrections")} == {404}


ASKED = sorted(
    {card.question for cards in pages.CARDS.values() for card in cards if not card.fact} - pages.RARE - set(entries.OWN)
)


@pytest.mark.parametrize("name", ASKED)
def test_a_download_is_the_explorers_csv_but_for_formulas(
    served: Served, base: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_client = "&client=10" if name == "client-sales" else ""  # the explorer asks for its client
    reply = served.get(f"/csv/{name}.csv?{PERIOD}&segment=Particulier{of_client}")
    assert reply.status == 200 and reply.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.search(rf'filename="{name}_v\d+(_v\d+)?\.csv"', reply.headers["content-disposition"])
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
    takes = registry.entry(name).filters
    options = ["--du", "2026-11-10", "--au", "2026-11-21"] if "dates" in takes else []
    options += ["--segment", "Particulier"] if "segment" in takes else []
    options += ["--client", "10"] if of_client else []
    assert command.main([name, *options, "--limit", "0", "--format", "csv"]) == 0
    exact = capsys.readouterr().out
    assert reply.text.replace(f"'{FORMULA}", FORMULA) == exact
    if "client_nom" in exact:
        assert f",{FORMULA}" not in reply.text


def test_a_formula_gets_an_apostrophe_and_a_number_never_does() -> None:
    assert [download.harmless(value) for value in ("=1+1", "+1", "-1", "@SUM(1)", "\t=1", "＝1", b"=1", ["x"], "a=1", "", "'x")] == [
        "'=1+1", "'+1", "'-1", "'@SUM(1)", "'\t=1", "'＝1", "'=1", '["x"]', "a=1", "", "'x",
    ]  # fmt: skip
    assert [download.harmless(value) for value in (Decimal("-1.50"), -3, None, True, TODAY)] == [
        "-1.50",
        -3,
        None,
        "true",
        "2026-11-22",
    ]


def test_facts_can_be_downloaded_too(served: Served) -> None:
    rows = list(csv.DictReader(io.StringIO(served.get("/csv/tables.csv").text)))
    assert {row["table"]: (row["lignes"], row["version"], row["fichiers"]) for row in rows}["ventes_rejetees"] == (
        "4",
        "0",
        "1",
    )
    assert served.get("/csv/processes.csv").text.splitlines()[0].startswith("processus,etat,pid")


# --- starting --------------------------------------------------------------------------------------------------------


def test_it_listens_where_the_settings_say(base: str, tmp_path: Path) -> None:
    port = free_port()
    with serving(
        base, tmp_path / "log", MONITORING__DASHBOARD_HOST="127.0.0.2", MONITORING__DASHBOARD_PORT=str(port)
    ) as found:
        assert found.address == f"http://127.0.0.2:{port}/" and found.get("/sales").status == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_port_that_is_taken_is_one_sentence_and_exit_code_2(
    base: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lakehouse.child_processes.interrupt_on_signals", lambda: None)  # pytest keeps its own
    monkeypatch.setenv("VENTES_MONITORING__METRICS", "false")
    with socket.create_server(("127.0.0.1", port := free_port())):
        monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
        monkeypatch.setenv("VENTES_MONITORING__DASHBOARD_PORT", str(port))
        assert script.main([]) == 2
        said = capsys.readouterr().err
        assert f"The dashboard cannot listen on 127.0.0.1 port {port}" in said and "DASHBOARD_PORT=0" in said
        # beside another pipeline, make run takes a free one and says which
        config = config_of(base, MONITORING__DASHBOARD_PORT=str(port))
        free = with_free_port(config).monitoring.dashboard_port
        assert free not in (0, port)
    assert with_free_port(config).monitoring.dashboard_port == port
    certificate = Path(base).parent / "web.pem"
    certificates.write_private(certificate, b"")
    open_ = {"DASHBOARD_HOST": "0.0.0.0", "WEB_PASSWORD": "x", "WEB_CERTIFICATE": str(certificate)}
    served = config_of(base, **{f"MONITORING__{key}": text for key, text in open_.items()})
    assert dashboard_address(served) == "https://127.0.0.1:8501/"


def test_the_lake_keeps_open_what_nobody_wrote_to(own: str) -> None:
    lake = Lake(own)
    first = {name: lake.snapshot(name) for name in ("ventes_stream", "ventes_par_pays")}
    time.sleep(0.002)  # a commit's time has milliseconds
    lakes.write(own, "ventes_stream", [{**lakes.sales(1)[0], "vente_id": "n"}])
    fresh = lake.advanced()
    assert fresh.snapshot("ventes_par_pays") is first["ventes_par_pays"]
    assert fresh.snapshot("ventes_stream").source.version == first["ventes_stream"].source.version + 1
    assert lake.snapshot("ventes_stream") is first["ventes_stream"]
