"""Our own few Java classes as JARs, compiled once into the cache: needs the pinned JARs and a Java, no JDK.

The compiler is Janino, which Spark ships for its own generated code.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.jvm import jars, java, recorded_hash, spark_internals

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SOURCES = Path(__file__).with_name("java_src")
LOG_STORE = ("ConditionalS3LogStore",)
"""Delta's log on S3: only a lake there needs it."""
CORE = (
    "BronzeRow", "StaleSale", "SaleDecoder", "Moment", "DeltaAppend", "LocalFiles", "LocalFilesContext", "NativeMemory",
    "LocalLogStore", "RareEvictionStateStoreProvider",
)  # fmt: skip
"""The sale contract as Bronze's stream applies it, the append to a Delta table, local files and the log among them
without more calls of the system than it takes, what the C library gives back, and when the state forgets."""


def source(classes: tuple[str, ...]) -> bytes:
    """The text of the classes."""
    return b"".join((_SOURCES / f"{name}.java").read_bytes() for name in classes)


def jar(config: Config, classes: tuple[str, ...]) -> Path:
    """The JAR of these classes; made when it is not there for their source and this Spark, or is not the one that was made.
    Raises ``SetupError``."""
    import pyspark  # its import takes 0.2 s, and not every caller of this module's names needs it

    sources = [_SOURCES / f"{name}.java" for name in classes]
    key = hashlib.sha256(source(classes) + pyspark.__version__.encode()).hexdigest()[:16]
    place = Path(config.development.cache_dir) / "jars" / "own" / f"{classes[0]}-{key}.jar"
    if recorded_hash.is_intact(place):  # where nothing may be written, such as a pod, it is there from the start
        return place
    lock = FileLock(place.parent / "own.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise SetupError(
            f"The JAR folder {place.parent} cannot be written: {error}. Set [DEVELOPMENT] cache_dir."
        ) from None
    try:
        if not recorded_hash.is_intact(place):
            with tempfile.TemporaryDirectory(prefix=".own-", dir=place.parent) as scratch:
                compiled = _compile(config, sources, Path(scratch))
                made = Path(scratch) / place.name
                with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                    for file in compiled:
                        archive.write(file, file.relative_to(scratch))
                recorded_hash.keep(made, place)
    finally:
        lock.release()
    return place


def ensure(session: SparkSession, config: Config) -> None:
    """Make our classes known to the session. Whoever started its JVM may not have named our JAR: then it is sent after it."""
    from py4j.protocol import Py4JJavaError

    try:
        new(session, CORE[0])
    except Py4JJavaError:  # no such class
        session.sql(f"ADD JAR '{jar(config, CORE)}'")
        new(session, CORE[0])


def new(session: SparkSession, name: str) -> Any:
    """An object of one of the classes, in the session's JVM, which has the JAR."""
    own = spark_internals.java_session(session)
    return own.sharedState().jarClassLoader().loadClass(f"ventes.{name}").newInstance()


def _compile(config: Config, sources: list[Path], into: Path) -> list[Path]:
    """The class files, below ``into`` as their packages say."""
    import pyspark
    from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway
    from py4j.protocol import Py4JJavaError

    spark = Path(pyspark.__file__).parent / "jars"
    seen = [*spark.glob("*.jar"), *jars.resolve(config, "spark")]
    port = launch_gateway(
        classpath=os.pathsep.join(map(str, seen)),
        java_path=str(java.find(config).executable),
        jarpath=str(next(spark.glob("py4j-*.jar"))),
        die_on_exit=True,
    )
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    try:
        compiler = gateway.jvm.org.codehaus.janino.Compiler()
        compiler.setDestinationDirectory(gateway.jvm.java.io.File(str(into)), False)
        compiler.setClassPath(_files(gateway, seen))
        compiler.compile(_files(gateway, sources))
    except Py4JJavaError as error:
        raise SetupError(f"{sources[0].name} cannot be compiled: {error.java_exception.toString()[:500]}") from None
    finally:
        gateway.shutdown()
    return sorted(into.rglob("*.class"))


def _files(gateway: object, paths: list[Path]) -> object:
    made = gateway.new_array(gateway.jvm.java.io.File, len(paths))  # type: ignore[attr-defined]
    for number, path in enumerate(paths):
        made[number] = gateway.jvm.java.io.File(str(path))  # type: ignore[attr-defined]
    return made
