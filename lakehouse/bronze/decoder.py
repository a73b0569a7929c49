"""Registers Bronze's SQL functions, and the Python validation of rejected messages, with a Spark session."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from pyspark import cloudpickle
from pyspark.sql import SparkSession

from lakehouse.bronze import transforms
from lakehouse.contract import sale
from lakehouse.jvm import compiler, spark_internals

DECODER_CLASSES = ("BronzeRow", "SaleDecoder", "Moment")
"""The Java classes that read a message."""


def register(session: SparkSession) -> None:
    """Make ``transforms.DECODER`` and ``transforms.IS_STALE`` known to the session, whose JVM has our JAR."""
    # registerJavaFunction asks for a class with its types in angle brackets, which Janino does not write
    compiler.new(session, "BronzeRow").register(
        spark_internals.java_session(session), transforms.DECODER, transforms.DECODED
    )
    compiler.new(session, "StaleSale").register(spark_internals.java_session(session), transforms.IS_STALE)
    # The contract's rules travel with the plan, so that executors need none of our files.
    cloudpickle.register_pickle_by_value(sale)  # type: ignore[no-untyped-call]


@functools.cache
def fingerprint() -> str:
    """Of the code that tells a sale from a bad message. Another one may tell some of them otherwise."""
    contract = Path(sale.__file__).read_bytes()
    return hashlib.sha256(contract + compiler.source(DECODER_CLASSES)).hexdigest()[:16]
