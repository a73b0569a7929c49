"""The sale contract: its fields, its rules, and the reason why a message breaks them.

One message is one sale, or one operation on a sale (``operation``: a cancellation, a return, a correction): a JSON object in
UTF-8. Unknown extra fields never reject a message. Checks run in this order, each over all fields in the order of the
message's ``Form``: empty, JSON, the operation, missing, type, value; the first that fails names the reason. Bronze, which
knows the broker's clock, rejects a timestamp too far in the future.

Two validators share the rules. The stream's decoder (``java_src/SaleDecoder.java``) says of every message whether it is a
sale; ``validate`` says why one is not, and validates what does not come through the stream: replays and re-readings.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from typing import Any

SEGMENTS = ("Particulier", "Entreprise")

# field → kind of value; the order is the contract's
FIELDS: dict[str, str] = {
    "vente_id": "id",
    "client_id": "integer",
    "produit_id": "integer",
    "timestamp": "timestamp",
    "quantite": "quantity",
    "montant": "amount",
    "client_nom": "text",
    "produit_nom": "text",
    "categorie": "text",
    "pays": "text",
    "segment": "segment",
}

OPERATION = "operation"
"""The field that tells an operation from a sale. A message without it, or with null in it, is a sale."""
VENTE, ANNULATION, RETOUR, CORRECTION = "vente", "annulation", "retour", "correction"

_ABOUT = {"operation_id": "id", "vente_id": "id", "timestamp": "timestamp"}
CORRIGES = {name: kind for name, kind in FIELDS.items() if name not in _ABOUT}
"""What a correction may replace: all but the sale's id and its time, since ``timestamp`` is the correction's own."""


@dataclass(frozen=True)
class Form:
    """The fields of one kind of message, with the kind of each value, in the contract's order."""

    required: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, str]:
        return {**self.required, **self.optional}


OPERATION_FIELDS = ("operation_id", OPERATION, "vente_id", "timestamp", "quantite", "montant", "revision", "raison", *(
    name for name in CORRIGES if name not in ("quantite", "montant")
))  # fmt: skip
"""What any operation may hold, in the order of its table."""

FORMS: dict[str, Form] = {
    VENTE: Form(FIELDS),
    ANNULATION: Form({**_ABOUT, "raison": "text"}),
    RETOUR: Form({**_ABOUT, "quantite": "quantity", "montant": "amount"}, {"raison": "text"}),
    CORRECTION: Form({**_ABOUT, "revision": "integer"}, {**CORRIGES, "raison": "text"}),
}
"""The value of ``operation`` → what such a message holds."""

# A sale's fields as Spark types them, the timestamp still a text.
JSON_DDL = (
    "vente_id STRING, client_id BIGINT, produit_id BIGINT, `timestamp` STRING, quantite INT, montant DECIMAL(18,2), "
    "client_nom STRING, produit_nom STRING, categorie STRING, pays STRING, segment STRING"
)

VIDE = "message_vide"
JSON_INVALIDE = "json_invalide"
MANQUANT = "champ_manquant"
TYPE = "type_invalide"
VALEUR = "valeur_invalide"
FUTUR = "horodatage_futur"
CORRECTION_VIDE = "correction_vide"
"""A correction that replaces no field."""
EN_ATTENTE = "operation_en_attente"
"""Of an earlier release, which kept valid operations among the rejects: no message gets it any more."""
ILLISIBLE = "message_illisible"
"""No verdict on the contract: Bronze could not process the message at all, and isolated it."""

MAX_AMOUNT = Decimal("9999999999999999.99")  # DECIMAL(18,2)
CENT = Decimal("0.01")
DEPTH = 901
"""How deep a message may be nested: the sale itself, and a field that the contract does not know 900 deep."""
_HUGE = 10**40  # stands for any longer integer: out of range whatever its digits


