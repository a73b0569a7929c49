"""A person's rows taken out of Bronze, by the process that writes it, and what the other processes must know. No JVM.

A request is a file beside the locks, mode 0600. Whoever holds Bronze's lock serves it: the running job between two
batches, or ``erase`` itself. Order of the work: the places of the rows are noted in ``_effacements``, then the rows go,
those of ``ventes_stream`` last, since they say which bad messages are the person's too. A kill between two of these
leaves the request and what the next serving finds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lakehouse import atomic_file
from lakehouse.config import Config
from lakehouse.contract.table_properties import ERASE, SALT
from lakehouse.contract.tables import AGGREGES, EFFACES, PROFIL, REJETS, REJOUES, VENTES, TableSpec
from lakehouse.errors import TableMissing, one_line
from lakehouse.lake import delta_tables, result, writer_lock
from lakehouse.lake import history as lake_history
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.observability.provenance import read_origin


def fingerprint(salt: str, vente_id: str) -> str:
    """SHA-256 of salt and id, as Spark's ``sha2(concat(salt, vente_id), 256)`` gives it."""
    return hashlib.sha256(f"{salt}{vente_id}".encode()).hexdigest()


def concerns(client_id: int, value: bytes | None, key: bytes | None = None) -> bool:
    """Whether a message that broke the contract is the client's: by its Kafka key, by any ``client_id`` of its JSON (a
    number, also 7.0, or a text), or, when it is no JSON, by what stands after that word in its text."""
    if key is not None and key.strip() == str(client_id).encode():
        return True
    text = (value or b"").replace(b"\0", b"").decode("utf-8", "replace")
    found: list[Any] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        found.extend(item for name, item in items if name == "client_id")

    try:
        json.loads(text, object_pairs_hook=pairs, parse_float=str, parse_int=str, parse_constant=str)
    except (ValueError, RecursionError):
        return bool(re.search(rf"client_id\W{{0,5}}0*{client_id}(?!\d)", text))
    return any(_number(item) == client_id for item in found)


def _number(item: Any) -> int | None:
    try:
        return int(re.sub(r"\.0+$", "", str(item).strip()))
    except ValueError:
        return None


_CHUNK = 500
"""Places named in one DELETE."""

_SILVER = "silver"
"""The file by which Silver is asked to build anew."""

_MEANWHILE = 200
"""Commits that a running job may add between two readings of the log."""

Coordinates = tuple[str, int, int, datetime]
"""Topic, partition, offset, the broker's time."""


@dataclass(frozen=True)
class Request:
    """``state`` is ``asked``, ``done`` or ``failed``; ``rows`` that are gone, by table, and their ``newest`` broker's time."""

    id: str
    client_id: int
    state: str = "asked"
    error: str = ""
    rows: dict[str, int] = field(default_factory=dict)
    newest: str | None = None


def folder(config: Config) -> Path:
    return writer_lock.lock_folder(config) / "requests"


