"""The messages of one history: sales of every kind that the contract knows, and of those that it refuses. Pure.

A seed gives the same messages in every run, but for the present time, from which the sales' times are counted.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

KINDS = {
    "sale": 60,
    "copy": 12,
    "late": 8,
    "malformed": 8,
    "ancient": 3,
    "future": 3,
    "same_id": 3,
    "aborted": 3,
    "person": 2,
    "operation": 4,
}
"""kind → its weight. ``copy``: the same bytes again; ``same_id``: another sale with the id and the time of one that
was sent, which the contract takes for its copy; ``aborted``: sent in a
transaction that is given up; ``person``: a sale to somebody who may be erased later;
``operation``: a cancellation, a return or a correction of a sale that was sent before; ``future``: further ahead than the
contract's tolerance, so that it is refused."""

COUNTRIES = ("France", "Belgique", "Suisse", "Québec", "Côte d'Ivoire", "Réunion")
AHEAD = timedelta(hours=3)
NAMES = ("Zoé", "Ayşe", "Łukasz", "O'Neil", '"Q"', "李")
SEGMENTS = ("Particulier", "Entreprise")
MALFORMED = (
    b"", b"{", b"null", b"[]", b"\xff\xfe\x00", b'{"vente_id": 1}', b'{"a": NaN}', b"\xef\xbb\xbf{}",
    '{"vente_id": "\u2028"}'.encode(), b'{"vente_id": "x", "vente_id": "y"}', b"0" * 5000,
)  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One message to send. ``sale_id`` is None for one that is no sale: an ``operation``, which has an ``operation_id``, or one that
    the contract refuses."""

    kind: str
    key: bytes | None
    value: bytes
    partition: int
    sale_id: str | None
    person: int | None = None
    """The client of a ``person``; of an operation, of the sale that it is about."""
    operation_id: str | None = None

    @property
    def right_time(self) -> str:
        """Of a ``future``: the time with which it would have been a sale."""
        moment = datetime.fromisoformat(json.loads(self.value)["timestamp"])
        return f"{moment - AHEAD:%Y-%m-%dT%H:%M:%S.%fZ}"


def messages(seed: int, count: int, partitions: int, now: datetime, prefix: str) -> Iterator[Message]:
    """``count`` messages in the order in which they are sent. ``prefix`` begins every ``vente_id``."""
    chance = random.Random(f"{seed}/{prefix}")
    sent: list[Message] = []
    for number in range(count):
        kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
        if kind in ("copy", "same_id") and not sent:
            kind = "sale"
        partition = min(chance.randrange(partitions), chance.randrange(partitions))  # skewed to the first
        made = _message(kind, f"{prefix}-{number}", partition, chance, now, sent)
        if made.sale_id and kind != "aborted":
            sent.append(made)
        yield made


def _message(
    kind: str, sale_id: str, partition: int, chance: random.Random, now: datetime, sent: list[Message]
) -> Message:
    if kind == "malformed":
        return Message(kind, b"7", chance.choice(MALFORMED), partition, None)
    if kind == "copy":
        first = chance.choice(sent)
        return replace(first, kind=kind, partition=chance.choice((first.partition, partition)))
    if kind == "operation":
        about = chance.choice(sent) if sent else None
        value = _operation(chance, sale_id, (about and about.sale_id) or "unknown", now)
        return Message(kind, b"7", value, partition, None, about.person if about else None, sale_id)
    others = [each for each in sent if each.person is None]
    origin = chance.choice(others) if kind == "same_id" and others else None
    moment = now - timedelta(seconds=chance.randrange(300))
    if kind == "late":
        moment -= timedelta(days=chance.randrange(1, 20), seconds=chance.randrange(86400))
    if kind == "ancient":
        moment = moment.replace(year=chance.choice((1, 999, 1997)), month=3, day=chance.randrange(1, 28))
    if kind == "future":
        moment += AHEAD
    client = int(chance.paretovariate(0.7)) % 60 + 1
    name = f"{chance.choice(NAMES)} {client}"
    if kind == "person":
        client = 7_000_000 + zlib.crc32(sale_id.rpartition("-")[0].encode()) % 900_000
        name = f"Personne {client}"
    sale = {
        "vente_id": sale_id,
        "client_id": client,
        "produit_id": chance.randrange(1, 25),
        "timestamp": f"{moment:%m-%dT%H:%M:%S}".join((f"{moment.year:04}-", f".{moment.microsecond:06}Z")),
        "quantite": chance.randrange(1, 9),
        "montant": chance.randrange(1, 2_000_000) / 100,
        "client_nom": name,
        "produit_nom": f"Produit {chance.randrange(25)}",
        "categorie": chance.choice(("A", "B")),
        "pays": chance.choice(COUNTRIES),
        "segment": chance.choice(SEGMENTS),
    }
    if origin:
        sale |= {name: json.loads(origin.value)[name] for name in ("vente_id", "timestamp")}
    value = json.dumps(sale, ensure_ascii=False).encode()
    known_as = None if kind == "future" else str(sale["vente_id"])
    return Message(kind, str(client).encode(), value, partition, known_as, client if kind == "person" else None)


OPERATIONS: dict[str, dict[str, object]] = {
    "annulation": {"raison": "doublon"}, "retour": {"quantite": 1, "montant": 0.5}, "correction": {"revision": 1, "pays": "Suisse"},
}  # fmt: skip


def _operation(chance: random.Random, own_id: str, about: str, now: datetime) -> bytes:
    kind = chance.choice(list(OPERATIONS))
    told = {"operation": kind, "operation_id": own_id, "vente_id": about, "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    return json.dumps({**told, **OPERATIONS[kind]}).encode()


def present() -> datetime:
    """The time from which a history's sales are counted."""
    return datetime.now(UTC)
