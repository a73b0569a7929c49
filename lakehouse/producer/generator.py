"""An endless, seeded stream of messages: valid, duplicate, late and malformed sales, and operations on sales.

The same seeds, mix and clock give the same bytes. One message costs about 4 µs: names come from Faker once a client,
and each client and each product × quantity keeps its part of the JSON text ready (a Faker call a sale would cost
more than Kafka's own client). Money is whole cents until it is text; it is never a float.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, Literal, NamedTuple, get_args

from lakehouse.producer import malformed
from lakehouse.producer.catalogue import CATALOGUE, POOL_SEED, Client, Pool, Product, euros
from lakehouse.producer.operations import EARLY, RecentSales, encoded

Kind = Literal["vente", "doublon", "tardive", "malformee", "historique", "retour", "annulation", "correction"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""What a message is: a sale of now, a copy, a late sale, a malformed message, a sale of an announced backfill, an operation on a
sale."""

MAX_QUANTITY = 5
RECENT = 50
"""A duplicate copies one of this many sales sent last."""
LATE_SPAN = timedelta(days=3)
"""Late sales lie between ``late_after`` and this much more before the clock."""


@dataclass(frozen=True)
class Mix:
    """Probability of each message to be of a kind; the rest are plain sales. Each in 0..1, their sum at most 1. ``back``:
    returns; ``cancel`` and ``correct``: the other operations on sales."""

    duplicate: float = 0.0
    late: float = 0.0
    malformed: float = 0.0
    back: float = 0.0
    cancel: float = 0.0
    correct: float = 0.0


class Message(NamedTuple):
    """One message for Kafka and the truth about it. A tuple, since a frozen dataclass costs 1 µs more a message.

    ``motif`` is the reject code that the message must get, otherwise None; ``client`` … ``timestamp`` describe the sale (of a
    malformed message: the sale before it was broken; of an operation: the sale that it is about). ``operation`` holds the
    fields of an operation, ``montant`` as text.
    """

    kind: Kind
    key: bytes
    value: bytes
    vente_id: str
    motif: str | None
    client: Client
    produit: Product
    quantite: int
    timestamp: str
    operation: Mapping[str, Any] | None = None

    @property
    def montant(self) -> str:
        """Total of the sale in EUR, as its text in the message: ``"5399.94"``."""
        return euros(self.produit.cents * self.quantite)

    def champs(self) -> dict[str, str | int]:
        """The sale's fields in the order of the contract; ``montant`` as text."""
        return {
            "vente_id": self.vente_id,
            "client_id": self.client.client_id,
            "produit_id": self.produit.produit_id,
            "timestamp": self.timestamp,
            "quantite": self.quantite,
            "montant": self.montant,
            "client_nom": self.client.nom,
            "produit_nom": self.produit.nom,
            "categorie": self.produit.categorie,
            "pays": self.client.pays,
            "segment": self.client.segment,
        }


class _ClientText(NamedTuple):
    """A client and the parts of the JSON text that depend on it alone."""

    client: Client
    key: bytes
    before: str
    name: str
    after: str


class _BasketText(NamedTuple):
    """A product × quantity and the parts of the JSON text that depend on it alone."""

    produit: Product
    quantite: int
    before: str
    amount: str
    name: str


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _client_text(client: Client) -> _ClientText:
    return _ClientText(
        client,
        str(client.client_id).encode(),
        f'", "client_id": {client.client_id}, ',
        f'"client_nom": {_quoted(client.nom)}, ',
        f'"pays": {_quoted(client.pays)}, "segment": {_quoted(client.segment)}}}',
    )


def _basket_text(produit: Product, quantite: int) -> _BasketText:
    return _BasketText(
        produit,
        quantite,
        f'"produit_id": {produit.produit_id}, "timestamp": "',
        f'", "quantite": {quantite}, "montant": {euros(produit.cents * quantite)}, ',
        f'"produit_nom": {_quoted(produit.nom)}, "categorie": {_quoted(produit.categorie)}, ',
    )


_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def instant(microseconds: int) -> str:
    """Microseconds since 1970 UTC → ISO 8601 with ``Z``."""
    return f"{(_EPOCH + timedelta(microseconds=microseconds)).isoformat(timespec='microseconds')}Z"


