"""What a killed ``erase`` leaves of its request does not outlive the next one."""

from __future__ import annotations

from pathlib import Path

from lakehouse import config
from lakehouse.maintenance import erasure


def test_a_draft_of_a_request_goes_with_it_and_another_persons_stays(tmp_path: Path) -> None:
    here = config.load(env={"VENTES_DELTA__BASE_PATH": str(tmp_path)})
    request = erasure.ask(here, 4711)
    folder = erasure.folder(here)
    (made,) = folder.glob("erase-*.json")
    killed, other = folder / ".erase-a.js.1.part", folder / ".erase-b.js.2.part"
    killed.write_bytes(made.read_bytes()[:-5])
    other.write_bytes(made.read_bytes().replace(b"4711", b"47110"))
    erasure.end(here, request)
    assert list(folder.iterdir()) == [other]
