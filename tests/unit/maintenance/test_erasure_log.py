"""What an erasure itself leaves behind: a log that does not say whose rows went, and no file with the number."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from lakehouse import config
from lakehouse.config import Config
from lakehouse.contract import unreadable
from lakehouse.contract.sale import ILLISIBLE
from lakehouse.contract.table_properties import SALT
from lakehouse.contract.tables import EFFACES, OPERATIONS, REJETS, VENTES
from lakehouse.lake import delta_tables
from lakehouse.maintenance import erasure, scheduler
from tests.support import lakes

CLIENT = 987654321
THEN = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def row(offset: int, client: int, **fields: Any) -> lakes.Row:
    made = lakes.sales(1, seed=offset)[0]
    place = {"kafka_partition": 0, "kafka_offset": offset, "kafka_timestamp": THEN}
    return {**made, **place, "client_id": client, "vente_id": f"sale-{client}-{offset}-{len(fields)}", **fields}


@pytest.fixture
def settings(base: str) -> Config:
    return config.load(env={"VENTES_DELTA__BASE_PATH": base})


def write(settings: Config, rows: list[lakes.Row]) -> None:
    delta_tables.append(rows, VENTES, settings, what="test")


def held(settings: Config) -> set[str]:
    table = lakes.contents(DeltaTable(VENTES.path(settings.delta.base_path)))
    return set(table["vente_id"].to_pylist())


def erase(settings: Config) -> erasure.Request:
    erasure.ask(settings, CLIENT)
    (done,) = erasure.serve(settings)
    assert done.state == "done", done.error
    return done


def entries(settings: Config) -> list[dict[str, Any]]:
    log = Path(VENTES.path(settings.delta.base_path), "_delta_log")
    return [json.loads(line) for file in sorted(log.glob("*.json")) for line in file.read_text().splitlines()]


def test_the_log_of_the_sales_does_not_say_whose_went(settings: Config) -> None:
    write(settings, [row(n, CLIENT if n % 3 else 7) for n in range(30)])
    done = erase(settings)
    assert done.rows == {VENTES.name: 20} and held(settings) == {f"sale-7-{n}-0" for n in range(0, 30, 3)}
    deleted = [one["commitInfo"] for one in entries(settings) if one.get("commitInfo", {}).get("operation") == "DELETE"]
    assert len(deleted) == 1 and done.id in deleted[0]["userMetadata"]
    assert "client_id" not in json.dumps(deleted) and str(CLIENT) not in json.dumps(entries(settings))


def test_a_place_of_an_earlier_topic_is_another_place(settings: Config) -> None:
    """A topic that was created anew counts its offsets from 0 again."""
    moments = [THEN + timedelta(microseconds=n) for n in range(4)]
    places = [(offset, moment) for offset in (1, 2, 3) for moment in moments]
    owners = [CLIENT if (offset + n) % 2 else 7 for n, (offset, _) in enumerate(places)]
    write(
        settings,
        [
            row(offset, owner, kafka_timestamp=moment, vente_id=f"{owner}-{n}")
            for n, (owner, (offset, moment)) in enumerate(zip(owners, places, strict=True))
        ],
    )
    done = erase(settings)
    assert held(settings) == {f"7-{n}" for n, owner in enumerate(owners) if owner == 7}
    assert done.rows == {VENTES.name: owners.count(CLIENT)}


def test_thousands_of_sales_go_in_a_few_commits(settings: Config) -> None:
    template = row(0, CLIENT)
    many = [{**template, "kafka_offset": n, "vente_id": f"sale-{n}"} for n in range(12_000)]
    write(settings, [*many, row(50_000, 7)])
    assert erase(settings).rows == {VENTES.name: 12_000}
    assert held(settings) == {"sale-7-50000-0"}
    assert DeltaTable(VENTES.path(settings.delta.base_path)).version() == 3
    assert len(lakes.contents(DeltaTable(EFFACES.path(settings.delta.base_path)))) == 12_000


def test_a_request_that_nobody_comes_back_for_is_forgotten(settings: Config) -> None:
    write(settings, [row(1, CLIENT)])
    erase(settings)
    open_one = erasure.ask(settings, CLIENT + 1)
    torn = erasure.folder(settings) / ".torn.part"
    torn.write_text(f'{{"client_id": {CLIENT}')
    files = sorted(erasure.folder(settings).iterdir())
    scheduler.run(settings, "bronze")
    assert sorted(erasure.folder(settings).iterdir()) == files, "its command may still come for it"
    for file in files:
        os.utime(file, (time.time() - settings.delta.deleted_file_retention.total_seconds() - 60,) * 2)
    scheduler.run(settings, "bronze")
    assert [file.name for file in erasure.folder(settings).iterdir()] == [f"erase-{open_one.id}.json"]


def test_what_comes_later_is_new_and_goes_with_the_next_erasure(settings: Config) -> None:
    """Nothing keeps a list of erased people: a sale that Bronze never held names the person again."""
    write(settings, [row(1, CLIENT), row(2, 7)])
    first = erase(settings)
    erasure.end(settings, first)
    assert erasure.found(settings, CLIENT) == dict.fromkeys(("ventes_stream", "ventes_rejetees", "rejets_rejoues"), 0)
    write(settings, [row(3, CLIENT)])
    assert erasure.found(settings, CLIENT)[VENTES.name] == 1
    second = erase(settings)
    assert (first.rows, second.rows) == ({VENTES.name: 1}, {VENTES.name: 1}) and first.id != second.id
    assert held(settings) == {"sale-7-2-0"}
    gone = lakes.contents(DeltaTable(EFFACES.path(settings.delta.base_path))).to_pylist()
    assert {(one["effacement"], one["kafka_offset"]) for one in gone} == {(first.id, 1), (second.id, 3)}


def test_an_isolated_message_is_the_clients_by_its_headers_too(settings: Config) -> None:
    texts = [("client_id", str(CLIENT).encode()), ("client_id", b"7"), ("trace", str(CLIENT).encode())]
    rejects = [
        {
            **lakes.rejects()[0], "motif": ILLISIBLE, "kafka_offset": number, "valeur": b'{"a":"aaa', "cle": None,
            "explication": unreadable.explanation("It is too large.", size=9999, kept=9, headers=[header]),
        }
        for number, header in enumerate(texts)
    ]  # fmt: skip
    write(settings, [row(100, 7)])
    delta_tables.append(rejects, REJETS, settings, what="test")
    assert erase(settings).rows == {REJETS.name: 1}
    left = lakes.contents(DeltaTable(REJETS.path(settings.delta.base_path)))["kafka_offset"].to_pylist()
    assert sorted(left) == [1, 2]


def test_a_fault_that_quotes_the_query_does_not_name_the_client(
    settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(settings, [row(1, CLIENT)])

    def fails(*_: object, **__: object) -> None:
        raise OSError(f"cannot evaluate client_id = {CLIENT} AND x = 1{CLIENT}")

    monkeypatch.setattr(delta_tables, "delete", fails)
    erasure.ask(settings, CLIENT)
    (done,) = erasure.serve(settings)
    assert (done.state, done.error) == ("failed", f"cannot evaluate client_id = *** AND x = 1{CLIENT}")


def test_operations_go_with_the_person_s_sales_and_by_a_corrected_client(settings: Config) -> None:
    write(settings, [row(1, CLIENT), row(2, 7)])
    about = {1: f"sale-{CLIENT}-1-0", 2: "sale-7-2-0", 3: "sale-7-2-0", 4: "nobody's"}
    done = [
        {
            **dict.fromkeys(OPERATIONS.names), "operation_id": f"o{n}", "operation": "correction", "vente_id": vente_id,
            "client_id": CLIENT if n == 3 else None, "timestamp": THEN, "jour": THEN.date(), "kafka_partition": 0,
            "kafka_offset": 10 + n, "kafka_timestamp": THEN, "date_ingestion": THEN,
        }
        for n, vente_id in about.items()
    ]  # fmt: skip
    delta_tables.append(done, OPERATIONS, settings, what="test")
    assert erase(settings).rows == {VENTES.name: 1, OPERATIONS.name: 2}
    left = lakes.contents(DeltaTable(OPERATIONS.path(settings.delta.base_path)))
    assert sorted(left["operation_id"].to_pylist()) == ["o2", "o4"]
    noted = DeltaTable(EFFACES.path(settings.delta.base_path))
    salt = noted.metadata().configuration[SALT]
    rows = [each for each in lakes.contents(noted).to_pylist() if each["table_effacee"] == OPERATIONS.name]
    assert {each["empreinte"] for each in rows} == {erasure.fingerprint(salt, name) for name in ("o1", "o3")}
