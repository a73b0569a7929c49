r"""Delta tables through ``deltalake``, by their path: every open, look and write of the project goes through here.

``deltalake`` (1.6.6) makes a URL of a local path and reads it as if that were a path again: of ``lake%41`` it opens the folder
``lakeA``, of ``a\b`` the folder ``b`` in ``a``. Such a path is refused, since no spelling of it reaches its own folder: it
resolves links first and decodes what is encoded twice.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lakehouse import crash_points
from lakehouse.config import paths
from lakehouse.errors import ConfigError, LakehouseError

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

_DAMAGED = re.compile(r"(?:Json error|Invalid JSON)[^\n]*", re.IGNORECASE)
"""What deltalake says of an entry of the log that is cut off or was changed; about its syntax, never about a value."""
Options = Mapping[str, str] | None
"""deltalake's storage options; None for a local table."""


def location(path: str) -> str:
    """``path`` as ``deltalake`` is given it: a URI as it is, a local path absolute and without links.
    Raises ``ConfigError`` for one that it would read as another folder."""
    if paths.is_uri(path):
        return path
    part = paths.misread(path) or paths.misread(os.path.realpath(path))  # deltalake follows links first
    if part:
        raise ConfigError(
            f"The folder {path} cannot hold tables: deltalake reads {part!r} in a name as something else, and would open "
            f"another folder. Rename it, and set [DELTA] base_path to the new name."
        )
    return os.path.realpath(path)


def opened(path: str, options: Options = None, *, version: int | None = None) -> DeltaTable:
    """The table at its newest version, or at ``version``. Raises deltalake's ``TableNotFoundError`` and ``DeltaError``, and
    ``LakehouseError`` for a local table whose log is damaged."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError

    try:
        return DeltaTable(location(path), version=version, storage_options=_dict(options))
    except DeltaError as error:
        if version is None and not paths.is_uri(path) and (found := _DAMAGED.search(str(error))):
            raise damaged(path, found[0]) from error
        raise


def damaged(path: str, what: str) -> LakehouseError:
    """The error for a local table that cannot be opened, with what to type next."""
    return LakehouseError(f"Table {_name(path)} at {path} cannot be opened: {what}. {next_command(path)}")


def next_command(path: str) -> str:
    """What to type for a table whose log cannot be read; ``path`` ends with the layer and the name."""
    if paths.is_uri(path):
        return "Type: setup_utils.py check"
    if path.rstrip("/").split("/")[-2:-1] == ["silver"]:
        return "Move that folder away, then type: python streaming_silver.py --full"
    return "Type: python ops_utils.py backup list"


def exists(path: str, options: Options = None) -> bool:
    """Whether a Delta table is there."""
    from deltalake import DeltaTable

    return DeltaTable.is_deltatable(location(path), _dict(options))


def write(path: str, rows: pa.Table, options: Options = None, **how: Any) -> None:
    """deltalake's ``write_deltalake``."""
    from deltalake import write_deltalake

    crash_points.step(f"before the append to {_name(path)}")
    write_deltalake(location(path), rows, storage_options=_dict(options), **how)
    crash_points.step(f"after the append to {_name(path)}")


def create(path: str, schema: pa.Schema, options: Options = None, **how: Any) -> DeltaTable:
    """deltalake's ``DeltaTable.create``."""
    from deltalake import DeltaTable

    made = DeltaTable.create(location(path), schema, storage_options=_dict(options), **how)
    crash_points.step(f"after the creation of {_name(path)}")
    return made


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _dict(options: Options) -> dict[str, str] | None:
    return dict(options) if options else None
