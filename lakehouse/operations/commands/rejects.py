"""``rejects list | show | replay``: list and show rejected messages, and ingest those that are valid after all."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lakehouse.config import Config
from lakehouse.contract.tables import REJETS
from lakehouse.errors import ConfigError, LakehouseError
from lakehouse.explorer.formats.values import decoded
from lakehouse.lake.query import Query
from lakehouse.lake.reader import Lake
from lakehouse.lake.result import Column, Result
from lakehouse.lake.writer_lock import writer_lock
from lakehouse.operations.commands.runner import Outcome, Shown, Subparsers, Work, count, group, verb
from lakehouse.operations.recovery.replay import (
    INGESTED,
    OPERATION,
    Decision,
    Place,
    Reject,
    Replay,
    changed,
    counts,
    validate,
    waiting,
)
from lakehouse.wording import instant

_LISTED = 100


def add(subparsers: Subparsers) -> None:
    """Register ``rejects`` on the command line."""
    inner = group(
        subparsers, "rejects", "The messages that broke the contract: list them, show one, replay them.",
        examples=("python ops_utils.py rejects list", "python ops_utils.py rejects replay --all --dry-run"),
    )  # fmt: skip
    one = verb(
        inner, "rejects list", listing,
        examples=("python ops_utils.py rejects list", "python ops_utils.py rejects list --motif champ_manquant:pays"),
    )  # fmt: skip
    one.add_argument(
        "--motif", metavar="CODE", help="the messages with this reason, one by one; champ_manquant:* takes all fields"
    )
    one.add_argument("--limit", type=count, default=_LISTED, metavar="N", help=f"messages, at most (default {_LISTED})")
    one = verb(inner, "rejects show", show, examples=("python ops_utils.py rejects show 0:1234",))
    one.add_argument("place", metavar="PARTITION:OFFSET", help="where the message lies in Kafka")
    one = verb(
        inner, "rejects replay", replay, writes=True, private=("set", "edit"),
        examples=(
            "python ops_utils.py rejects replay --all --dry-run",
            "python ops_utils.py rejects replay --motif valeur_invalide:segment",
            "python ops_utils.py rejects replay 0:1234 0:1290",
            "python ops_utils.py rejects replay 0:1234 --set pays=France --set montant=51.00",
            "python ops_utils.py rejects replay 0:1234 --edit",
        ),
    )  # fmt: skip
    one.add_argument("places", nargs="*", metavar="PARTITION:OFFSET", help="these messages")
    one.add_argument("--motif", metavar="CODE", help="those with this reason; champ_manquant:* takes all fields")
    one.add_argument("--all", action="store_true", help="every message that was not replayed yet")
    one.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        help="replace a field of one message; may be repeated",
    )
    one.add_argument("--edit", action="store_true", help="change one message in $EDITOR first")


def _place(text: str) -> Place:
    partition, _, offset = text.partition(":")
    if not (partition.isdigit() and offset.isdigit()):
        raise ConfigError(f"{text!r} is not accepted: expected PARTITION:OFFSET, such as 0:1234.")
    return int(partition), int(offset)


def listing(args: argparse.Namespace, config: Config, _work: Work) -> Outcome:
    """Count the rejected messages by reason, and say how many still wait for a replay; with --motif, list those."""
    lake = Lake.of(config)
    open_by = counts(lake, args.motif)
    total = sum(open_by.values())
    if args.motif:
        columns = (
            Column("kafka_partition", "integer"), Column("kafka_offset", "integer"), Column("kafka_timestamp", "timestamp"),
            Column("motif", "text"), Column("explication", "text"), Column("valeur", "text"),
        )  # fmt: skip
        rows = [
            (r.partition, r.offset, r.kafka_timestamp, r.motif, r.explication, decoded(r.valeur or b"")[:200])
            for r in waiting(lake, motif=args.motif, limit=args.limit)
        ]
        data = [dict(zip((column.name for column in columns), row, strict=True)) for row in rows]
        return Outcome({"waiting": total, "rejects": data}, (Result(columns, rows), f"{total} wait for a replay"))
    sql = f"SELECT motif, COUNT(*), MIN(kafka_timestamp), MAX(kafka_timestamp) FROM {REJETS.name} GROUP BY motif ORDER BY 2 DESC, 1"
    found = [(*row[:2], open_by.get(row[0], 0), *row[2:]) for row in lake.read(Query(sql, (REJETS.name,))).rows]
    result = Result(
        (Column("motif", "text"), Column("messages", "integer"), Column("waiting", "integer"), Column("first", "timestamp"), Column("last", "timestamp")),
        found,
    )  # fmt: skip
    data = [dict(zip(result.names, row, strict=True)) for row in found]
    return Outcome({"waiting": total, "reasons": data}, (result, f"{total} wait for a replay"))


def show(args: argparse.Namespace, config: Config, _work: Work) -> Outcome:
    """Show one rejected message in full, and what the present contract says of it."""
    reject = _one(Lake.of(config), _place(args.place))
    now = validate(reject, None, config.streaming.future_tolerance)
    verdict = (
        f"it is a valid {'operation' if now.resultat == OPERATION else 'sale'}: rejects replay takes it in"
        if now.resultat in INGESTED
        else f"{now.resultat}: {now.explication}"
    )
    shown = (
        f"{reject.topic}[{reject.partition}]@{reject.offset}, broker's time {instant(reject.kafka_timestamp)}",
        f"rejected as {reject.motif}: {reject.explication}", f"by the present contract: {verdict}",
        f"key: {decoded(reject.cle or b'')}", "value:", decoded(reject.valeur or b""),
    )  # fmt: skip
    data = {
        "topic": reject.topic, "partition": reject.partition, "offset": reject.offset, "kafka_timestamp": reject.kafka_timestamp,
        "motif": reject.motif, "explication": reject.explication, "now": now.resultat, "value": reject.valeur, "key": reject.cle,
    }  # fmt: skip
    return Outcome(data, shown)


def _one(lake: Lake, place: Place) -> Reject:
    found = waiting(lake, places=[place])
    if not found:
        raise LakehouseError(
            f"No rejected message waits at partition {place[0]}, offset {place[1]}: it was replayed already, or never "
            f"rejected. They are listed by: python ops_utils.py rejects list --motif '*'"
        )
    return found[-1]  # of a topic that was created anew: the later one


def replay(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Validate rejected messages again, by the present contract or after a correction, and append those that are sales to
    Bronze, each once. The reject rows stay; what was done is noted in bronze/rejets_rejoues. The Bronze job must be
    stopped. Exit code 1 when a chosen message is still bad."""
    places = [_place(text) for text in args.places]
    if sum((bool(places), bool(args.motif), args.all)) != 1:
        raise ConfigError("Say which messages to replay: PARTITION:OFFSET …, or --motif CODE, or --all.")
    if (args.set or args.edit) and len(places) != 1:
        raise ConfigError("--set and --edit change one message: name it as PARTITION:OFFSET.")
    edit = _editing(args, places)
    if work.dry_run:
        return _outcome(_decided(Replay(config), args, places, edit, work), dry_run=True)
    with writer_lock(config, "bronze"):
        run = Replay(config)
        decisions = _decided(run, args, places, edit, work)
        with work.progress("appending the sales"):
            run.write(decisions)
    return _outcome(decisions, dry_run=False)


