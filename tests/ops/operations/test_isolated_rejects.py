"""``rejects`` over isolated messages: one that was kept whole is replayed like any other, one that was cut off is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from lakehouse.contract import unreadable
from lakehouse.contract.sale import ILLISIBLE
from lakehouse.contract.tables import REJETS, VENTES
from tests.support import job_lake, lakes
from tests.support.messages import encoded, sale

Run = Callable[..., tuple[int, str]]
ARRIVED = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def run(operate: Run) -> Run:
    return partial(operate, "rejects")


@pytest.fixture(autouse=True)
def lake(base: str) -> None:
    """A sale at 0:500 that was kept whole, one at 0:501 that was cut off, and a damaged one at 0:502."""
    job_lake.build(base, count=60)
    moment = (ARRIVED - timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    value = encoded({**sale(), "vente_id": "kept", "timestamp": moment})
    kept: list[tuple[bytes | None, int | None]] = [(value, len(value)), (value[:50], 9000), (None, None)]
    bad: list[dict[str, Any]] = [
        {
            **lakes.rejects()[0], "motif": ILLISIBLE, "topic": job_lake.TOPIC, "kafka_partition": 0, "kafka_offset": 500 + n,
            "kafka_timestamp": ARRIVED, "valeur": valeur, "jour": ARRIVED.date(),
            "explication": unreadable.explanation("It failed.", size=size, kept=len(valeur or b"")),
        }
        for n, (valeur, size) in enumerate(kept)
    ]  # fmt: skip
    job_lake.append(base, REJETS, bad, job_lake.CLOCK + timedelta(minutes=2), 2)


def sold(base: str) -> set[str]:
    return set(lakes.contents(job_lake.table(base, VENTES)).column("vente_id").to_pylist())


def test_the_whole_one_is_replayed_and_of_the_others_it_is_said_why_not(base: str, run: Run) -> None:
    code, out = run("list", "--motif", ILLISIBLE)
    assert code == 0 and "3 wait for a replay" in out
    assert "by the present contract: it is a valid sale" in run("show", "0:500")[1]
    assert f"{ILLISIBLE}: Only the first 50 of 9000 bytes were kept" in run("show", "0:501")[1]
    assert "Only the first 0 of an unknown number of bytes were kept" in run("show", "0:502")[1]

    code, out = run("replay", "--motif", ILLISIBLE)
    assert code == 1 and "2 still rejected, 1 vente" in out
    assert "kept" in sold(base)
    code, out = run("replay", "0:501", "--set", "pays=France")
    assert code == 1 and "--set cannot change the message at 0:501" in out and "Type it anew with --edit" in out


def test_a_cut_off_message_can_be_typed_anew(base: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    moment = (ARRIVED - timedelta(seconds=5)).isoformat().replace("+00:00", "Z")
    typed = encoded({**sale(), "vente_id": "typed", "timestamp": moment})
    monkeypatch.setattr("lakehouse.operations.commands.rejects._in_editor", lambda _: typed)
    assert run("replay", "0:501", "--edit")[0] == 0
    assert "typed" in sold(base)
