"""The operators' commands over real Delta tables, killed in the middle and taken up again: no JVM, thousands of commits."""

from tests.support.plain_fixtures import _own_place, base, operate

__all__ = ["_own_place", "base", "operate"]
