"""``backup create | list | verify | restore | remove``: tables, checkpoints and Kafka offsets of one moment, and back."""

from __future__ import annotations

import argparse
from typing import Any

from lakehouse.config import Config
from lakehouse.errors import LakehouseError
from lakehouse.lake.result import Column, Result
from lakehouse.operations.commands.runner import Outcome, Shown, Subparsers, Work, group, verb
from lakehouse.operations.recovery.backup import Backups
from lakehouse.operations.recovery.manifest import Manifest

_SHOWN = 20


def add(subparsers: Subparsers) -> None:
    """Register ``backup`` on the command line."""
    inner = group(
        subparsers, "backup", "Keep the lake as it is at one moment, check what was kept, and bring it back.",
        examples=("python ops_utils.py backup create", "python ops_utils.py backup verify latest --restore"),
    )  # fmt: skip
    one = verb(
        inner, "backup create", create, writes=True,
        examples=(
            "python ops_utils.py backup create",
            "python ops_utils.py backup create --dry-run",
            "python ops_utils.py backup create --store s3a://bucket/ventes",
        ),
    )  # fmt: skip
    _store(one)
    one = verb(inner, "backup list", listing, examples=("python ops_utils.py backup list",))
    _store(one)
    one = verb(
        inner, "backup verify", verify, recorded=True,
        examples=("python ops_utils.py backup verify latest", "python ops_utils.py backup verify latest --restore"),
    )  # fmt: skip
    _store(one)
    _id(one)
    one.add_argument("--restore", action="store_true", help="the drill: restore into a scratch folder and reconcile")
    one.add_argument("--without-kafka", action="store_true", help="with --restore: do not read messages again in Kafka")
    one = verb(
        inner, "backup restore", restore, writes=True,
        examples=(
            "python ops_utils.py backup restore latest --to data-restored --dry-run",
            "python ops_utils.py backup restore latest --to data-restored",
        ),
    )  # fmt: skip
    _store(one)
    _id(one)
    one.add_argument("--to", required=True, metavar="FOLDER", help="where the lake shall lie: a new or empty folder")
    one = verb(
        inner, "backup remove", remove, writes=True, dangerous=True,
        examples=(
            "python ops_utils.py backup remove 20261125T180615.469136Z-12f9d7 --dry-run",
            "python ops_utils.py backup remove 20261125T180615.469136Z-12f9d7",
        ),
    )  # fmt: skip
    _store(one)
    _id(one)


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", metavar="PLACE", help="folder or URI of the backups (default: [DELTA] backup_path)")


def _id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="ID", help="a backup's id, or latest: see backup list")


def _backups(args: argparse.Namespace, config: Config) -> Backups:
    return Backups(args.store or config.delta.backup_path, config)


