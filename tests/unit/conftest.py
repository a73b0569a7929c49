"""Fast tests in this process: ``make test-fast`` is this folder, and takes 15 s at most."""

from tests.support.plain_fixtures import _own_place, base, operate

__all__ = ["_own_place", "base", "operate"]