def reasons() -> tuple[str, ...]:
    """Every reject code there is."""
    beyond = [name for name in _every(lambda form: form.fields) if name not in FIELDS]
    needed = [name for name in _every(lambda form: form.required) if name not in FIELDS]
    perfield = (
        f"{code}:{name}"
        for code, names in (
            (MANQUANT, (*FIELDS, *needed)),
            (TYPE, (*FIELDS, OPERATION, *beyond)),
            (VALEUR, (*FIELDS, OPERATION, *beyond)),
        )
        for name in names
    )
    return (VIDE, JSON_INVALIDE, *perfield, CORRECTION_VIDE, FUTUR, EN_ATTENTE, ILLISIBLE)


def _every(fields: Callable[[Form], Mapping[str, str]]) -> list[str]:
    """The names of the fields of all forms, each once."""
    return list(dict.fromkeys(name for form in FORMS.values() for name in fields(form)))


# --- validation ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Verdict:
    """What ``validate`` found: a reason and a sentence, or, for a valid message, its plain JSON text; ``inconnus`` are the
    names of fields that the contract does not know, as JSON: they never reject a message, but the schema has drifted.
    ``champs`` is a JSON object of those fields, by name, each value character for character as the sender wrote it.
    ``operation``: which operation a valid message is; None for a sale."""

    motif: str | None = None
    explication: str | None = None
    canonique: str | None = None
    inconnus: str | None = None
    champs: str | None = None
    operation: str | None = None


class _Rejected(Exception):
    def __init__(self, motif: str, explication: str) -> None:
        self.verdict = Verdict(motif, explication)


def shown(value: object, limit: int = 80) -> str:
    """A value as an explanation quotes it: JSON on one line, at most ``limit`` characters."""
    try:
        text = str(value) if isinstance(value, Decimal) else json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        text = "a deeply nested value"
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _integer(text: str) -> int:
    # A longer one is out of range anyway, and Python refuses to convert more than 4300 digits.
    return int(text) if len(text) <= 40 else (-_HUGE if text.startswith("-") else _HUGE)


def _number(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond what Decimal can hold
        return Decimal(0 if not text.lower().partition("e")[0].strip("-0.") else "Infinity")


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return found


_BRACKETS = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[\]{}]', re.DOTALL)
"""A string, or a bracket outside of strings."""


def _is_too_deep(text: str) -> bool:
    """Counted, not found out by a ``RecursionError``: that depends on how deep the caller stands."""
    if text.count("[") + text.count("{") <= DEPTH:
        return False
    brackets = (found[0] for found in _BRACKETS.findall(text))
    return max(accumulate(0 if each == '"' else 1 if each in "[{" else -1 for each in brackets)) > DEPTH


