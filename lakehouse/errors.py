"""Every error that the project raises on purpose.

::

    LakehouseError                 exit code 1
    ├── ConfigError                2  a setting or an argument is wrong; nothing was started
    ├── SetupError                 1  Java, a JAR, a package or a folder is missing
    ├── BrokerUnavailable          1  Kafka does not answer, or cannot answer yet
    ├── AccessRefused              2  a certificate, a password or a right is missing or wrong
    ├── SparkEnded                 1  the Java process of a Spark job has ended
    ├── UndeliveredMessages        1  the producer ends with messages that were never acknowledged
    ├── TableLocked                4  another process writes the same tables
    ├── TableMissing               1  a table that is needed does not exist yet
    ├── DataLoss                   3  Kafka no longer holds offsets that were not read yet
    ├── ClockWentBack              3  the batch's clock is not after the last committed batch's
    ├── RowsDropped                3  Spark dropped sales as late, which the proof rules out
    ├── CheckpointInvalid          3  a checkpoint cannot be used with this table or query
    ├── DefinitionChanged          3  a Silver table was built with another definition
    └── QueryRefused               2  the explorer does not run this statement

Each message says what failed, the bad value, what is allowed, and the next command to type.
"""

from __future__ import annotations

import errno
import os
import re
import traceback


def one_line(error: object, length: int = 300) -> str:
    """The message of a library's error as one line, without terminal colour codes."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:length]


_JAVA_CAUSE = re.compile(r"(?:Caused by: |: )((?!\[CIRCULAR).+)")


_JAVA_CLASS = re.compile(r"((?:[a-z]\w*\.)+[A-Z][\w$]*)(?:: (.*))?")
_ABOUT_THE_MACHINE = re.compile(
    r"java\.(?:io|net|nio|security|util\.concurrent)\.|javax\.net\.|org\.apache\.(?:kafka|hadoop)\.|org\.rocksdb\."
    r"|software\.amazon\.|java\.lang\.(?:OutOfMemory|StackOverflow|UnsatisfiedLink|NoClassDefFound|NoSuchMethod)Error"
)
"""Java's exceptions whose texts are about files, connections and memory, never about the values of a row."""
_CONDITION = re.compile(r"\[[A-Z][A-Z0-9_.]+\]")
"""Spark's and Delta's names of what went wrong; the text that follows may show a row's values."""
_OS_ERROR = re.compile(r"\(os error (\d+)\)")


def quoting_cause_of(failure: BaseException) -> str:
    """The root cause of a failed Spark query in one line: Java's last ``Caused by``, else the first line of the message. It may
    quote a message of Kafka, thus a person: for a row that an erasure finds, never for a log or an error."""
    lines = (getattr(failure, "desc", None) or str(failure) or type(failure).__name__).strip().splitlines()
    # py4j's own first line is "An error occurred while calling o540.write.", and Java's stack comes after it
    causes = [found[1] for line in lines[1:] if (found := _JAVA_CAUSE.match(line))]
    return (causes[-1] if causes else lines[0])[:300]


def cause_of(failure: BaseException) -> str:
    """The root cause as it may be logged: with its text when that quotes no message, else the exception's name and condition."""
    text = quoting_cause_of(failure)
    if isinstance(failure, LakehouseError | OSError):
        return text
    java = _JAVA_CLASS.match(text)
    if java and _ABOUT_THE_MACHINE.match(java[1]):
        return text
    name, said = (java[1], java[2] or "") if java else (type(failure).__name__, text)
    if system := _OS_ERROR.search(said):
        return f"{name}: {os.strerror(int(system[1]))}"
    condition = _CONDITION.match(said)
    return f"{name}: {condition[0]}" if condition else name


def traceback_of(failure: BaseException) -> str:
    """Python's traceback as it may be logged: of each exception of the chain, where it was raised and its ``cause_of``."""
    text = f"Traceback (most recent call last):\n{''.join(traceback.format_tb(failure.__traceback__))}"
    name, cause = type(failure).__name__, cause_of(failure)
    text += cause if cause.startswith(name) else f"{name}: {cause}"
    earlier = failure.__cause__ or (None if failure.__suppress_context__ else failure.__context__)
    return text if earlier is None else f"{traceback_of(earlier)}\n\nThen:\n\n{text}"


class LakehouseError(Exception):
    """Base of all; ``exit_code`` is what ``main`` returns for it."""

    exit_code = 1


class ConfigError(LakehouseError):
    """A setting or an argument is wrong; nothing was started."""

    exit_code = 2


class SetupError(LakehouseError):
    """Java, a JAR, a package or a folder is missing."""


class BrokerUnavailable(LakehouseError):
    """Kafka does not answer, or cannot answer yet."""


class AccessRefused(LakehouseError):
    """A certificate, a password or a right is missing or wrong."""

    exit_code = 2


class SparkEnded(LakehouseError):
    """The Java process of a Spark job has ended."""


class UndeliveredMessages(LakehouseError):
    """The producer ended with messages that were never acknowledged."""


class TableLocked(LakehouseError):
    """Another process writes the same tables."""

    exit_code = 4


class TableMissing(LakehouseError):
    """A table that is needed does not exist yet."""


class DataLoss(LakehouseError):
    """Kafka no longer holds offsets that were not read yet."""

    exit_code = 3


class ClockWentBack(LakehouseError):
    """The batch's clock is not after the last committed batch's."""

    exit_code = 3


class RowsDropped(LakehouseError):
    """Spark dropped sales as late, which the proof rules out: they are missing from Bronze."""

    exit_code = 3


class CheckpointInvalid(LakehouseError):
    """A checkpoint cannot be used with this table or query."""

    exit_code = 3


class DefinitionChanged(LakehouseError):
    """A Silver table was built with another definition."""

    exit_code = 3


class QueryRefused(LakehouseError):
    """The explorer does not run this statement."""

    exit_code = 2


def is_no_place(error: OSError) -> bool:
    """Whether a path cannot be used: no permission, a read-only disk, or a file where a folder is expected."""
    return bool(error.filename) and error.errno in (
        errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
    )  # fmt: skip


def is_full_disk(error: Exception) -> bool:
    """Whether a disk or quota is full. deltalake reports it in its message only."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "(os error 28)" in str(error)
