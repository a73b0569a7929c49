"""The object store under ``[DELTA] base_path = s3a://…``: one set of settings, translated for each library.

Spark reads and writes through Hadoop's S3A, the explorer and the operators through deltalake, checkpoints without a JVM
through pyarrow, the claims through obstore. Secrets reach Java by the environment, which Spark's own settings, its
command line and its web interface do not show.

A ``Claim`` keeps a job to one process among all machines: an object that only one of them can create. A store that
creates an object twice is refused: on such a store Delta itself would lose commits.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakehouse.config import Config, paths
from lakehouse.errors import LakehouseError, SetupError, TableLocked, one_line
from lakehouse.observability import provenance

if TYPE_CHECKING:
    from obstore.store import S3Store
    from pyarrow.fs import FileSystem

LOG_STORE = "ventes.ConditionalS3LogStore"
"""Our own (lakehouse/jvm/java_src): a commit is created by the store itself, or not at all."""
DYNAMO_LOG_STORE = "io.delta.storage.S3DynamoDBLogStore"


def is_s3(config: Config) -> bool:
    """Whether the lake is in an object store that is reached as ``s3a://``."""
    return config.delta.base_path.startswith("s3a://")


def options(config: Config) -> dict[str, str] | None:
    """deltalake's storage options; None for a local lake, and for a store that takes all from the environment."""
    if not is_s3(config):
        return None
    s3 = config.s3
    found = {
        "aws_region": s3.region,
        "aws_virtual_hosted_style_request": str(not s3.path_style).lower(),
        "aws_conditional_put": "etag",
    }
    if s3.endpoint:
        found |= {"aws_endpoint_url": s3.endpoint, "aws_allow_http": str(s3.endpoint.startswith("http://")).lower()}
    if s3.access_key:
        found |= {"aws_access_key_id": s3.access_key, "aws_secret_access_key": str(s3.secret_key)}
    return found


def spark_settings(config: Config) -> dict[str, str]:
    """The session settings of the store, without secrets."""
    if not is_s3(config):
        return {}
    s3 = config.s3
    found = {
        "spark.delta.logStore.s3a.impl": LOG_STORE,
        "spark.hadoop.fs.s3a.endpoint.region": s3.region,
        "spark.hadoop.fs.s3a.path.style.access": str(s3.path_style).lower(),
    }
    if s3.endpoint:
        found["spark.hadoop.fs.s3a.endpoint"] = s3.endpoint
        found["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(not s3.endpoint.startswith("http://")).lower()
    return found


def java_environment(config: Config) -> dict[str, str]:
    """The credentials, for S3A's own chain; Spark hands them on to executors."""
    if not is_s3(config) or not config.s3.access_key:
        return {}
    return {"AWS_ACCESS_KEY_ID": config.s3.access_key, "AWS_SECRET_ACCESS_KEY": str(config.s3.secret_key)}


def filesystem(config: Config, path: str) -> tuple[FileSystem, str]:
    """pyarrow's file system for ``path``, and the path as it names it."""
    from pyarrow import fs

    if not paths.is_uri(path):
        return fs.LocalFileSystem(), path
    if not path.startswith("s3a://"):
        return fs.FileSystem.from_uri(path)  # type: ignore[no-any-return]
    s3 = config.s3
    scheme, _, host = s3.endpoint.rpartition("://")
    found = fs.S3FileSystem(
        access_key=s3.access_key or None,
        secret_key=str(s3.secret_key) if s3.access_key else None,
        region=s3.region,
        scheme=scheme or "https",
        endpoint_override=host or None,
        force_virtual_addressing=not s3.path_style,
    )
    return found, path.removeprefix("s3a://")


# --- one writing process among all machines --------------------------------------------------------------------------


def _objects(config: Config) -> S3Store:
    from obstore.store import S3Store

    parts, s3 = urlsplit(config.delta.base_path), config.s3
    settings: dict[str, Any] = {"region": s3.region, "virtual_hosted_style_request": not s3.path_style}
    if s3.endpoint:
        settings |= {"endpoint": s3.endpoint}
    if s3.access_key:
        settings |= {"access_key_id": s3.access_key, "secret_access_key": str(s3.secret_key)}
    allow_http = s3.endpoint.startswith("http://")
    return S3Store(parts.netloc, prefix=parts.path.strip("/"), client_options={"allow_http": allow_http}, **settings)


def _myself() -> dict[str, object]:
    import psutil  # as in ``_is_gone``: a reader, which claims nothing, starts without it

    return {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "host": socket.gethostname(),
        "user": getpass.getuser(),
        "run": provenance.RUN_ID,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _is_gone(holder: Mapping[str, Any]) -> bool:
    """Whether the process that made a claim ran on this machine and has ended."""
    if holder.get("host") != socket.gethostname():
        return False
    import psutil

    try:
        return bool(psutil.Process(int(holder["pid"])).create_time() != holder["started"])
    except (psutil.Error, KeyError, ValueError):
        return True


@contextmanager
def claim(config: Config, job: str) -> Iterator[None]:
    """Hold ``locks/<job>.json`` in the store. Does nothing for a lake that is not on s3a://. Raises ``TableLocked`` while
    another process holds it, and ``SetupError`` for a store without conditional writes.

    A claim that a killed process left is taken over on the machine that it ran on; on another one a person decides,
    since nobody can tell a dead machine from one that is cut off.
    """
    if not is_s3(config):
        yield
        return
    import obstore
    from obstore.exceptions import AlreadyExistsError, BaseError

    objects, name = _objects(config), f"locks/{job}.json"
    place, mine = f"{config.delta.base_path.rstrip('/')}/{name}", json.dumps(_myself()).encode()
    try:
        try:
            held = obstore.put(objects, name, mine, mode="create")
        except AlreadyExistsError:
            found = obstore.get(objects, name)
            holder = json.loads(bytes(found.bytes()))
            if not _is_gone(holder):
                raise TableLocked(
                    f"The {job} tables under {config.delta.base_path} are claimed by process {holder['pid']} on "
                    f"{holder['host']}, since {holder['since']}. Stop it first; if that machine is gone for good, delete {place}"
                ) from None
            same = {key: found.meta[key] for key in ("e_tag", "version") if found.meta[key]}
            held = obstore.put(objects, name, mine, mode=same)  # type: ignore[arg-type]  # as long as it is that one
        _prove_conditional(objects, name, place)
    except BaseError as error:
        raise LakehouseError(
            f"The store of {place} does not answer as it should: {one_line(error)}. See [S3] in config.ini."
        ) from None
    try:
        yield
    finally:
        with suppress(BaseError):
            if obstore.head(objects, name)["e_tag"] == held["e_tag"]:
                obstore.delete(objects, name)


def _prove_conditional(objects: S3Store, name: str, place: str) -> None:
    """Try to create an object that exists: on a store that allows it, two writers could commit the same version."""
    import obstore
    from obstore.exceptions import AlreadyExistsError

    there = bytes(obstore.get(objects, name).bytes())
    try:
        obstore.put(objects, name, there, mode="create")
    except AlreadyExistsError:
        return
    raise SetupError(
        f"The store of {place} created an object that was there already: it ignores If-None-Match, and Delta tables on it "
        "would lose commits. Use one with conditional writes, or a local base_path."
    )
