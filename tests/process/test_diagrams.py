"""Every Mermaid diagram of the documents, drawn by the real Mermaid in a real headless Chromium.

It needs Chromium or Chrome on the PATH and, the first time, npm.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import mermaid, npm
from tests.support.browsers import not_to_be_had
from tests.support.mermaid import Diagram, diagrams, fault
from tests.unit.test_docs import generate

MINIMUM = 50
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """One browser's page for the file."""
    try:
        script = mermaid.fetch()
    except (OSError, subprocess.SubprocessError) as error:
        not_to_be_had(
            f"NO MERMAID: the diagrams were NOT tested. mermaid {mermaid.MERMAID.version} cannot be fetched: {error}. "
            f"npm is needed once: apt-get install npm"
        )
    with mermaid.page(script) as opened:
        yield opened


def test_every_diagram_is_drawn(page: Any) -> None:
    found = [one for path in mermaid.documents() for one in diagrams(path)]
    assert len(found) >= MINIMUM, "diagrams were lost"
    assert [said for one in found if (said := fault(page, one))] == []


def test_a_broken_diagram_is_named_with_its_place_and_the_fault(page: Any, tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "# Title\n\n```mermaid\nflowchart TD\n    a --> b\n```\n\n- in a list:\n\n  ```mermaid\n  flowchart TD\n    a --> --> b\n  ```\n"
        "\n```mermaid\ndrawing\n    a->>b: text\n```\n"
    )
    whole, broken, unknown = diagrams(document)
    assert fault(page, whole) is None
    said = fault(page, broken)
    assert said and said.startswith(f"{document}:11: ") and "Parse error on line 2" in said
    said = fault(page, unknown)
    assert said and said.startswith(f"{document}:16: ") and "No diagram type detected" in said
    assert fault(page, whole) is None, "a fault is that of its own diagram"


def test_a_text_that_is_no_diagram_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(
        "```bash\nmermaid\n```\n\nA block that begins with ```mermaid in a line.\n\n```mermaid\npie\n```\n"
    )
    assert list(diagrams(document)) == [Diagram(document, 8, "pie\n")]


def test_a_package_with_another_hash_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pack(_command: list[str], *, cwd: str, **_options: object) -> None:
        Path(cwd, f"mermaid-{mermaid.MERMAID.version}.tgz").write_bytes(b"another package")

    monkeypatch.setattr(npm, "CACHE", tmp_path)
    monkeypatch.setattr(subprocess, "run", pack)
    with pytest.raises(OSError, match="SHA-512"):
        mermaid.fetch()
    assert not list((tmp_path / "mermaid").iterdir())


def test_the_package_diagram_equals_the_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The generated part follows a new import: ``generate.py --check``, which a test of the documents runs, goes red."""
    module = generate()
    before = module.packages()
    assert before in module.ARCHITECTURE.read_text(encoding="utf-8"), "type: .venv/bin/python docs/generate.py"
    imported = module._imported
    monkeypatch.setattr(
        module,
        "_imported",
        lambda path: imported(path) | ({"explorer"} if path.name == "wait_for_bronze.py" else set()),
    )
    assert "    silver --> explorer\n" not in before
    assert "    silver --> explorer\n" in module.packages()
