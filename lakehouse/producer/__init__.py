"""Generated sales, sent to Kafka; each message is tracked until the broker has acknowledged it.

Used by the script ``producer_ventes.py`` and by ``setup``.
Import: ``producer``.
"""