def _decided(
    run: Replay, args: argparse.Namespace, places: list[Place], edit: Callable[[Reject], bytes | None], work: Work
) -> list[Decision]:
    if unknown := run.never_rejected(places):
        raise LakehouseError(
            f"No message at partition {unknown[0][0]}, offset {unknown[0][1]} was rejected. Nothing was changed. They are "
            f"listed by: python ops_utils.py rejects list --motif '*'"
        )
    chosen = run.choose(motif=args.motif, places=places)
    if args.set or args.edit:  # otherwise one that was replayed before is no error: the command may be repeated
        chosen = chosen[-1:]
    edited = {one.key: edit(one) for one in chosen}  # first: a person may type in an editor
    with work.progress("validating the messages"):
        return run.decide(chosen, lambda one: edited[one.key])


def _editing(args: argparse.Namespace, places: list[Place]) -> Callable[[Reject], bytes | None]:
    pairs: dict[str, str] = {}
    for text in args.set:
        name, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set {text!r} is not accepted: expected FIELD=VALUE.")
        pairs[name] = value

    def edit(reject: Reject) -> bytes | None:
        value = reject.valeur
        try:
            if pairs:
                value = changed(value, pairs)
        except ValueError as error:
            raise LakehouseError(
                f"--set cannot change the message at {places[0][0]}:{places[0][1]}: {error}. Type it anew with --edit."
            ) from None
        if args.edit:
            value = _in_editor(value or b"")
        return value if pairs or args.edit else None

    return edit


def _in_editor(value: bytes) -> bytes:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "message.json"
        path.touch(0o600)
        path.write_bytes(value)
        try:
            code = subprocess.run([*shlex.split(command), str(path)], check=False).returncode
        except OSError as error:
            raise LakehouseError(
                f"The editor {command} cannot be started: {error.strerror}. Name one: EDITOR=nano."
            ) from None
        if code:
            raise LakehouseError(f"The editor {command} ended with code {code}. Nothing was changed.")
        return path.read_bytes().removesuffix(b"\n")


def _outcome(decisions: list[Decision], *, dry_run: bool) -> Outcome:
    became = Counter(one.resultat if one.settled else "still rejected" for one in decisions)
    bad = [one for one in decisions if not one.settled]
    columns = (
        Column("kafka_partition", "integer"),
        Column("kafka_offset", "integer"),
        Column("was", "text"),
        Column("result", "text"),
        Column("why", "text"),
    )
    rows: list[tuple[Any, ...]] = [
        (one.reject.partition, one.reject.offset, one.reject.motif, one.resultat, one.explication) for one in decisions
    ]
    shown: list[Shown] = [Result(columns, rows[:_LISTED], cut=len(rows) > _LISTED)] if rows else []
    said = ", ".join(f"{n} {name}" for name, n in sorted(became.items())) or "nothing waits for a replay there"
    shown.append(f"{'Would be: ' if dry_run else ''}{said}.{' Nothing was changed.' if dry_run else ''}")
    data = {
        "dry_run": dry_run,
        "counts": became,
        "messages": [dict(zip((c.name for c in columns), row, strict=True)) for row in rows],
    }
    return Outcome(data, shown, 1 if bad else 0, dict(became))
