"""Every error that the project raises on purpose.

::

    LakehouseError                 exit code 1
    ├── ConfigError                2  a setting or an argument is wrong; nothing was started
    ├── SetupError                 1  Java, a JAR, a package or a folder is missing
    ├── BrokerUnavailable          1  Kafka does not answer, or cannot answer yet
    ├── AccessRefused              2  a certificate, a password or a right is missing or wrong
    ├── SparkEnded                 1  the Java process of a Spark job is gone
    ├── UndeliveredMessages        1  the producer ends with messages that were never acknowledged
    ├── TableLocked                4  another process writes the same tables
    ├── TableMissing               1  a table that is needed does not exist yet
    ├── DataLoss                   3  Kafka no longer holds offsets that were not read yet
    ├── ClockWentBack              3  the batch's clock is not after the last committed batch's
    ├── CheckpointInvalid          3  a checkpoint cannot be used with this table or query
    ├── DefinitionChanged          3  a Silver table was built with another definition
    └── QueryRefused               2  the explorer does not run this statement

Each message says what failed, the bad value, what is allowed, and the next command to type.
"""

from __future__ import annotations

import errno
import re


def one_line(error: object, length: int = 300) -> str:
    """What an error of a library says, on one line and without a terminal's colours, which some of them put in."""
    return " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())[:length]


_JAVA_CAUSE = re.compile(r"(?:Caused by: |: )((?!\[CIRCULAR).+)")


def cause_of(failure: BaseException) -> str:
    """One line of what ended a query of Spark: its cause at the root, where Java's stack names one, else its first line."""
    lines = (getattr(failure, "desc", None) or str(failure) or type(failure).__name__).strip().splitlines()
    # py4j's own first line is "An error occurred while calling o540.write.", and Java's stack comes after it
    causes = [found[1] for line in lines[1:] if (found := _JAVA_CAUSE.match(line))]
    return (causes[-1] if causes else lines[0])[:300]


class LakehouseError(Exception):
    """Base of all; ``exit_code`` is what ``main`` returns for it."""

    exit_code = 1


class ConfigError(LakehouseError):
    exit_code = 2


class SetupError(LakehouseError):
    pass


class BrokerUnavailable(LakehouseError):
    pass


class AccessRefused(LakehouseError):
    exit_code = 2


class SparkEnded(LakehouseError):
    pass


class UndeliveredMessages(LakehouseError):
    pass


class TableLocked(LakehouseError):
    exit_code = 4


class TableMissing(LakehouseError):
    pass


class DataLoss(LakehouseError):
    exit_code = 3


class ClockWentBack(LakehouseError):
    exit_code = 3


class CheckpointInvalid(LakehouseError):
    exit_code = 3


class DefinitionChanged(LakehouseError):
    exit_code = 3


class QueryRefused(LakehouseError):
    exit_code = 2


def is_no_place(error: OSError) -> bool:
    """Whether a file or folder is another user's, on a disk that is read only, or not of the kind that was expected."""
    return bool(error.filename) and error.errno in (
        errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
    )  # fmt: skip


def is_full_disk(error: Exception) -> bool:
    """Whether a disk had no room left. The tables' library says it in words only."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "(os error 28)" in str(error)