def _requests(config: Config) -> Iterator[Request]:
    for path in sorted(folder(config).glob("erase-*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            yield Request(**json.loads(path.read_bytes()))


def _path(config: Config, request: Request) -> Path:
    return folder(config) / f"erase-{request.id}.json"


def _write(config: Config, request: Request) -> None:
    place = folder(config)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    atomic_file.write(_path(config, request), json.dumps(asdict(request)), mode=0o600)


def ask(config: Config, client_id: int) -> Request:
    """The request for this client: one that was not ended (its command was killed) is taken up again."""
    open_ones = [one for one in _requests(config) if one.client_id == client_id]
    if open_ones and open_ones[0].state != "failed":
        return open_ones[0]
    fresh = open_ones[0].id if open_ones else f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
    request = Request(fresh, client_id)
    _write(config, request)
    return request


def state(config: Config, request: Request) -> Request:
    """The request as it is now."""
    return Request(**json.loads(_path(config, request).read_bytes()))


def end(config: Config, request: Request) -> None:
    """Forget the request, and with it the client's number."""
    _path(config, request).unlink(missing_ok=True)


def waiting(config: Config) -> bool:
    """Whether somebody asks: one look at a folder."""
    return any(request.state == "asked" for request in _requests(config))


def serve(config: Config) -> list[Request]:
    """Serve every request, and say what became of each. For the holder of Bronze's lock, while no batch is written."""
    done = []
    for request in _requests(config):
        if request.state == "asked":
            try:
                served = _Erasing(config, request).run()
            except Exception as error:  # noqa: BLE001  # the stream goes on; who asked is told
                served = replace(request, state="failed", error=one_line(error))
            _write(config, served)
            done.append(served)
    return done


def in_silver(config: Config, client_id: int) -> bool:
    """Whether Silver's tables name the client. It may when Bronze no longer does: retention took the sales away."""
    lake = Lake.of(config)
    for spec in (AGGREGES, PROFIL):
        with contextlib.suppress(TableMissing):
            if lake.read_one(Query(f"SELECT COUNT(*) FROM {spec.name} WHERE client_id = {client_id}", (spec.name,))):
                return True
    return False


def ask_silver(config: Config) -> None:
    """Have Silver built anew by its job, though no commit of Bronze says so."""
    folder(config).mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder(config) / _SILVER).touch()


def silver_is_asked(config: Config) -> bool:
    return (folder(config) / _SILVER).exists()


def silver_has_built(config: Config, done: bool) -> None:
    """``done``: the build ended, and was not stopped between two tables."""
    if done:
        (folder(config) / _SILVER).unlink(missing_ok=True)


def found(config: Config, client_id: int) -> dict[str, int]:
    """The rows that an erasure would take out of Bronze now, by table."""
    work = _Erasing(config, Request("", client_id))
    return {name: len(rows) for name, rows in work.choose().items()}


def last_version(config: Config, after: int = -1) -> int | None:
    """The version of the last erasure's commit in ``ventes_stream`` above ``after``, as far back as its log reaches."""
    lake = Lake.of(config)
    limit = lake.newest_handle(VENTES.name).version() - after + _MEANWHILE
    history = lake_history.newest(lambda: lake.newest_handle(VENTES.name), limit)
    found = (int(commit["version"]) for commit in history if read_origin(commit).what == ERASE)
    return max((version for version in found if version > after), default=None)


class _Erasing:
    def __init__(self, config: Config, request: Request) -> None:
        self._config = config
        self._request = request
        self._lake = Lake.of(config)

    def _rows(self, spec: TableSpec, names: Iterable[str], where: str = "true") -> Iterator[tuple[Any, ...]]:
        try:
            reader, _ = self._lake.stream(
                Query(f"SELECT {', '.join(names)} FROM {spec.name} WHERE {where}", (spec.name,))
            )
        except TableMissing:
            return
        with self._lake.reading((spec.name,)):
            for batch in reader:
                yield from result.rows(batch)

    def choose(self) -> dict[str, list[tuple[Coordinates, datetime, str | None]]]:
        """By table, the rows that are the client's: coordinates, date_ingestion, vente_id of a sale."""
        client, topic = self._request.client_id, self._config.kafka.topic
        places = ("kafka_partition", "kafka_offset", "kafka_timestamp")
        sales = [
            ((topic, p, o, t), when, vente_id)
            for p, o, t, when, vente_id in self._rows(
                VENTES, (*places, "date_ingestion", "vente_id"), f"client_id = {client}"
            )
        ]
        mine = {place[1:] for place, _, _ in sales}
        notes = []
        for of, p, o, t, when, text in self._rows(REJOUES, ("topic", *places, "date_rejeu", "correction")):
            if (p, o, t) in mine or (text is not None and concerns(client, text.encode())):
                notes.append(((of, p, o, t), when, None))
        mine |= {place[1:] for place, _, _ in notes}
        bad = [
            ((of, p, o, t), when, None)
            for of, p, o, t, when, value, key in self._rows(
                REJETS, ("topic", *places, "date_ingestion", "valeur", "cle")
            )
            if (p, o, t) in mine or concerns(client, value, key)
        ]
        return {REJOUES.name: notes, REJETS.name: bad, VENTES.name: sales}

    def run(self) -> Request:
        chosen = self.choose()
        if any(chosen.values()):
            self._note(chosen)
        for spec in (REJETS, REJOUES):
            self._delete_at(spec, [place for place, _, _ in chosen[spec.name]])
        if chosen[VENTES.name]:
            self._delete(VENTES, f"client_id = {self._request.client_id}")
        return self._result()

    def _note(self, chosen: dict[str, list[tuple[Coordinates, datetime, str | None]]]) -> None:
        places = ("table_effacee", "kafka_partition", "kafka_offset", "kafka_timestamp")
        known = set(self._rows(EFFACES, places, f"effacement = '{self._request.id}'"))  # of a serving that was killed
        salt, now = self._salt(), datetime.now(UTC)
        rows = [
            {
                "effacement": self._request.id, "table_effacee": table, "topic": place[0], "kafka_partition": place[1],
                "kafka_offset": place[2], "kafka_timestamp": place[3], "date_ingestion": when,
                "empreinte": None if vente_id is None else fingerprint(salt, vente_id), "date_effacement": now,
            }
            for table, rows in chosen.items()
            for place, when, vente_id in rows
            if (table, *place[1:]) not in known
        ]  # fmt: skip
        if rows:
            delta_tables.append(rows, EFFACES, self._config, what=ERASE, erasure=self._request.id)

    def _salt(self) -> str:
        for _ in range(2):
            with contextlib.suppress(TableMissing):
                return str(self._lake.newest_handle(EFFACES.name).metadata().configuration[SALT])
            delta_tables.create(EFFACES, self._config, {SALT: secrets.token_hex(16)}, what=ERASE)
        raise TableMissing(EFFACES.name)

    def _delete_at(self, spec: TableSpec, places: list[Coordinates]) -> None:
        for start in range(0, len(places), _CHUNK):
            these = (
                f"(kafka_partition = {p} AND kafka_offset = {o} AND kafka_timestamp = "
                f"arrow_cast('{t.isoformat()}', 'Timestamp(Microsecond, Some(\"UTC\"))'))"
                for _, p, o, t in places[start : start + _CHUNK]
            )
            self._delete(spec, " OR ".join(these))

    def _delete(self, spec: TableSpec, predicate: str) -> None:
        delta_tables.delete(spec, self._config, predicate, what=ERASE, erasure=self._request.id)

    def _result(self) -> Request:
        """From what was noted: so an erasure that was killed and taken up again counts all of it."""
        self._lake = Lake.of(self._config)
        rows = list(self._rows(EFFACES, ("table_effacee", "kafka_timestamp"), f"effacement = '{self._request.id}'"))
        newest = max((moment for _, moment in rows), default=None)
        counted = dict(Counter(name for name, _ in rows))
        return replace(self._request, state="done", rows=counted, newest=newest.isoformat() if newest else None)
