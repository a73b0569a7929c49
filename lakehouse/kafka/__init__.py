"""Kafka clients, their options and users, the consumer lag, and the embedded broker (``broker/``).

Used by ``producer``, ``bronze``, ``operations`` and ``setup``.
Import: ``clients``, ``options``, ``users``, ``lag``, ``broker``.
"""
