"""Appends to a Delta table in steps, each batch once: rows are written, can be read where they lie, and are committed.

``[PERFORMANCE] delta_append`` chooses between two ways with one promise, which Delta's application transactions keep
(decision 0022): ``internal`` goes through Delta's own classes and asks the version's checksum what was written last;
``documented`` uses nothing but the options ``txnAppId`` and ``txnVersion``, and costs Spark jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession

from lakehouse import crash_points
from lakehouse.config import Config
from lakehouse.contract.tables import TableSpec
from lakehouse.jvm import compiler, spark_internals
from lakehouse.lake import delta_tables
from lakehouse.observability import provenance


@dataclass(frozen=True)
class Target:
    """The table, and the number that marks what is appended: the later of one ``app_id`` never comes before the earlier."""

    session: SparkSession
    spec: TableSpec
    config: Config
    app_id: str
    batch_id: int

    @property
    def path(self) -> str:
        """Of the table."""
        return self.spec.path(self.config.delta.base_path)

    def metadata(self, facts: Mapping[str, object] | None) -> str:
        """The commit's ``userMetadata``: its origin, and ``facts``."""
        return provenance.commit_metadata(f"{self.spec.layer} batch", batch=self.batch_id, **(facts or {}))


class Append(Protocol):
    """One append that has begun."""

    def write(self, rows: DataFrame) -> None:
        """Compute the rows and keep them where no reader of the table sees them. Once only."""

    def written(self) -> DataFrame:
        """The rows that were kept."""

    def days(self) -> list[date]:
        """The values of ``jour`` among them, in order."""

    def commit(self, facts: Mapping[str, object] | None = None) -> None:
        """Make the rows part of the table. ``facts`` about the batch go into the commit itself, beside its origin."""

    def discard(self) -> None:
        """Remove what was kept instead."""


def begin(target: Target) -> Append | None:
    """None when the table has the batch, or a later one of its application, already."""
    if target.config.performance.delta_append == "documented":
        table = delta_tables.opened(target.spec, target.config)
        last = table.transaction_version(target.app_id)
        return None if last is not None and last >= target.batch_id else DocumentedAppend(target)
    made = compiler.new(target.session, "DeltaAppend")
    begun = made.begin(spark_internals.java_session(target.session), target.path, target.app_id, target.batch_id)
    return InternalAppend(target, made) if begun else None


def once(rows: DataFrame, target: Target, facts: Mapping[str, object] | None = None) -> None:
    """Append ``rows``; a repeat of the same number changes nothing."""
    begun = begin(target)
    if isinstance(begun, DocumentedAppend):
        begun.commit_directly(rows, facts)
    elif begun:
        begun.write(rows)
        begun.commit(facts)


class InternalAppend:
    """Through ``DeltaAppend.java``: the rows lie in the table's folder, in files that no commit names yet."""

    def __init__(self, target: Target, made: Any) -> None:
        self._target = target
        self._made = made

    def write(self, rows: DataFrame) -> None:
        """See ``Append``."""
        self._made.write(spark_internals.java_frame(rows))
        crash_points.step(f"after the files for {self._target.spec.name} were written")

    def written(self) -> DataFrame:
        """See ``Append``."""
        return DataFrame(self._made.rows(), self._target.session)

    def days(self) -> list[date]:
        """See ``Append``."""
        return sorted(date.fromisoformat(each) for each in self._made.partitions("jour"))

    def commit(self, facts: Mapping[str, object] | None = None) -> None:
        """See ``Append``."""
        crash_points.step(f"before the commit of {self._target.spec.name}")
        self._made.commit(self._target.metadata(facts))
        crash_points.step(f"after the commit of {self._target.spec.name}")

    def discard(self) -> None:
        """See ``Append``."""
        self._made.discard()


class DocumentedAppend:
    """Through Delta's documented writer. The rows wait on the executors' disks, and are computed anew where one is lost."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._rows: DataFrame | None = None

    def write(self, rows: DataFrame) -> None:
        """See ``Append``."""
        self._rows = rows.persist(StorageLevel.DISK_ONLY)
        self._rows.count()

    def written(self) -> DataFrame:
        """See ``Append``."""
        assert self._rows is not None, "nothing was written"
        return self._rows

    def days(self) -> list[date]:
        """See ``Append``."""
        return sorted(row.jour for row in self.written().select("jour").distinct().collect())

    def commit(self, facts: Mapping[str, object] | None = None) -> None:
        """See ``Append``."""
        self.commit_directly(self.written(), facts)
        self.discard()

    def commit_directly(self, rows: DataFrame, facts: Mapping[str, object] | None = None) -> None:
        """Write and commit in one step."""
        target = self._target
        writer = rows.write.format("delta").mode("append")
        writer = writer.option("txnAppId", target.app_id).option("txnVersion", target.batch_id)
        crash_points.step(f"before the commit of {target.spec.name}")
        writer.option("userMetadata", target.metadata(facts)).save(target.path)
        crash_points.step(f"after the commit of {target.spec.name}")

    def discard(self) -> None:
        """See ``Append``."""
        self.written().unpersist()
