"""The planted bugs: a replacement in one file of the product each. A bug is found when a short history shows a violation, or
when the product itself refuses to go on.

A bug runs over what a Bronze without it has written (``campaign.ground``). One of Bronze: one run, with a batch to repeat and
all that was sent since. One of Silver, which needs no JVM: a build, a pass that is killed and repeated, and a pass whose end was forgotten.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from campaign.checkers import bronze, silver
from campaign.faults import file_faults
from campaign.faults.process_faults import crash_point
from campaign.faults.processes import Broker
from campaign.ground import Ground
from campaign.history import History

_COPIED = ("lakehouse", "config.ini", "jars.lock", "requirements.lock", "pyproject.toml")


@dataclass(frozen=True)
class Bug:
    """``old`` in ``file`` (below ``lakehouse/``) becomes ``new``."""

    name: str
    file: str
    old: str
    new: str


_T, _D, _S = "bronze/transforms.py", "bronze/exact_dedup.py", "bronze/sink.py"
_K, _A, _L = "bronze/kafka_batch.py", "silver/aggregates.py", "silver/local_sink.py"

BUGS = (
    Bug(
        "one sale in seven is dropped", _T,
        'return rows.where(F.col("motif").isNull()).select(*VENTES.names, *kept)',
        'return rows.where(F.col("motif").isNull() & (F.col("kafka_offset") % 7 != 3)).select(*VENTES.names, *kept)',
    ),
    Bug(
        "stale sales are forgotten", _T,
        "return rows.where(~_is_on_time()).drop(KEY, CLOCK)",
        'return rows.where(F.col("motif").isNotNull()).drop(KEY, CLOCK)',
    ),
    Bug(
        "rejects of one partition are lost", _T,
        'return rows.where(F.col("motif").isNotNull()).select(*REJETS.names)',
        'return rows.where(F.col("motif").isNotNull() & (F.col("kafka_partition") != 1)).select(*REJETS.names)',
    ),
    Bug("a reject's bytes are cut", _T, 'F.when(bad, F.col("value")).alias', 'F.when(bad, F.substring("value", 1, 20)).alias'),
    Bug("a reject's key is dropped", _T, 'F.when(bad, F.col("key")).alias', 'F.lit(None).cast("binary").alias'),
    Bug("offset by one", _T, 'F.col("offset").alias("kafka_offset")', '(F.col("offset") + 1).alias("kafka_offset")'),
    Bug("partition 0 for all", _T, 'F.col("partition").alias("kafka_partition")', 'F.lit(0).alias("kafka_partition")'),
    Bug("copies within the state are kept", _T, ".dropDuplicatesWithinWatermark([KEY])", ""),
    Bug("two of several stale copies are kept", _T, 'F.col("_rang") == 1', 'F.col("_rang") <= 2'),
    Bug(
        "the last of several stale copies wins", _T,
        'orderBy("kafka_timestamp", "kafka_partition", "kafka_offset")',
        'orderBy(F.col("kafka_timestamp").desc(), F.col("kafka_partition").desc(), F.col("kafka_offset").desc())',
    ),
    Bug(
        "amounts are rounded to ten cents", _T,
        '*((event if name == "timestamp" else F.col(f"_lu.{name}")).alias(name)',
        '*((event if name == "timestamp" else F.round("_lu.montant", 1).cast("decimal(18,2)") if name == "montant" '
        'else F.col(f"_lu.{name}")).alias(name)',
    ),
    Bug(
        "times lose their fraction", _T,
        'event = F.timestamp_micros(F.col("_lu.timestamp"))',
        'event = F.date_trunc("second", F.timestamp_micros(F.col("_lu.timestamp")))',
    ),
    Bug("the day of ingestion", _T, 'F.date_from_unix_date(F.col("_lu.jour"))', "F.current_date()"),
    Bug("stale sales are compared with nothing", _D, "if not stats.to_compare:", "if stats.to_compare >= 0:"),
    Bug(
        "only sales far ahead are compared", _D,
        "compared = F.col(transforms.STALE) | transforms.is_far_ahead(watermark_delay)",
        "compared = transforms.is_far_ahead(watermark_delay)",
    ),
    Bug("ids in Bronze are not looked up on their day", _D, ".where(transforms.on_days(days))", ".where(~transforms.on_days(days))"),
    Bug(
        "a batch has a new application id each time", "bronze/table_writer.py",
        'return f"{spec.name}-{self._query_id}{self._application}"',
        'return f"{spec.name}-{self._query_id}{self._application}-{time.time_ns()}"',
    ),
    Bug("the batch's last offset is left out", _K, "{partition: span[which] for", "{partition: span[which] - which for"),
    Bug("bad messages are read from the start again", _K, "(starts.get(partition, _EARLIEST), end)", "(_EARLIEST, end)"),
    Bug("aborted transactions are read", "kafka/options.py", 'READ_COMMITTED = "read_committed"', 'READ_COMMITTED = "read_uncommitted"'),
    Bug("a single reject is skipped", _S, "if stats.rejected:", "if stats.rejected > 5:"),
    Bug("small batches are skipped", _S, "if stats.sales:", "if stats.sales > 25:"),
    Bug("bad messages are never looked for", _S, "if on_time.stats.rows == messages:", "if on_time.stats.rows:"),
    Bug("a batch is noted before it is written", _S, "                self._write(batch)\n", "                self._write(batch) if batch_id % 2 else None\n"),
    Bug("a merged sum forgets what was there", _A, '"sum": "{t} + {s}"', '"sum": "{s}"'),
    Bug("a merged count is one too high", _A, '"count": "{t} + {s}"', '"count": "{t} + {s} + 1"'),
    Bug("a merged minimum takes the newer", _A, '"min": "least({t}, {s})"', '"min": "{s}"'),
    Bug("a merged maximum keeps the older", _A, '"max": "greatest({t}, {s})"', '"max": "{t}"'),
    Bug("a merged set keeps the older", _A, "array_sort(array_union({t}, {s}))", "array_sort({t})"),
    Bug("a merged distinct count forgets", _A, '"members": "{t} + {s}"', '"members": "{s}"'),
    Bug("a mean by articles", _A, '"panier_moyen": mean("total_depense", "nb_achats")', '"panier_moyen": mean("total_depense", "total_quantite")'),
    Bug("Premium begins at Standard", _A, '(thresholds.premium, "Premium")', '(thresholds.standard, "Premium")'),
    Bug("loyal one purchase late", _A, 'at_least("nb_achats", thresholds.loyal)', 'at_least("nb_achats", thresholds.loyal + 1)'),
    Bug("the first name instead of the latest", _A, 'Measure("_dernier", "max", latest("client_nom"))', 'Measure("_dernier", "min", latest("client_nom"))'),
    Bug("countries are categories", _A, 'Measure("_pays", "set", column("pays"))', 'Measure("_pays", "set", column("categorie"))'),
    Bug("hours of another zone", _A, "hour(thresholds.timezone)", 'hour("Asia/Kathmandu")'),
    Bug("articles are product numbers", _A, 'Measure("items_sold", "sum", big("quantite"))', 'Measure("items_sold", "sum", big("produit_id"))'),
    Bug(
        "a client's country is the segment", _A, 'derived={"pays": part("_dernier", "pays"), "segment": part("_dernier", "segment")}',
        'derived={"pays": part("_dernier", "segment"), "segment": part("_dernier", "pays")}',
    ),
    Bug("active days are countries", _A, 'Measure("nb_jours_actifs", "members", column("jour"))', 'Measure("nb_jours_actifs", "members", column("pays"))'),
    Bug(
        "a repeated batch is merged again", _L,
        "self._app_id(entry.table)\n        if delta_tables.has_batch(table, app_id, batch_id):",
        'f"{self._app_id(entry.table)}-{time.time_ns()}"\n        if False:',
    ),
    Bug("Silver skips a file of Bronze", "lake/table_changes.py", "if after < file.position <= upto]", "if after < file.position <= upto and version % 5]"),
)  # fmt: skip
"""One each of what a writer of such a pipeline gets wrong: loss, doubles, places, bytes, money, time, repeats, merges."""


def planted(tree: Path, folder: Path, bug: Bug | None) -> Path:
    """A copy of the product's tree with the bug in it, or with none. Raises ``ValueError`` when its place is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for script in tree.glob("*.py"):
        shutil.copy2(script, folder)
    for name in _COPIED:
        source = tree / name
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name)
    (folder / ".cache").symlink_to((tree / ".cache").resolve())
    if bug is None:
        return folder
    path = folder / "lakehouse" / bug.file
    text = path.read_text(encoding="utf-8")
    if text.count(bug.old) != 1:
        raise ValueError(f"{bug.name}: its place in {bug.file} is there {text.count(bug.old)} times")
    path.write_text(text.replace(bug.old, bug.new), encoding="utf-8")
    return folder


