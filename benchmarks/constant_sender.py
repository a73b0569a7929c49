"""kafka-python as it is: one constant message, sent ``--count`` times with our producer's settings, and nothing else.

The contender of ``benchmarks.sending``: no sale is made up, none is counted, nothing is noted or retried by hand. All messages
have one key, so that they go to one partition. It prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from lakehouse import config as settings
from lakehouse.kafka import clients


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--size", type=int, required=True, help="bytes of the message")
    args = parser.parse_args(argv)
    config = settings.load()
    text = json.dumps({"vente_id": "0" * 36, "montant": 75.0, "client_nom": "Victor Alexandre"}).encode()
    value, topic = text[:-1].ljust(args.size - 1) + b"}", config.kafka.topic
    began = time.monotonic()
    producer = clients.connect_producer(config)
    for _ in range(args.count):
        producer.send(topic, value, b"80")
    producer.flush()
    print(json.dumps({"sent": args.count, "seconds": time.monotonic() - began}))
    producer.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