def messages(
    *,
    seed: int,
    clients: int,
    clock: Callable[[], int],
    mix: Mix = Mix(),
    pool_seed: int = POOL_SEED,
    late_after: timedelta = timedelta(minutes=11),
    future_by: timedelta = timedelta(days=1),
) -> Iterator[Message]:
    """An endless stream of messages. ``clock`` gives each one's event time in microseconds since 1970 UTC.

    A duplicate is an exact copy of one of the last ``RECENT`` sales (a plain sale when there is none yet); a late
    sale lies ``late_after`` or more before the clock; malformed messages rotate over every reject code, and the one
    too far in the future lies ``future_by`` after the clock. An operation is about one of the sales sent last, or about the
    next one, which then follows it; without a sale that allows it, a sale comes in its place.
    """
    rng = Random(f"ventes:{seed}")
    random, getrandbits = rng.random, rng.getrandbits
    pool = Pool(pool_seed)
    known: list[_ClientText | None] = [None] * clients
    baskets = [_basket_text(produit, quantite) for produit in CATALOGUE for quantite in range(1, MAX_QUANTITY + 1)]
    earliest = late_after // _MICROSECOND
    latest = (late_after + LATE_SPAN) // _MICROSECOND
    future = future_by // _MICROSECOND
    breaks = malformed.shapes()
    recent: deque[Message] = deque(maxlen=RECENT)
    sold: RecentSales[Message] = RecentSales(rng)
    until_duplicate = mix.duplicate
    until_late = until_duplicate + mix.late
    until_malformed = until_late + mix.malformed
    shares: tuple[tuple[Kind, float], ...] = (
        ("retour", mix.back),
        ("annulation", mix.cancel),
        ("correction", mix.correct),
    )
    kinds = tuple(kind for kind, share in shares if share)
    weights = [share for _, share in shares if share]
    until_operation = until_malformed + sum(weights)
    second, prefix = None, ""
    while True:
        kind: Kind = "vente"
        on_next: Kind | None = None
        if until_operation:
            drawn = random()
            if until_malformed <= drawn < until_operation:
                (chosen,) = rng.choices(kinds, weights)
                if random() < EARLY:
                    on_next = chosen
                elif made := operation(chosen, instant(clock()), sold):
                    recent.append(made)
                    yield made
                    continue
            if drawn < until_duplicate and recent:
                yield recent[int(random() * len(recent))]._replace(kind="doublon")
                continue
            if until_duplicate <= drawn < until_late:
                kind = "tardive"
            elif until_late <= drawn < until_malformed:
                kind = "malformee"
        now = clock()
        if kind == "tardive":
            now -= rng.randint(earliest, latest)
        if now // 1_000_000 != second:
            second = now // 1_000_000
            prefix = (_EPOCH + timedelta(seconds=second)).isoformat()
        timestamp = f"{prefix}.{now % 1_000_000:06d}Z"
        index = int(random() * clients)
        text = known[index]
        if text is None:
            text = known[index] = _client_text(pool.client(index + 1))
        client, key, client_before, client_name, client_after = text
        produit, quantite, before, amount, name = baskets[int(random() * len(baskets))]
        digits = f"{getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        vente_id = f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
        value = (
            f'{{"vente_id": "{vente_id}{client_before}{before}{timestamp}{amount}{client_name}{name}{client_after}'
        ).encode()
        motif = None
        if kind == "malformee":
            shape = next(breaks)
            motif, value = shape.motif, shape.apply(value, instant(now + future))
        message = Message(kind, key, value, vente_id, motif, client, produit, quantite, timestamp)
        if motif is None:
            recent.append(message)
            if until_operation > until_malformed:
                sold.add(message)
        if on_next and (early := operation(on_next, timestamp, sold, message)):
            recent.append(early)
            yield early
        yield message


def operation(kind: Kind, timestamp: str, sold: RecentSales[Message], about: Message | None = None) -> Message | None:
    """The message of an operation on a sale (``RecentSales.draw``)."""
    drawn = sold.draw(kind, timestamp, about)
    if drawn is None:
        return None
    sale, fields = drawn
    return sale._replace(kind=kind, value=encoded(fields), operation=fields)
