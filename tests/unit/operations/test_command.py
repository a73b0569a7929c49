"""The frame of ``ops_utils.py`` and the audit log: what every verb gets, and what tampering cannot hide."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lakehouse import config
from lakehouse.config import PROJECT, paths
from lakehouse.contract import tables
from lakehouse.errors import ConfigError
from lakehouse.lake import writer_lock
from lakehouse.observability import audit_log, provenance
from lakehouse.operations import command
from lakehouse.operations.commands import runner
from lakehouse.operations.commands.runner import Outcome
from tests.support import job_lake

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path))

    def call(*words: str) -> tuple[int, str, str]:
        code = command.main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def all_verbs() -> dict[str, Any]:
    found = {}

    def walk(parser: Any, name: str) -> None:
        for action in parser._actions:
            if isinstance(getattr(action, "choices", None), dict):
                for word, one in action.choices.items():
                    walk(one, f"{name} {word}".strip())
                return
        found[name] = parser

    walk(command.make_parser(), "")
    return found


@pytest.mark.parametrize("name", list(all_verbs()))
def test_every_verb_has_help_an_example_that_parses_and_the_shared_options(name: str) -> None:
    parser = all_verbs()[name]
    options = {text for action in parser._actions for text in action.option_strings}
    made = parser.get_default("verb")
    assert made.name == name and len(parser.description) > 20
    assert {"--json", "--config", "--help"} <= options
    assert ("--dry-run" in options) is made.writes and ("--yes" in options) is made.dangerous
    examples = [line.strip() for line in parser.epilog.splitlines() if "ops_utils.py" in line]
    assert examples
    for example in examples:
        words = example.split("ops_utils.py ", 1)[1].split()
        assert command.make_parser().parse_args(words).verb.name == name


@pytest.mark.parametrize("name", ["rejects", "backup", "audit"])
def test_a_group_of_verbs_has_examples_that_parse(run: Run, name: str) -> None:
    code, shown, _ = run(name, "--help")
    examples = [line.strip() for line in shown.splitlines() if line.strip().startswith("python ops_utils.py")]
    assert code == 0 and len(examples) >= 2
    for example in examples:
        words = example.split("ops_utils.py ", 1)[1].split()
        assert command.make_parser().parse_args(words).verb.name.split()[0] == name == words[0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["nosuch"], "invalid choice: 'nosuch'"),
        (["audit"], "the following arguments are required: VERB. What is allowed: python ops_utils.py audit --help"),
        (["rebuild", "gold"], "invalid choice: 'gold'"),
        (
            ["erase", "--client-id", "0"],
            "'0' is not accepted: expected a whole number of 1 to 9223372036854775807. What is allowed",
        ),
    ],
)
def test_a_wrong_argument_is_one_sentence_with_the_next_command(run: Run, argv: list[str], says: str) -> None:
    code, shown, said = run(*argv)
    assert code == 2 and shown == "" and says in said
    assert said.count("\n") == 1 and said.endswith(" --help\n")


@pytest.mark.parametrize(
    ("words", "bars"),
    [
        (["restore-table", "ventes_stream", "--version", "0", "--yes"], ["comparing", "restoring"]),
        (["erase", "--client-id", "1", "--yes"], ["finding", "erasing", "waiting"]),
        (["rejects", "replay", "--all"], ["validating", "appending"]),
        (["rebuild", "silver", "--yes", "--anyway"], ["what can be read again"]),
        (["maintain", "bronze"], ["surveying", "ventes_stream"]),
        (["backup", "create"], ["files to keep"]),
        (["reconcile", "--without-kafka"], ["offsets in the tables", "Silver tables"]),
    ],
)
def test_long_work_shows_a_bar(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], bars: list[str]
) -> None:
    job_lake.build(str(tmp_path))
    Path(tables.checkpoint(str(tmp_path), "bronze"), "metadata").write_text('{"id":"q1"}')
    monkeypatch.setenv("VENTES_DELTA__BACKUP_PATH", f"{tmp_path}-store")
    monkeypatch.setenv("VENTES_KAFKA__BOOTSTRAP_SERVERS", "localhost:1")
    seen: list[str] = []
    shown = runner.Work.progress

    def noted(work: Any, what: str, total: int | None = None) -> Any:
        seen.append(what)
        return shown(work, what, total)

    monkeypatch.setattr(runner.Work, "progress", noted)
    run(*words)
    assert all(any(bar in what for what in seen) for bar in bars), seen


def log_of(base: Path) -> audit_log.AuditLog:
    return audit_log.AuditLog(base / "audit")


def fake(monkeypatch: pytest.MonkeyPatch, body: Any, **kinds: Any) -> None:
    """A verb ``probe`` of this test."""

    class Module:
        @staticmethod
        def add(subparsers: Any) -> None:
            body.__doc__ = "A verb that only the tests have."
            one = runner.verb(subparsers, "probe", body, examples=("python ops_utils.py probe",), **kinds)
            one.add_argument("--client-id")
            one.add_argument("--color")

    monkeypatch.setattr(command, "VERBS", {"probe": ("probe", "a verb of the tests")})
    monkeypatch.setattr(command, "import_module", lambda _: Module)


def test_a_writing_verb_is_noted_before_and_after_and_private_arguments_are_not_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def body(_args: Any, _config: Any, work: Any) -> Outcome:
        seen.append((work.dry_run, [entry["state"] for entry in log_of(tmp_path).entries()]))
        return Outcome({"rows": 3}, ("three rows",), 1, {"rows": 3})

    fake(monkeypatch, body, writes=True, private=("client_id",))
    assert run("probe", "--client-id", "4711", "--color", "red") == (1, "three rows\n", "")
    assert seen == [(False, ["begin"])]
    begin, end = log_of(tmp_path).entries()
    assert (begin["state"], end["state"], end["exit_code"], end["summary"]) == ("begin", "end", 1, {"rows": 3})
    assert (
        begin["arguments"] == {"client_id": "***", "color": "red"} and "4711" not in log_of(tmp_path).path.read_text()
    )
    assert (
        begin["run"] == provenance.RUN_ID
        and begin["code"] == provenance.code_version()
        and begin["who"] == provenance.who()
    )

    code, out, _ = run("probe", "--dry-run", "--json")
    assert (code, json.loads(out), seen[-1][0]) == (1, {"rows": 3}, True)
    assert [entry["state"] for entry in log_of(tmp_path).entries()] == ["begin", "end", "end"]


def test_a_failing_verb_is_noted_and_keeps_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def body(_args: Any, _config: Any, work: Any) -> Outcome:
        work.confirm("Everything goes.", "everything")
        raise AssertionError

    fake(monkeypatch, body, writes=True, dangerous=True)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115, PTH123
    code, out, err = run("probe")
    assert (code, out) == (2, "") and "Everything goes. Nothing was changed." in err and "--yes" in err
    assert [entry.get("failed") for entry in log_of(tmp_path).entries()] == [None, ConfigError.__name__]


@pytest.mark.parametrize(("typed", "code"), [("everything\n", 0), ("yes\n", 2), ("", 2)])
def test_a_dangerous_verb_asks_a_person_for_a_word(
    run: Run, monkeypatch: pytest.MonkeyPatch, typed: str, code: int
) -> None:
    def body(_args: Any, _config: Any, work: Any) -> Outcome:
        work.confirm("Everything goes.", "everything")
        return Outcome({}, ("gone",))

    class Person(io.StringIO):
        def isatty(self) -> bool:
            return True

    fake(monkeypatch, body, writes=True, dangerous=True)
    monkeypatch.setattr("sys.stdin", Person(typed))
    ended, out, err = run("probe")
    assert (ended, "gone" in out) == (code, code == 0) and "Type everything to go on:" in err
    monkeypatch.setattr("sys.stdin", Person(""))
    assert run("probe", "--yes")[:2] == (0, "gone\n")


def test_a_writing_verb_does_nothing_when_its_entry_cannot_be_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def body(_args: Any, _config: Any, _work: Any) -> Outcome:
        called.append(1)
        return Outcome({})

    called: list[int] = []
    (tmp_path / "audit").write_text("a file where the folder should be")
    fake(monkeypatch, body, writes=True)
    code, _, err = run("probe")
    assert (code, called) == (1, []) and "cannot be written" in err and "Nothing was changed" in err
    fake(monkeypatch, body, recorded=True)
    code, _, err = run("probe")
    assert (code, called) == (0, [1]) and "cannot be written" in err


def test_what_only_looks_leaves_no_audit_entry(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, lambda *_: Outcome({}))
    assert run("probe")[0] == 0 and list(log_of(tmp_path).entries()) == []


def test_which_verbs_only_look() -> None:
    looks = {name for name, parser in all_verbs().items() if not parser.get_default("verb").recorded}
    assert looks >= {"status", "history", "rejects list", "rejects show", "backup list", "audit list"}
    assert all(not parser.get_default("verb").writes for name, parser in all_verbs().items() if name in looks)


def test_the_help_lists_every_verb_and_imports_none_of_what_they_need() -> None:
    code = "import sys; from lakehouse.operations import command; command.main(sys.argv[1:]); print(*sys.modules)"

    def imported(*words: str) -> tuple[str, set[str]]:
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=PROJECT, check=True
        )
        shown, _, modules = done.stdout.rstrip("\n").rpartition("\n")
        return shown, set(modules.split())

    shown, modules = imported("--help")
    assert all(f"    {verb} " in f"{shown} ".replace("\n", " \n") for verb in command.VERBS)
    ours = {name for name in modules if name.startswith("lakehouse.operations.")}
    others = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names - {"lakehouse", "__main__"}
    assert ours == {"lakehouse.operations.command"} and {name for name in others if not name.startswith("_")} == set()
    assert len(modules) < 300
    shown, modules = imported("status", "--help")
    ours = {name for name in modules if name.startswith("lakehouse.operations.commands.")}
    assert "--exit-code" in shown and ours == {
        "lakehouse.operations.commands.runner",
        "lakehouse.operations.commands.status",
    }


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        ("status --json", "status"), ("--config a.ini status", "status"), ("--config=a.ini audit list", "audit"),
        ("--config status", ""), ("--help", ""), ("", ""),
    ],
)  # fmt: skip
def test_the_verb_that_is_typed(words: str, verb: str) -> None:
    assert command.typed_verb(words.split()) == verb


def test_each_verb_is_listed_under_the_name_that_its_module_gives_it() -> None:
    assert {name.split()[0] for name in all_verbs()} == set(command.VERBS)


def test_no_lake_no_audit(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake(monkeypatch, lambda *_: Outcome({}), writes=True)
    monkeypatch.setenv("VENTES_DELTA__BASE_PATH", str(tmp_path / "absent"))
    assert run("probe")[0] == 0
    assert not (tmp_path / "absent").exists()


# --- tampering -------------------------------------------------------------------------------------------------------


@pytest.fixture
def filled(tmp_path: Path) -> audit_log.AuditLog:
    log = log_of(tmp_path)
    for number in range(5):
        log.append(verb="probe", state="end", exit_code=0, arguments={"number": number})
    return log


def test_a_whole_log_is_whole(filled: audit_log.AuditLog) -> None:
    found = filled.verify()
    assert (found.entries, found.fault) == (5, None)
    assert filled.verify(found.head).fault is None
    assert log_of(filled.place / "empty").verify() == audit_log.LogCheck(0, audit_log.FIRST)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_changed_line_is_named(filled: audit_log.AuditLog, number: int) -> None:
    lines = filled.path.read_text().splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace('"exit_code": 0', '"exit_code": 1')
    filled.path.write_text("".join(lines))
    assert (filled.verify().fault or "").startswith(f"line {number} was changed")


@pytest.mark.parametrize(
    ("number", "fault"),
    [(1, "line 1 was removed"), (3, "line 3 was removed"), (5, "line 5 to line 5 were removed from the end")],
)
def test_a_removed_line_is_named_and_stays_found_when_the_log_grows(
    filled: audit_log.AuditLog, number: int, fault: str
) -> None:
    lines = filled.path.read_text().splitlines(keepends=True)
    del lines[number - 1]
    filled.path.write_text("".join(lines))
    assert (filled.verify().fault or "").startswith(fault)
    filled.append(verb="probe")
    assert f"line {number} was removed" in (filled.verify().fault or "")


def test_a_rewritten_log_is_found_by_a_hash_that_was_noted_elsewhere(
    filled: audit_log.AuditLog, tmp_path: Path
) -> None:
    noted = filled.verify().head
    filled.path.unlink()
    (filled.place / "head.json").unlink()
    log_of(tmp_path).append(verb="innocent")
    assert filled.verify().fault is None  # what the chain alone cannot see
    assert "the log was rewritten" in (filled.verify(noted).fault or "")


def test_a_missing_head_is_said_and_a_torn_last_line_is_cut_off(filled: audit_log.AuditLog) -> None:
    with filled.path.open("ab") as log:
        log.write(b'{"n": 6, "verb')
    assert filled.verify().fault is None
    assert "15 bytes" not in filled.append(verb="next").get("repaired", "")
    assert (filled.verify().entries, filled.verify().fault) == (6, None)
    (filled.place / "head.json").unlink()
    assert "head.json is missing" in (filled.verify().fault or "")


def test_a_crash_before_the_head_was_noted_is_no_tampering(filled: audit_log.AuditLog) -> None:
    head = (filled.place / "head.json").read_bytes()
    filled.append(verb="probe")
    (filled.place / "head.json").write_bytes(head)
    assert filled.verify().fault is None


def test_processes_that_append_at_once_make_one_chain(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lakehouse.observability.audit_log import AuditLog\n"
        "for n in range(20): AuditLog(Path(sys.argv[1])).append(verb='probe', n_of_mine=n)"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "audit")], cwd=PROJECT) for _ in range(3)]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    found = log_of(tmp_path).verify()
    assert (found.entries, found.fault) == (60, None)


def test_a_log_that_is_not_there_is_not_called_whole(run: Run, tmp_path: Path) -> None:
    code, shown, _ = run("audit", "verify")
    assert code == 0 and f"There is no audit log at {tmp_path}/audit/log.jsonl" in shown and "whole" not in shown
    assert "is whole: 1 entry" in run("audit", "verify")[1]


def test_audit_verify_names_the_line_and_exits_1(run: Run, tmp_path: Path) -> None:
    log_of(tmp_path).append(verb="probe", state="end", exit_code=0)
    code, out, _ = run("audit", "verify")
    assert code == 0 and "1 entry" in out
    head = json.loads(run("audit", "verify", "--json")[1])["head"]
    assert run("audit", "verify", "--head", head)[0] == 0
    path = log_of(tmp_path).path
    path.write_text(path.read_text().replace('"exit_code": 0', '"exit_code": 4', 1))
    code, out, _ = run("audit", "verify")
    assert code == 1 and "line 1 was changed after it was written" in out
    assert "audit verify" in run("audit", "list")[1]


# --- which code ------------------------------------------------------------------------------------------------------


def test_the_code_version_is_the_commit_of_clean_code_and_a_hash_of_changed_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        made = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
        return subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()

    def version() -> str:
        provenance.code_version.cache_clear()
        return provenance.code_version()

    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    (tmp_path / "script.py").write_text("x = 1\n")
    without_git = version()
    assert without_git.startswith("source-") and version() == without_git
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert version() == f"git-{git('rev-parse', 'HEAD')[:12]}"
    (tmp_path / "script.py").write_text("x = 2\n")
    assert version().startswith("source-") and version() != without_git
    (tmp_path / "inner").mkdir()
    monkeypatch.setattr(provenance, "PROJECT", tmp_path / "inner")  # a copy inside somebody else's repository
    assert version().startswith("source-")
    provenance.code_version.cache_clear()


def test_a_lake_in_an_object_store_has_its_audit_and_its_locks_beside_the_cache(tmp_path: Path) -> None:
    env = {
        "VENTES_DELTA__BASE_PATH": "s3a://lake/ventes",
        "VENTES_S3__REGION": "us-east-1",
        "VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path),
    }
    there = config.load(env=env)
    assert audit_log.folder(there).parent == writer_lock.lock_folder(there).parent == paths.state(there)
    assert paths.state(there).parent == tmp_path / "state"
    assert audit_log.folder(config.load(env={**env, "VENTES_DELTA__BASE_PATH": "s3a://other"})) != audit_log.folder(
        there
    )
