"""Generated operations: each about a sale of the run, in sum no more than was sold, and copied and early as sales are."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from decimal import Decimal

import pytest

from lakehouse.contract import sale
from lakehouse.producer.generator import Message, Mix
from lakehouse.producer.operations import OPERATIONS, encoded
from tests.unit.producer.test_generator import take

MIXED = Mix(duplicate=0.2, late=0.1, malformed=0.1, back=0.2, cancel=0.05, correct=0.1)


@pytest.fixture(scope="module")
def made() -> list[Message]:
    return take(5000, seed=3, mix=MIXED)


def operations(made: list[Message]) -> dict[str, Message]:
    """Each operation once, by its id."""
    return {
        message.operation["operation_id"]: message
        for message in made
        if message.operation and message.kind in OPERATIONS
    }


def test_a_run_without_operations_has_the_bytes_that_it_had_before_there_were_any() -> None:
    said = b"".join(message.value + message.kind.encode() for message in take(300, seed=1, mix=Mix(0.3, 0.3)))
    assert hashlib.sha256(said).hexdigest() == "214669d005ec459d523688c196b9845f81f3db95d5232c8d2b1346cee8ef0b68"


def test_every_operation_is_valid_and_its_message_says_what_the_truth_says(made: list[Message]) -> None:
    kinds = {message.kind for message in operations(made).values()}
    assert kinds == set(OPERATIONS)
    for message in operations(made).values():
        assert message.operation is not None
        assert sale.validate(message.value).operation == message.kind and message.motif is None
        assert json.loads(message.value, parse_float=str) == message.operation
        assert message.operation["operation"] == message.kind
        assert message.operation["vente_id"] == message.vente_id
        assert encoded(dict(message.operation)) == message.value


def test_no_more_comes_back_than_was_sold_and_nothing_after_a_cancellation(made: list[Message]) -> None:
    back: dict[str, list[tuple[int, Decimal]]] = defaultdict(list)
    cancelled: set[str] = set()
    revisions: dict[str, int] = defaultdict(int)
    for message in operations(made).values():
        assert message.operation is not None and message.vente_id not in cancelled
        if message.kind == "annulation":
            cancelled.add(message.vente_id)
        elif message.kind == "correction":
            revisions[message.vente_id] += 1
            assert message.operation["revision"] == revisions[message.vente_id]
        else:
            back[message.vente_id].append((message.operation["quantite"], Decimal(message.operation["montant"])))
            assert sum(quantite for quantite, _ in back[message.vente_id]) <= message.quantite
            assert sum(montant for _, montant in back[message.vente_id]) <= Decimal(message.montant)
    assert cancelled and max(map(len, back.values())) > 1 and max(revisions.values()) > 1


def test_operations_are_copied_and_some_come_before_their_sale(made: list[Message]) -> None:
    copies = [message for message in made if message.operation and message.kind == "doublon"]
    assert len(copies) > 100
    sales = {message.vente_id: n for n, message in reversed(list(enumerate(made))) if not message.operation}
    first = {message.vente_id: n for n, message in reversed(list(enumerate(made))) if message.operation}
    early = [vente_id for vente_id, n in first.items() if n < sales[vente_id]]
    assert len(early) > 20 and len(early) < len(first) / 2
    assert all(made[first[vente_id]].key == made[sales[vente_id]].key for vente_id in early)
