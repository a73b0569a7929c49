"""EDGE. Registers Bronze's SQL functions, and the Python validation of rejected messages, with a Spark session."""

from __future__ import annotations

from pyspark import cloudpickle
from pyspark.sql import SparkSession

from lakehouse import bronze, java_classes, sale


def register(session: SparkSession) -> None:
    """Make ``bronze.DECODER`` and ``bronze.IS_OLD`` known to the session, whose JVM has our JAR."""
    # registerJavaFunction asks for a class with its types in angle brackets, which Janino does not write
    java_classes.new(session, "BronzeRow").register(session._jsparkSession, bronze.DECODER, bronze.DECODED)
    java_classes.new(session, "OldSale").register(session._jsparkSession, bronze.IS_OLD)
    # The contract's rules travel with the plan, so that executors need none of our files.
    cloudpickle.register_pickle_by_value(sale)  # type: ignore[no-untyped-call]
