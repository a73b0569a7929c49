"""The explorer's tests in this process."""

from tests.support.explorer_lake import base

__all__ = ["base"]
