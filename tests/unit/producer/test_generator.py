"""The generator: same seed, same bytes; every message is what it says; money is exact."""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakehouse.contract import sale
from lakehouse.producer import malformed
from lakehouse.producer.catalogue import CATALOGUE, Client, Pool, euros
from lakehouse.producer.generator import RECENT, Message, Mix, instant, messages

START = 1_700_000_000_000_000  # microseconds: 2023-11-14T22:13:20Z


def ticking(start: int = START, step: int = 500_000) -> Callable[[], int]:
    count = itertools.count(start, step)
    return lambda: next(count)


PLAIN = Mix()


def take(n: int, *, seed: int = 1, mix: Mix = PLAIN, clients: int = 2, **more: object) -> list[Message]:
    made = messages(seed=seed, clients=clients, clock=ticking(), mix=mix, **more)  # type: ignore[arg-type]
    return list(itertools.islice(made, n))


MIXED = Mix(duplicate=0.2, late=0.2, malformed=0.2)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(), n=st.integers(1, 60))
def test_the_same_seed_and_clock_give_the_same_messages(seed: int, n: int) -> None:
    assert take(n, seed=seed, mix=MIXED) == take(n, seed=seed, mix=MIXED)


@settings(max_examples=10, deadline=None)
@given(seeds=st.lists(st.integers(), min_size=2, max_size=2, unique=True))
def test_another_seed_gives_other_sales(seeds: list[int]) -> None:
    first, second = ({message.vente_id for message in take(50, seed=seed)} for seed in seeds)
    assert not first & second


def test_a_seed_and_its_negative_differ() -> None:
    assert take(1, seed=7)[0].vente_id != take(1, seed=-7)[0].vente_id


def test_a_message_is_the_contract_s_json_in_its_order() -> None:
    (message,) = take(1, seed=3)
    found = json.loads(message.value, parse_float=str)
    assert found == message.champs()
    assert list(found) == list(sale.FIELDS)
    assert message.key == str(found["client_id"]).encode()
    assert uuid.UUID(message.vente_id).version == 4
    assert uuid.UUID(message.vente_id).variant == uuid.RFC_4122
    assert message.timestamp == "2023-11-14T22:13:20.000000Z"


def test_every_sale_keeps_the_contract_and_its_amount_is_exact() -> None:
    prices = {product.produit_id: Decimal(product.cents) / 100 for product in CATALOGUE}
    for message in take(2000, mix=Mix(0.1, 0.1, 0)):
        assert sale.validate(message.value).motif is None
        found = json.loads(message.value, parse_float=Decimal)
        assert found["montant"] == prices[found["produit_id"]] * found["quantite"]
        assert 1 <= found["quantite"] <= 5


def test_the_catalogue_is_the_contract_s() -> None:
    assert [(product.produit_id, euros(product.cents)) for product in CATALOGUE] == [
        (101, "899.99"), (102, "25.50"), (103, "75.00"), (104, "59.99"), (105, "19.99"), (106, "299.99"),
    ]  # fmt: skip


@given(cents=st.integers(0, 10**15))
def test_euros_are_the_cents_to_the_cent(cents: int) -> None:
    assert Decimal(euros(cents)) * 100 == cents
    assert euros(cents)[-3] == "."