def create(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Keep tables, checkpoints, the audit log and Kafka's offsets as one consistent set, while the jobs run. Only what
    the store does not hold yet is copied. Exit code 1 when contents of the store were damaged; they are copied again."""
    backups = _backups(args, config)
    made = backups.create(config, work.progress, dry_run=work.dry_run)
    manifest = made.manifest
    facts = {"new_files": made.new_files, "new_bytes": made.new_bytes}
    verb_text = "would be copied. Nothing was changed" if work.dry_run else "were copied"
    name = "A backup" if work.dry_run else f"Backup {manifest.id}"
    shown: list[Shown] = [
        *_moment(manifest),
        f"{name}: {len(manifest.entries)} files, {_size(manifest.size)}; {made.new_files} new files, "
        f"{_size(made.new_bytes)}, {verb_text}.",
    ]
    data = {**_facts(manifest), **facts, "damaged": list(made.damaged), "dry_run": work.dry_run}
    if work.dry_run:
        data.pop("id")
    if made.damaged:
        again = "would be copied again" if work.dry_run else "was copied again"
        shown += [f"DAMAGED: {path} is not what its name says: it {again}." for path in made.damaged[:_SHOWN]]
        shown.append(
            f"The store {backups.store.place} has lost or changed {len(made.damaged)} contents that this backup needs too. Check "
            f"the others, and keep them on another disk: python ops_utils.py backup verify ID"
        )
    return Outcome(data, shown, 1 if made.damaged else 0, {} if work.dry_run else {"backup": manifest.id, **facts})


def _moment(manifest: Manifest) -> list[Shown]:
    lines: list[Shown] = [
        Result(
            (Column("table", "text"), Column("version", "integer")), [(name, n) for name, n in manifest.tables.items()]
        )
    ]
    if bronze := manifest.bronze:
        offsets = ", ".join(f"{partition}: {offset}" for partition, offset in sorted(bronze["offsets"].items()))
        lines.append(
            f"Kafka topic {bronze['topic']}, up to batch {bronze['batch']}; it goes on at {offsets or 'the start'}."
        )
    if silver := manifest.silver:
        state = "" if silver["built"] else "; its build had not ended"
        lines.append(f"Silver: Bronze up to version {silver['bronze_version']}{state}.")
    return lines


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.id, "created": manifest.created, "files": len(manifest.entries), "bytes": manifest.size,
        "tables": dict(manifest.tables), "bronze": dict(manifest.bronze), "silver": dict(manifest.silver),
    }  # fmt: skip


def _size(number: int) -> str:
    return f"{number / 2**20:.1f} MiB"


def listing(args: argparse.Namespace, config: Config, _work: Work) -> Outcome:
    """The backups of the store, oldest first. Exit code 1 when the manifest of one is damaged."""
    backups, rows, bad = _backups(args, config), [], []
    for backup in backups.ids():
        try:
            rows.append(_facts(backups.load(backup)))
        except LakehouseError as error:
            bad.append(str(error))
    columns = (
        Column("id", "text"), Column("created", "text"), Column("files", "integer"), Column("MiB", "text"),
        Column("batch", "integer"), Column("ventes_stream", "integer"),
    )  # fmt: skip
    shown: list[Shown] = [
        Result(
            columns,
            [
                (row["id"], row["created"], row["files"], f"{row['bytes'] / 2**20:.1f}", row["bronze"].get("batch"), row["tables"].get("ventes_stream"))
                for row in rows
            ],
        )
    ]  # fmt: skip
    if not rows:
        shown = [f"There is no backup in {backups.store.place} yet. Make one: python ops_utils.py backup create"]
    return Outcome({"store": backups.store.place, "backups": rows, "damaged": bad}, [*shown, *bad], 1 if bad else 0)


def verify(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Read and hash every object of a backup again; with --restore, restore it into a scratch folder and reconcile there.
    Exit code 1 when something is missing, was changed or differs."""
    backups = _backups(args, config)
    manifest = backups.load(args.backup)
    damaged = backups.damaged(manifest, work.progress)
    data: dict[str, Any] = {"id": manifest.id, "objects": len(manifest.objects()), "damaged": damaged}
    shown: list[Shown] = [f"DAMAGED: {line}" for line in damaged[:_SHOWN]]
    if damaged:
        shown.append(
            f"Backup {manifest.id}: {len(damaged)} of {data['objects']} objects are missing or were changed: it cannot be "
            f"restored. Remove them from {backups.store.place}, make a new backup, and keep it elsewhere too: "
            f"python ops_utils.py backup create"
        )
        return Outcome(data, shown, 1, {"backup": manifest.id, "damaged": len(damaged)})
    shown.append(f"Backup {manifest.id}: all {data['objects']} objects are as they were written.")
    if not args.restore:
        return Outcome(data, shown, 0, {"backup": manifest.id, "damaged": 0})
    record = backups.drill(manifest, config, work.progress, ask_kafka=not args.without_kafka)
    data["drill"] = {name: record[name] for name in ("differences", "found", "notes", "per_partition", "per_table")}
    shown += [f"note: {note}" for note in record["notes"]]
    shown += [f"DIFFERENCE: {text}" for text in record["found"][:_SHOWN]]
    found = record["differences"]
    shown.append(
        f"Restored into a scratch folder and reconciled: {found} differences were found."
        if found
        else "Restored into a scratch folder and reconciled: everything is accounted for."
    )
    return Outcome(data, shown, 1 if found else 0, {"backup": manifest.id, "damaged": 0, "differences": found})


def restore(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Bring a backup back into an empty folder, every byte checked. The jobs that are started over it go on from the
    backup's Kafka offsets: nothing is lost or doubled, as long as Kafka still holds the messages since."""
    backups = _backups(args, config)
    manifest = backups.load(args.backup)
    target = backups.target(args.to)
    if not work.dry_run:
        backups.restore(manifest, args.to, work.progress)
    facts = f"{len(manifest.entries)} files, {_size(manifest.size)}"
    end = (
        f"{facts} would be brought back into {target}. Nothing was changed."
        if work.dry_run
        else f"Backup {manifest.id} was brought back into {target}: {facts}. Go on with: VENTES_DELTA__BASE_PATH={target} make run"
    )
    shown = [*_moment(manifest), end]
    return Outcome({**_facts(manifest), "to": str(target), "dry_run": work.dry_run}, shown, 0, {"backup": manifest.id})


def remove(args: argparse.Namespace, config: Config, work: Work) -> Outcome:
    """Take a backup out of the store, with the contents that no other backup holds: to make room, or since it holds a person
    who was erased. The other backups stay whole."""
    backups = _backups(args, config)
    manifest = backups.load(args.backup)
    gone = backups.remove(manifest, work.progress, dry_run=True)
    facts = f"{len(gone)} contents that no other backup holds, {_size(sum(gone.values()))}"
    if not work.dry_run:
        work.confirm(f"Backup {manifest.id} of {manifest.created} goes for ever, with {facts}.", "remove")
        gone = backups.remove(manifest, work.progress, dry_run=False)
    end = f"would go, with {facts}. Nothing was changed." if work.dry_run else f"is gone, with {facts}."
    data = {"id": manifest.id, "objects": len(gone), "bytes": sum(gone.values()), "dry_run": work.dry_run}
    return Outcome(data, (f"Backup {manifest.id} {end}",), 0, {"backup": manifest.id, "objects": len(gone)})
