"""The explorer as a person uses it."""

from tests.support.explorer_lake import base

__all__ = ["base"]
