"""docs/EXPLORER.md: every command runs, every question is listed as the registry has it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from lakehouse.config import PROJECT
from lakehouse.explorer import command as explorer_command
from lakehouse.explorer.queries import registry

DOC = PROJECT / "docs" / "EXPLORER.md"
COMMANDS = re.findall(r"^    python query_utils\.py(.*?)(?: +#.*)?$", DOC.read_text("utf-8"), re.MULTILINE)


def questions() -> str:
    """The table of questions; print it with ``python -m tests.unit.explorer.test_explorer_docs``."""
    options = {"dates": "`--du` `--au`", "pays": "`--pays`", "segment": "`--segment`", "client": "`--client`"}
    return "".join(
        f"| `{entry.name}` | {entry.title} | {' '.join(text for name, text in options.items() if name in entry.filters)} "
        f"| {entry.help} |\n"
        for entry in registry.ENTRIES
    )


def test_the_questions_are_the_registry() -> None:
    written = re.search(r"<!-- questions -->\n(.*)<!-- /questions -->", DOC.read_text("utf-8"), re.DOTALL)
    assert written is not None
    assert written[1] == questions()


def test_every_option_is_in_the_documents() -> None:
    text = DOC.read_text("utf-8")
    for action in explorer_command.make_parser()._actions:
        for option in action.option_strings:
            if option.startswith("--") and option not in ("--config",):
                assert f"{option}" in text, option


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs(
    command: str, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", base)
    monkeypatch.chdir(tmp_path)

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lakehouse.explorer.command.watch.__kwdefaults__", {"wait": stop})
    argv = shlex.split(command)
    code = explorer_command.main(argv)
    _, err = capsys.readouterr()
    if argv:
        assert code == 0, err
    else:
        assert (code, "The menu needs a terminal" in err) == (2, True)  # tests/e2e types into it


if __name__ == "__main__":
    print(questions(), end="")
