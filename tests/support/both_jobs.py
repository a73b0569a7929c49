"""``python -m tests.support.both_jobs``: all that Kafka holds into Bronze and Silver, in one Java, by the settings of the
environment. A process of its own for a lake whose store the tests' shared Spark does not know."""

from __future__ import annotations

import sys

from lakehouse import config
from lakehouse.bronze.job import BronzeJob
from lakehouse.lake import spark_session
from lakehouse.silver.job import SilverJob


def main() -> int:
    settings = config.load()
    with spark_session.opened(settings, "bronze") as spark:
        return BronzeJob(settings, once=True).run(spark) or SilverJob(settings).run(spark=spark)


if __name__ == "__main__":
    sys.exit(main())
