"""The embedded broker: real Apache Kafka in KRaft mode as child processes, one node or several.

Used by ``setup`` and the tests.
Import: ``node``, ``cluster``, ``properties``, ``serve``.
"""