@given(when=st.datetimes(datetime(1900, 1, 1), datetime(3100, 1, 1)))
def test_an_instant_is_its_moment_to_the_microsecond(when: datetime) -> None:
    microseconds = (when - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    assert sale.parse_moment(instant(microseconds)) == when.replace(tzinfo=UTC)


@pytest.mark.parametrize("start", [START, -2_208_988_800_000_000, -1])
def test_the_clock_decides_the_event_time_even_before_1970(start: int) -> None:
    made = messages(seed=1, clients=3, clock=ticking(start, 333_333))
    for n, message in enumerate(itertools.islice(made, 20)):
        assert message.timestamp == instant(start + n * 333_333)


def test_a_duplicate_is_an_exact_copy_of_a_recent_sale() -> None:
    sales: list[Message] = []
    copies = 0
    for message in take(3000, mix=MIXED):
        if message.kind == "doublon":
            copies += 1
            original = next(earlier for earlier in sales[-RECENT:] if earlier.vente_id == message.vente_id)
            assert (message.key, message.value) == (original.key, original.value)
        elif message.kind != "malformee":
            sales.append(message)
    assert copies > 400


def test_the_first_message_is_no_copy_even_when_all_shall_be() -> None:
    assert [message.kind for message in take(3, mix=Mix(duplicate=1))] == ["vente", "doublon", "doublon"]


def test_late_sales_lie_between_the_delay_and_three_days_more() -> None:
    clock = ticking()
    made = messages(seed=5, clients=5, clock=clock, mix=Mix(late=1), late_after=timedelta(hours=1))
    days = set()
    for n, message in enumerate(itertools.islice(made, 500)):
        lateness = sale.parse_moment(instant(START + n * 500_000)) - sale.parse_moment(message.timestamp)
        assert timedelta(hours=1) <= lateness <= timedelta(days=3, hours=1)
        days.add(message.timestamp[:10])
    assert len(days) > 2


def test_the_mix_is_kept() -> None:
    kinds = Counter(message.kind for message in take(10_000, mix=Mix(duplicate=0.05, late=0.1, malformed=0.2)))
    for kind, share in (("doublon", 0.05), ("tardive", 0.1), ("malformee", 0.2), ("vente", 0.65)):
        assert abs(kinds[kind] / 10_000 - share) < 0.02


@pytest.mark.parametrize("shape", malformed.SHAPES, ids=lambda shape: f"{shape.motif} ({shape.name})")
def test_every_broken_message_gets_its_code(shape: malformed.Malformation) -> None:
    (message,) = take(1, seed=9)
    broken = shape.apply(message.value, "3025-01-01T00:00:00Z")
    assert broken != message.value
    if shape.motif == sale.FUTUR:  # Bronze judges it, by the broker's clock: to the contract it is a valid sale
        assert sale.validate(broken).motif is None
        assert json.loads(broken)["timestamp"] == "3025-01-01T00:00:00Z"
    else:
        assert sale.validate(broken).motif == shape.motif


def test_the_shapes_cover_every_reject_code_there_is() -> None:
    assert {shape.motif for shape in malformed.SHAPES} == set(sale.reasons()) - {sale.ILLISIBLE, sale.EN_ATTENTE}


def test_six_malformed_messages_show_every_family() -> None:
    found = [(message.motif or "").split(":")[0] for message in take(6, mix=Mix(malformed=1))]
    assert found == [sale.JSON_INVALIDE, sale.VIDE, sale.MANQUANT, sale.TYPE, sale.VALEUR, sale.FUTUR]


def test_a_future_sale_lies_as_far_ahead_as_asked() -> None:
    message = take(6, mix=Mix(malformed=1), future_by=timedelta(days=365))[5]
    ahead = sale.parse_moment(json.loads(message.value)["timestamp"]) - sale.parse_moment(message.timestamp)
    assert ahead == timedelta(days=365)


@settings(max_examples=8, deadline=None)
@given(client_id=st.integers(1, 10**6))
def test_a_client_depends_on_the_seed_and_its_id_alone(client_id: int) -> None:
    busy = Pool(11)
    busy.client(1)
    assert busy.client(client_id) == Pool(11).client(client_id)


def test_two_pools_do_not_disturb_each_other() -> None:
    one, other = Pool(1), Pool(2)
    first = [one.client(n) for n in range(1, 9)]
    assert [one.client(n) for n in range(1, 9) if other.client(n)] == first


def test_clients_of_a_run_without_a_pool_seed_are_always_the_same() -> None:
    assert Pool(2024).client(12) == Client(12, "Promociones MQL S.A.T.", "Espagne", "Entreprise")
    pool = Pool(2024)
    assert all(message.client == pool.client(message.client.client_id) for message in take(100, seed=77, clients=8))


def test_the_pool_is_mostly_french_and_private() -> None:
    pool = Pool(2024)
    clients = [pool.client(n) for n in range(1, 401)]
    countries = Counter(client.pays for client in clients)
    assert countries.most_common(1)[0][0] == "France"
    assert len(countries) == 13
    assert 0.7 < sum(client.segment == "Particulier" for client in clients) / 400 < 0.9
    assert all(client.nom.strip() for client in clients)


def test_client_ids_start_at_one() -> None:
    with pytest.raises(ValueError, match=r"^client_id 0 is not accepted: expected 1 or more$"):
        Pool(1).client(0)
    assert {message.client.client_id for message in take(200, clients=3)} == {1, 2, 3}
