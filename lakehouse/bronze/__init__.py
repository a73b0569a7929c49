"""The streaming job: Kafka to the Bronze tables, each sale once, each bad message with its reason.

Used by the script ``spark_streaming_delta.py`` and by ``setup``.
Import: ``job``.
"""
