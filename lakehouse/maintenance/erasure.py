"""Erasure: a person's rows deleted from Bronze by the process that writes it, and the requests to the other jobs. No JVM.

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
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lakehouse import atomic_file
from lakehouse.config import Config
from lakehouse.contract.sale import ILLISIBLE
from lakehouse.contract.table_properties import ERASE, SALT
from lakehouse.contract.tables import AGGREGES, EFFACES, OPERATIONS, PROFIL, REJETS, REJOUES, VENTES, TableSpec
from lakehouse.errors import TableMissing, one_line
from lakehouse.lake import delta_tables, result, writer_lock
from lakehouse.lake import history as lake_history
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.maintenance.whose_message import concerns, names_one_of
from lakehouse.observability.provenance import read_origin


def fingerprint(salt: str, id_: str) -> str:
    """SHA-256 of salt and id, as Spark's ``sha2(concat(salt, id), 256)`` gives it."""
    return hashlib.sha256(f"{salt}{id_}".encode()).hexdigest()


_CHUNK = 5_000
"""Places named in one DELETE."""

_SILVER = "silver"
"""The file by which Silver is asked to build anew."""

_MEANWHILE = 200
"""Commits that a running job may add between two readings of the log."""

_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)

Coordinates = tuple[str, int, int, datetime]
"""Topic, partition, offset, the broker's time."""


def _at(places: Sequence[Coordinates]) -> str:
    """SQL that is true for the rows at these places: as one list of texts, since a chain of thousands of ORs is too deep for
    DataFusion. The span of offsets is for the files' statistics."""
    offsets = [place[2] for place in places]
    keys = ", ".join(f"'{p}:{o}:{(t - _EPOCH) // _MICROSECOND}'" for _, p, o, t in places)
    key = "concat(kafka_partition, ':', kafka_offset, ':', CAST(kafka_timestamp AS BIGINT))"
    return f"kafka_offset BETWEEN {min(offsets)} AND {max(offsets)} AND {key} IN ({keys})"


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
    """Where requests lie from the operator's command to the job that runs them, one file each."""
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
    """Forget the request, and with it the client's number: also where a kill left a file of it that was never completed."""
    ours = re.compile(rb'"client_id": %d\b' % request.client_id)
    for path in (_path(config, request), *folder(config).glob(".*.part")):
        with contextlib.suppress(OSError):
            if path.suffix != ".part" or ours.search(path.read_bytes()):
                path.unlink()


def forget_ended(config: Config) -> None:
    """Remove the requests that ended, and files of them that were never completed, when their command was killed and nobody
    has typed it again for as long as dead files stay: they hold the client's number."""
    before = time.time() - config.delta.deleted_file_retention.total_seconds()
    for path in (*folder(config).glob("erase-*.json"), *folder(config).glob(".*.part")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            ended = path.suffix == ".part" or Request(**json.loads(path.read_bytes())).state != "asked"
            if ended and path.stat().st_mtime < before:
                path.unlink()


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
                served = replace(request, state="failed", error=_nameless(one_line(error), request.client_id))
            _write(config, served)
            done.append(served)
    return done


def _nameless(text: str, client_id: int) -> str:
    """The text without the number: it goes into logs, and a library may have quoted its query."""
    return re.sub(rf"(?<!\d){client_id}(?!\d)", "***", text)


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
    """Whether Silver is to be built anew: see ``ask_silver``."""
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
        """By table, the rows that are the client's: coordinates, date_ingestion, vente_id of a sale, operation_id of an operation."""
        client, topic = self._request.client_id, self._config.kafka.topic
        places = ("kafka_partition", "kafka_offset", "kafka_timestamp")
        sales = [
            ((topic, p, o, t), when, vente_id)
            for p, o, t, when, vente_id in self._rows(
                VENTES, (*places, "date_ingestion", "vente_id"), f"client_id = {client}"
            )
        ]
        ids = {vente_id for *_, vente_id in sales}
        about = ("vente_id", "client_id", "operation_id")
        done = [
            ((topic, p, o, t), when, operation_id)
            for p, o, t, when, vente_id, client_id, operation_id in self._rows(
                OPERATIONS, (*places, "date_ingestion", *about)
            )
            if vente_id in ids or client_id == client
        ]
        mine = {place[1:] for place, _, _ in (*sales, *done)}
        notes = []
        for of, p, o, t, when, text in self._rows(REJOUES, ("topic", *places, "date_rejeu", "correction")):
            if (p, o, t) in mine or (text is not None and concerns(client, text.encode())):
                notes.append(((of, p, o, t), when, None))
        mine |= {place[1:] for place, _, _ in notes}
        columns = ("topic", *places, "date_ingestion", "valeur", "cle", "motif", "explication")
        bad = [
            ((of, p, o, t), when, None)
            for of, p, o, t, when, value, key, motif, text in self._rows(REJETS, columns)
            if (p, o, t) in mine
            or concerns(client, value, key)
            or names_one_of(ids, value)
            or (motif == ILLISIBLE and concerns(client, text.encode()))  # the headers stand there
        ]
        there = delta_tables.exists(OPERATIONS, self._config)
        found = {REJOUES.name: notes, REJETS.name: bad, OPERATIONS.name: done, VENTES.name: sales}
        return {name: rows for name, rows in found.items() if there or name != OPERATIONS.name}

    def run(self) -> Request:
        chosen = self.choose()
        if any(chosen.values()):
            self._note(chosen)
        for spec in (REJETS, REJOUES, OPERATIONS, VENTES):
            self._delete(spec, [place for place, _, _ in chosen.get(spec.name, ())])
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

    def _delete(self, spec: TableSpec, places: list[Coordinates]) -> None:
        """By place: the log keeps the predicate beside the erasure's id, and may not say whose rows these were."""
        places = sorted(places, key=lambda place: place[2])
        for start in range(0, len(places), _CHUNK):
            these = _at(places[start : start + _CHUNK])
            delta_tables.delete(spec, self._config, these, what=ERASE, erasure=self._request.id)

    def _result(self) -> Request:
        """From what was noted: so an erasure that was killed and taken up again counts all of it."""
        self._lake = Lake.of(self._config)
        rows = list(self._rows(EFFACES, ("table_effacee", "kafka_timestamp"), f"effacement = '{self._request.id}'"))
        newest = max((moment for _, moment in rows), default=None)
        counted = dict(Counter(name for name, _ in rows))
        return replace(self._request, state="done", rows=counted, newest=newest.isoformat() if newest else None)
