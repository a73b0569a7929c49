"""Valid sales and operations as the tests write them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def ago(**delta: float) -> datetime:
    """Now minus ``delta``, in whole milliseconds."""
    now = datetime.now(UTC) - timedelta(**delta)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def sale(moment: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """The fields of a valid sale; ``montant`` as the text that goes into the message."""
    return {
        "vente_id": str(uuid.uuid4()),
        "client_id": 7,
        "produit_id": 102,
        "timestamp": iso(moment or datetime.now(UTC)),
        "quantite": 2,
        "montant": "51.00",
        "client_nom": "Zoé Lefèvre",
        "produit_nom": "Souris",
        "categorie": "Informatique",
        "pays": "France",
        "segment": "Particulier",
        **fields,
    }


def operation(kind: str, vente_id: str, moment: datetime | None = None, **fields: Any) -> dict[str, Any]:
    """The fields of a valid operation on a sale."""
    own: dict[str, dict[str, Any]] = {
        "annulation": {"raison": "erreur de caisse"},
        "retour": {"quantite": 1, "montant": "25.50"},
        "correction": {"revision": 1, "segment": "Entreprise"},
    }
    about = {"operation_id": f"op-{uuid.uuid4()}", "vente_id": vente_id, "timestamp": iso(moment or datetime.now(UTC))}
    return {"operation": kind, **about, **own[kind], **fields}


def encoded(fields: Mapping[str, Any]) -> bytes:
    """The message of a sale or of an operation, as the generator would write it."""
    texts = {
        name: value if name == "montant" else json.dumps(value, ensure_ascii=False) for name, value in fields.items()
    }
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}".encode()
