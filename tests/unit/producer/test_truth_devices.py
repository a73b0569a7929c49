"""``--truth`` may name a device or a FIFO: what has nothing to put on a disk is no failure."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakehouse.producer.delivery_tracker import TruthFile


def test_a_device_takes_the_lines() -> None:
    truth = TruthFile(Path("/dev/null"), "r1")
    truth.write("prevu", 1)
    truth.sync(at_most_every=0)
    truth.close()


def test_a_fifo_passes_them_on(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    truth = TruthFile(fifo, "r1")
    truth.write("prevu", 1)
    truth.sync(at_most_every=0)
    truth.close()
    assert b'"etat": "prevu"' in os.read(reader, 1000)
    os.close(reader)


def test_a_full_device_is_an_error_at_once() -> None:
    truth = TruthFile(Path("/dev/full"), "r1")
    with pytest.raises(OSError, match="No space left"):
        truth.write("prevu", 1)
    truth.close()
