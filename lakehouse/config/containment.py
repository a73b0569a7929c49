"""Whether one place lies in another: folders and URIs, whatever links and ``..`` they are written with."""

from __future__ import annotations

import os
import posixpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from lakehouse.config.paths import is_uri


def resolved(place: str) -> str:
    """The one name of a folder or URI, however it was written: absolute, without links, ``..`` and a slash at its end. A
    ``file://`` is the folder that it names."""
    uri = urlsplit(place) if is_uri(place) else None
    if uri is None or uri.scheme == "file":
        return os.path.realpath(unquote(uri.path) if uri else place)
    scheme = "s3" if uri.scheme in ("s3a", "s3n") else uri.scheme
    return f"{scheme}://{uri.netloc}{posixpath.normpath('/' + uri.path.strip('/'))}".rstrip("/")


def is_within(place: str, outer: str) -> bool:
    """Whether a place is ``outer`` or lies in it, whether they are there or not."""
    inside, around = resolved(place), resolved(outer)
    if inside == around or inside.startswith(around.rstrip("/") + "/"):
        return True
    if is_uri(inside) or is_uri(around) or not os.path.exists(around):  # noqa: PTH110
        return False
    # one folder under two names: mounted twice, or on a disk that takes capitals for small letters
    return any(one.exists() and one.samefile(around) for one in (Path(inside), *Path(inside).parents))
