"""``python -m tests.both_jobs``: all that Kafka holds into Bronze and Silver, in one Java, by the settings of the
environment. A process of its own for a lake whose store the tests' shared Spark does not know."""

from __future__ import annotations

import sys

from lakehouse import config, session
from lakehouse.silver_job import SilverJob
from lakehouse.streams import BronzeJob


def main() -> int:
    settings = config.load()
    with session.opened(settings, "bronze") as spark:
        return BronzeJob(settings, once=True).run(spark) or SilverJob(settings).run(spark=spark)


if __name__ == "__main__":
    sys.exit(main())
