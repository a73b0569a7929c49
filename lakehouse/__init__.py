"""The real-time sales lakehouse.

::

    producer_ventes.py ──► Kafka topic ventes_stream ──► spark_streaming_delta.py ──► bronze/ventes_stream
                                                                                      bronze/ventes_rejetees
                                                                                            │
    query_utils.py ◄────────────── silver/* ◄────────────── streaming_silver.py ◄───────────┘

One rule holds it together: every message that Kafka holds ends in exactly one row of Bronze or of the
reject table, or is counted as a duplicate; and every Silver figure equals what a full recompute of
Bronze gives, to the cent.

A package imports only from packages below it: ``setup``, ``dashboard``, ``operations``; then ``bronze``, ``silver``,
``explorer`` and ``producer``, which do not know each other; then ``maintenance``; ``lake`` and ``kafka``; ``jvm`` and
``cli``; ``observability``; ``config``; ``contract``; ``errors`` and ``child_processes``.
"""