def _read(value: bytes) -> dict[str, Any]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Rejected(
            JSON_INVALIDE, f"The message is not UTF-8: byte {error.start} is {value[error.start]:#04x}."
        ) from None
    if _is_too_deep(text):
        raise _Rejected(JSON_INVALIDE, "The message is nested too deeply.")
    try:
        found = json.loads(
            text, parse_int=_integer, parse_float=_number, parse_constant=_constant, object_pairs_hook=_object
        )
    except RecursionError:
        raise _Rejected(JSON_INVALIDE, "The message is nested too deeply.") from None
    except ValueError as error:
        raise _Rejected(JSON_INVALIDE, f"The message is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise _Rejected(JSON_INVALIDE, f"The message is JSON, but no object: {shown(found)}.")
    return found


_PAST = re.compile(r"[ \t\r\n]*[{:,][ \t\r\n]*")


def _unknown_fields(text: str, names: list[str]) -> str:
    """The fields ``names`` of a JSON object, cut out of its text: a number keeps its digits, an escape stays one."""
    read = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode  # made here: it cannot travel with Spark's plan
    wanted, found = frozenset(names), dict[str, str]()
    at = 0
    while len(found) < len(wanted):
        start = _PAST.match(text, at).end()  # type: ignore[union-attr]  # the text was read as an object before
        name, end = read(text, start)
        first = _PAST.match(text, end).end()  # type: ignore[union-attr]
        _, at = read(text, first)
        if name in wanted:
            found[name] = f"{text[start:end]}: {text[first:at]}"
    return f"{{{', '.join(found[name] for name in names)}}}"


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return _is_integer(value) or isinstance(value, Decimal)


_TYPES: dict[str, tuple[Callable[[object], bool], str]] = {
    "integer": (_is_integer, "an integer"),
    "quantity": (_is_integer, "an integer"),
    "amount": (_is_number, "a number"),
}
_STRING: tuple[Callable[[object], bool], str] = (lambda value: isinstance(value, str), "a string")


ISO_DAY = r"(?:[0-9]{4}-?[0-9]{2}-?[0-9]{2}|[0-9]{4}-?W[0-9]{2}-?[0-9])[Tt ]"
"""How a timestamp begins: a day, as a date or a week date, and what stands before the time."""
_CLOCK = r"(?:[01][0-9]|2[0-3])(?:(?P<@>:?)[0-5][0-9](?:(?P=@)[0-5][0-9](?:[.,][0-9]+)?)?)?"
_ISO = re.compile(
    rf"{ISO_DAY}{_CLOCK.replace('@', 'time')}(?P<offset>[Zz]|[+-]{_CLOCK.replace('@', 'zone')})?", re.ASCII
)


def parse_moment(text: str) -> datetime:
    """ISO 8601 with an offset or ``Z`` → UTC; finer than a microsecond is cut off. Raises ``ValueError``."""
    # fromisoformat lets more pass than ISO 8601 has, and not the same in each Python
    if not (shape := _ISO.fullmatch(text)):
        raise ValueError("no ISO 8601 date and time")
    if not shape["offset"]:
        raise ValueError("no offset")
    clock = datetime.fromisoformat(text[: shape.start("offset")].upper()).replace(tzinfo=UTC)
    if shape["offset"] in "Zz":
        return clock
    # not by fromisoformat: it reads an offset of less than a second as none
    ahead = time.fromisoformat(shape["offset"][1:])
    offset = timedelta(0, ahead.second, ahead.microsecond, minutes=ahead.minute, hours=ahead.hour)
    try:
        return clock - offset if shape["offset"][0] == "+" else clock + offset
    except OverflowError:
        raise ValueError("out of the calendar") from None


def _check_value(kind: str, value: Any) -> str | None:
    """What is wrong with a value of the right type, as the end of a sentence; None when it is right."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            return "half a surrogate pair is no text"
        if not value:
            return "it may not be empty"
    if kind == "id" and len(value) > 64:
        return f"at most 64 characters are allowed, it has {len(value)}"
    if kind == "integer" and not 1 <= value < 2**63:
        return "it must be between 1 and 2^63-1"
    if kind == "quantity" and not 1 <= value < 2**31:
        return "it must be between 1 and 2^31-1"
    if kind == "amount":
        amount = Decimal(value)
        if not 0 <= amount <= MAX_AMOUNT:
            return f"it must be between 0 and {MAX_AMOUNT}"
        if amount != amount.quantize(CENT):
            return "at most 2 decimals are allowed"
    if kind == "segment" and value not in SEGMENTS:
        return f"it must be {' or '.join(SEGMENTS)}"
    if kind == "timestamp":
        try:
            parse_moment(value)
        except ValueError as error:
            return f"it must be ISO 8601 with an offset or Z: {error}"
    return None


def _canonical(message: dict[str, Any], form: Form) -> str:
    names = form.fields if form is FORMS[VENTE] else (OPERATION, *form.fields)
    plain: dict[str, Any] = {name: message[name] for name in names if message.get(name) is not None}
    plain["timestamp"] = parse_moment(message["timestamp"]).isoformat(timespec="microseconds").replace("+00:00", "Z")
    exact = ""
    if "montant" in plain:
        exact = f'"montant": {abs(Decimal(plain.pop("montant")).quantize(CENT))}, '  # abs: -0 is 0
    return f"{{{exact}{json.dumps(plain, ensure_ascii=False)[1:]}"


def fields_of(canonique: str) -> dict[str, Any]:
    """A valid message's fields as Bronze types them: the amount a Decimal, the time aware and in UTC."""
    found: dict[str, Any] = json.loads(canonique, parse_float=Decimal, parse_int=int)
    amount = {"montant": Decimal(found["montant"])} if "montant" in found else {}
    return {**found, **amount, "timestamp": parse_moment(found["timestamp"])}


def ahead(moment: datetime, broker: datetime, tolerance: timedelta) -> str | None:
    """The sentence that rejects a message as ``FUTUR``; None when its time is not too far after the broker's."""
    if moment <= broker + tolerance:
        return None
    said, clock = (f"{each.replace(tzinfo=None).isoformat(timespec='seconds')}Z" for each in (moment, broker))
    after = tolerance // timedelta(seconds=1)
    return f"The field timestamp is {said}: more than {after} s after the broker's clock, {clock}."


_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def refused(value: bytes, broker_us: int, tolerance_us: int) -> dict[str, Any]:
    """A message that is no sale, as Bronze stores it: ``motif`` and ``explication`` of a reject, or ``operation``, the fields of a valid
    operation, its ``timestamp`` in microseconds since 1970. The broker's time and the tolerance are in microseconds."""
    verdict = validate(value)
    if verdict.operation is None or verdict.canonique is None:
        return {"motif": verdict.motif, "explication": verdict.explication, "operation": None}
    fields = fields_of(verdict.canonique)
    sentence = ahead(fields["timestamp"], _EPOCH + broker_us * _MICROSECOND, tolerance_us * _MICROSECOND)
    if sentence:
        return {"motif": FUTUR, "explication": sentence, "operation": None}
    fields["timestamp"] = (fields["timestamp"] - _EPOCH) // _MICROSECOND
    return {"motif": None, "explication": None, "operation": fields}


def _form(message: dict[str, Any]) -> str:
    """Which of ``FORMS`` the message is to have."""
    said = message.get(OPERATION)
    if said is None:
        return VENTE
    if not isinstance(said, str):
        raise _Rejected(f"{TYPE}:{OPERATION}", f"The field {OPERATION} must be a string, it is {shown(said)}.")
    if said not in FORMS:
        expected = f"{', '.join(list(FORMS)[:-1])} or {list(FORMS)[-1]}"
        raise _Rejected(f"{VALEUR}:{OPERATION}", f"The field {OPERATION} is {shown(said)}: it must be {expected}.")
    return said


def _check(message: dict[str, Any], form: Form) -> None:
    for name in form.required:
        if message.get(name) is None:
            how = "null" if name in message else "missing"
            raise _Rejected(f"{MANQUANT}:{name}", f"The field {name} is {how}.")
    given = {name: kind for name, kind in form.fields.items() if message.get(name) is not None}
    for name, kind in given.items():
        fits, expected = _TYPES.get(kind, _STRING)
        if not fits(message[name]):
            raise _Rejected(f"{TYPE}:{name}", f"The field {name} must be {expected}, it is {shown(message[name])}.")
    for name, kind in given.items():
        wrong = _check_value(kind, message[name])
        if wrong:
            raise _Rejected(f"{VALEUR}:{name}", f"The field {name} is {shown(message[name])}: {wrong}.")
    if form is FORMS[CORRECTION] and not given.keys() & CORRIGES.keys():
        raise _Rejected(
            CORRECTION_VIDE, f"The correction replaces no field: it must name one of {', '.join(CORRIGES)}."
        )


def validate(value: bytes | None) -> Verdict:
    """Validate one message by the contract, exactly. Never raises; ``montant`` never passes through a float."""
    if value is None or not value.strip():
        return Verdict(VIDE, "The message is empty.")
    try:
        message = _read(value)
        kind = _form(message)
        _check(message, FORMS[kind])
    except _Rejected as rejected:
        return rejected.verdict
    form, operation = FORMS[kind], None if kind == VENTE else kind
    unknown = sorted(set(message) - set(form.fields) - {OPERATION})
    canonical = _canonical(message, form)
    if not unknown:
        return Verdict(canonique=canonical, operation=operation)
    fields = _unknown_fields(value.decode("utf-8"), unknown)
    return Verdict(
        canonique=canonical, inconnus=json.dumps(unknown, ensure_ascii=True), champs=fields, operation=operation
    )
