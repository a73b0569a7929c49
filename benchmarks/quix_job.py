"""Quix Streams with a sink for Delta: a contender, which imports nothing of the project.

It runs in a virtual environment of its own (requirements-quix.txt), with Quix Streams' default settings: JSON decoded a
message at a time, a checkpoint every 5 seconds, at which each partition's rows are appended. At least once: a crash between
an append and the commit of the offsets doubles rows. It does not deduplicate; a message that is no JSON is logged and skipped,
or ends it, by its own settings.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Consumer, TopicPartition
from deltalake import write_deltalake
from quixstreams import Application
from quixstreams.sinks import BatchingSink, SinkBatch

AS_SENT = pa.schema([
    ("vente_id", pa.string()), ("client_id", pa.int64()), ("produit_id", pa.int64()), ("timestamp", pa.string()),
    ("quantite", pa.int32()), ("montant", pa.float64()), ("client_nom", pa.string()), ("produit_nom", pa.string()),
    ("categorie", pa.string()), ("pays", pa.string()), ("segment", pa.string()),
])  # fmt: skip


class DeltaSink(BatchingSink):  # type: ignore[misc]
    """One append for each partition of the topic at each checkpoint."""

    def __init__(self, table: str) -> None:
        super().__init__()
        self._table = table
        self.commits = 0
        self.began: float | None = None

    def add(self, *args: object, **named: object) -> None:
        if self.began is None:
            self.began = time.time()
        super().add(*args, **named)

    def write(self, batch: SinkBatch) -> None:
        rows = pa.Table.from_pylist([item.value for item in batch], schema=AS_SENT)
        moments = pc.cast(rows["timestamp"], pa.timestamp("us", "UTC"))
        rows = rows.set_column(3, "timestamp", moments)
        rows = rows.set_column(5, "montant", pc.cast(rows["montant"], pa.decimal128(18, 2)))
        rows = rows.append_column("jour", pc.cast(moments, pa.date32()))
        write_deltalake(self._table, rows, mode="append", partition_by=["jour"])
        self.commits += 1


def held(servers: str, topic: str) -> int:
    """How many messages the topic has."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "quix-count"})
    numbers = consumer.list_topics(topic, 30).topics[topic].partitions
    ends = [consumer.get_watermark_offsets(TopicPartition(topic, number), 30) for number in numbers]
    consumer.close()
    return sum(high - low for low, high in ends)


def main(argv: Sequence[str] | None = None) -> int:
    """Read as many messages as the topic has at the start, print one line of JSON, exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap-servers", "topic", "table"):
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args(argv)
    group = f"quix-{uuid.uuid5(uuid.NAMESPACE_URL, args.table)}"  # a table goes on where it was; another begins
    app = Application(
        broker_address=args.bootstrap_servers, consumer_group=group, auto_offset_reset="earliest", loglevel="WARNING"
    )
    sink = DeltaSink(args.table)
    app.dataframe(app.topic(args.topic, value_deserializer="json")).sink(sink)
    app.run(count=held(args.bootstrap_servers, args.topic))
    print(json.dumps({"batches": sink.commits, "seconds": time.time() - (sink.began or time.time())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
