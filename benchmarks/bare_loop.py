"""The bare loop: ``confluent_kafka`` → ``pyarrow.json`` → ``deltalake``. A contender, which imports nothing of the project.

It runs in a virtual environment of its own (requirements-bare.txt). The messages of one read are joined and parsed as lines
of JSON by Arrow's own reader, on all cores; whatever the schema does not know is left out. One append a ``--rows`` rows, then
the offsets are committed to Kafka: a crash between the two doubles what the append brought. It does not deduplicate, and one
message that is no JSON ends it.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
import uuid
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
from confluent_kafka import Consumer, KafkaException, TopicPartition
from deltalake import write_deltalake

SCHEMA = pa.schema([
    ("vente_id", pa.string()), ("client_id", pa.int64()), ("produit_id", pa.int64()), ("timestamp", pa.timestamp("us", "UTC")),
    ("quantite", pa.int32()), ("montant", pa.decimal128(18, 2)), ("client_nom", pa.string()), ("produit_nom", pa.string()),
    ("categorie", pa.string()), ("pays", pa.string()), ("segment", pa.string()),
])  # fmt: skip
_READ = 100_000
_PARSING = pj.ParseOptions(explicit_schema=SCHEMA, unexpected_field_behavior="ignore")


def parsed(values: list[bytes]) -> pa.Table:
    table = pj.read_json(io.BytesIO(b"\n".join(values)), parse_options=_PARSING)
    return table.append_column("jour", pc.cast(table["timestamp"], pa.date32()))


def main(argv: Sequence[str] | None = None) -> int:
    """Read to the ends that the topic has at the start, print one line of JSON, exit."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap-servers", "topic", "table"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rows", type=int, default=500_000)
    args = parser.parse_args(argv)

    group = f"bare-loop-{uuid.uuid5(uuid.NAMESPACE_URL, args.table)}"  # a table goes on where it was; another begins
    consumer = Consumer({
        "bootstrap.servers": args.bootstrap_servers, "group.id": group, "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
    })  # fmt: skip
    numbers = consumer.list_topics(args.topic, 30).topics[args.topic].partitions
    places = consumer.committed([TopicPartition(args.topic, number) for number in numbers], 30)
    left, start = 0, []
    for place in places:
        low, high = consumer.get_watermark_offsets(place, 30)
        begin = place.offset if place.offset >= 0 else low
        start.append(TopicPartition(args.topic, place.partition, begin))
        left += high - begin
    consumer.assign(start)
    began, held, rows, commits = time.time(), [], 0, 0
    while left > 0:
        messages = consumer.consume(min(_READ, left), 1.0)
        failed = [message.error() for message in messages if message.error() is not None]
        if failed:
            raise KafkaException(failed[0])
        if messages:
            held.append(parsed([message.value() for message in messages]))
            rows, left = rows + len(messages), left - len(messages)
        if rows >= args.rows or (rows and left == 0):
            write_deltalake(args.table, pa.concat_tables(held), mode="append", partition_by=["jour"])
            consumer.commit(offsets=consumer.position(start), asynchronous=False)
            held, rows, commits = [], 0, commits + 1
    print(json.dumps({"batches": commits, "seconds": time.time() - began}))
    consumer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