def _in_bronze(one: History, ground: Ground) -> None:
    """One run over what a Bronze without the bug had written: a batch to repeat, and all that was sent since."""
    ground.take(0, one)
    file_faults.last_commit_entry_gone(one.scene, "bronze")
    one.settle("bronze")
    one.violated(bronze.check(one.scene.place.lake, ground.sent[-1], one.scene.place.topic))


def _in_silver(one: History, ground: Ground) -> None:
    """A build; a pass that is killed, and repeated; a pass whose end was forgotten."""
    lake = one.scene.place.lake
    for number in range(len(ground.sent)):
        ground.take(number, one)
        if number == 1:
            crash_point(one.scene, "silver", 12)
        one.settle("silver")
        one.violated(silver.check(lake))
    file_faults.last_commit_entry_gone(one.scene, "silver")
    one.settle("silver")
    one.violated(silver.check(lake))


def _shown(bug: Bug | None, job: str, number: int, tree: Path, folder: Path, broker: Broker, ground: Ground) -> str:
    """The first violation of a short history with the bug; empty when there is none."""
    copy = planted(tree, folder / "tree", bug)
    place = folder / f"bug{number}"
    one = History(1000 + number, copy, place, broker, rounds=1, messages=120, topic=ground.topic)
    with one.recorded():
        _in_silver(one, ground) if job == "silver" else _in_bronze(one, ground)
    shutil.rmtree(place, ignore_errors=True)
    if not one.record.violations:
        return ""
    first = one.record.violations[0]
    return f"{first.claim}: {' '.join(first.what.split())[-160:]}"


def job_of(bug: Bug) -> str:
    """Whose run shows it."""
    return "silver" if bug.file.startswith(("silver/", "lake/table_changes")) else "bronze"


def run(job: str, tree: Path, folder: Path, broker: Broker, kept: Path, until: float, ground: Ground) -> int:
    """Plant those of a job, one after the other; 1 when one was not found. A copy without a bug has to pass first: one that
    cannot run at all would look like a bug that was found. Goes on from ``planted.json``. For Bronze the broker has to run, and to
    hold the ground's topic."""
    path = kept / "planted.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if control := _shown(None, job, 0, tree, folder, broker, ground):
        print(f"the copy without a bug does not pass: {control}")
        return 1
    kept.mkdir(parents=True, exist_ok=True)
    for number, bug in enumerate(BUGS, 1):
        if job_of(bug) != job or bug.name in found:
            continue
        if time.monotonic() > until:
            print(f"time is over before {bug.name}")
            break
        found[bug.name] = _shown(bug, job, number, tree, folder, broker, ground)
        print(f"{bug.name}: {found[bug.name] or 'NOT FOUND'}", flush=True)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(not all(found.values()))
