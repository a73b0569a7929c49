"""What runs as a process of its own without a JVM, is killed, or is packed; and the bill of materials."""

from tests.support.plain_fixtures import _own_place, base, operate

__all__ = ["_own_place", "base", "operate"]
