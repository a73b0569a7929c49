"""Operations on the generated sales: cancellations, returns and corrections, as they come after a sale, or before it.

What comes back of one sale is never more than was sold, and nothing comes after its cancellation.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Protocol, TypeVar

from lakehouse.contract.sale import ANNULATION, CORRECTION, OPERATION, RETOUR
from lakehouse.producer.catalogue import ENTREPRISE, PARTICULIER, Client, Product, euros

OPERATIONS = (RETOUR, ANNULATION, CORRECTION)
REASONS: dict[str, tuple[str, ...]] = {
    RETOUR: ("article abîmé", "ne convient pas", "livré trop tard"),
    ANNULATION: ("erreur de caisse", "commande annulée par le client"),
    CORRECTION: ("segment corrigé",),
}
KNOWN = 50
"""An operation is about one of this many sales sent last."""
EARLY = 0.1
"""The share of operations that are sent before their sale."""


class Sale(Protocol):
    """What has to be known of a sale to draw an operation on it."""

    @property
    def vente_id(self) -> str: ...
    @property
    def client(self) -> Client: ...
    @property
    def produit(self) -> Product: ...
    @property
    def quantite(self) -> int: ...


SaleT = TypeVar("SaleT", bound=Sale)


@dataclass
class _Sold(Generic[SaleT]):
    """A sale, and what became of it."""

    sale: SaleT
    left: int
    """Articles that have not come back."""
    revision: int = 0


@dataclass
class RecentSales(Generic[SaleT]):
    """The sales that an operation may be about."""

    random: Random
    _sales: deque[_Sold[SaleT]] = field(default_factory=lambda: deque(maxlen=KNOWN))

    def add(self, sale: SaleT) -> None:
        self._sales.append(_Sold(sale, sale.quantite))

    def draw(self, kind: str, timestamp: str, about: SaleT | None = None) -> tuple[SaleT, dict[str, Any]] | None:
        """A sale that still allows an operation of this kind, ``about`` or any, and the fields of the operation, of that moment
        (ISO 8601). None when there is no such sale."""
        able = [each for each in self._sales if each.left > 0 and (about is None or each.sale is about)]
        if not able:
            return None
        sold = able[int(self.random.random() * len(able))]
        fields: dict[str, Any] = {
            OPERATION: kind,
            "operation_id": f"op-{self.random.getrandbits(128):032x}",
            "vente_id": sold.sale.vente_id,
            "timestamp": timestamp,
        }
        if kind == RETOUR:
            quantite = self.random.randint(1, sold.left)
            sold.left -= quantite
            fields |= {"quantite": quantite, "montant": euros(sold.sale.produit.cents * quantite)}
        elif kind == ANNULATION:
            sold.left = 0
        else:
            sold.revision += 1
            fields |= {"revision": sold.revision, "segment": self._other(sold)}
        return sold.sale, {**fields, "raison": self.random.choice(REASONS[kind])}

    @staticmethod
    def _other(sold: _Sold[SaleT]) -> str:
        return ENTREPRISE if (sold.sale.client.segment == PARTICULIER) == (sold.revision % 2 == 1) else PARTICULIER


def encoded(fields: dict[str, Any]) -> bytes:
    """The message; ``montant`` is a text of digits, and becomes a number."""
    texts = (
        f"{json.dumps(name)}: {value if name == 'montant' else json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
    )
    return f"{{{', '.join(texts)}}}".encode()
