"""The lake of the explorer's tests: built once for each file, and only read."""

from __future__ import annotations

import pytest

from tests.support import lakes


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its base path. A test that changes the lake copies it first."""
    made = str(tmp_path_factory.mktemp("lake"))
    lakes.build(made)
    return made
