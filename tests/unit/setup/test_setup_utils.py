"""The verbs of setup_utils.py: help, default, exit codes, what reaches the children."""

from __future__ import annotations

from pathlib import Path

import pytest

import setup_utils
from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.jvm import jars
from lakehouse.setup import checks, pipeline
from lakehouse.setup.checks import CheckResult


@pytest.mark.parametrize("verb", setup_utils.BODIES)
def test_every_verb_has_help_and_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert setup_utils.main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert "examples:\n" in shown and "--config" in shown
    assert all(example in shown for example in setup_utils.EXAMPLES[verb])


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("info", 0), ("missing", 1)])
@pytest.mark.parametrize("argv", [[], ["check"]])
def test_check_is_the_default_and_fails_only_for_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], argv: list[str], status: str, code: int
) -> None:
    result = CheckResult("Thing", status, "its state", "the fix")  # type: ignore[arg-type]
    monkeypatch.setattr(checks, "run", lambda _config: [result])
    assert setup_utils.main(argv) == code
    shown = capsys.readouterr().out
    assert {"ok": "ok ", "info": "-- ", "missing": "MISSING "}[status] in shown
    assert "Thing: its state\n        type: the fix\n" in shown


@pytest.mark.parametrize(("name", "next_step"), [("Pipeline", "python ops_utils.py status"), ("Java", "make run")])
def test_the_last_line_of_check_says_what_to_type_next(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, next_step: str
) -> None:
    monkeypatch.setattr(checks, "run", lambda _config: [CheckResult(name, "ok", "its state")])
    assert setup_utils.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f": {next_step}")


@pytest.mark.parametrize("where", ["before", "after"])
def test_config_may_stand_before_or_after_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    ini = tmp_path / "other.ini"
    ini.write_text("[KAFKA]\ntopic = essai\n", encoding="utf-8")
    seen: list[str] = []

    def run(config: Config) -> list[CheckResult]:
        seen.append(config.kafka.topic)
        return []

    monkeypatch.setattr(checks, "run", run)
    option = ["--config", str(ini)]
    assert setup_utils.main([*option, "check"] if where == "before" else ["check", *option]) == 0
    assert seen == ["essai"]


@pytest.mark.parametrize("argv", [["nonsense"], ["run", "--without", "nobody"], ["run", "--procfile", "/no/such"]])
def test_a_wrong_argument_is_code_2_and_starts_nothing(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert setup_utils.main(argv) == 2
    assert "setup_utils.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("servers", "without", "expected"),
    [
        ("localhost:9092", [], ["kafka", "bronze"]),
        ("localhost:9092", ["kafka"], ["bronze"]),
        ("kafka.example:9092", [], ["bronze"]),
    ],
)
def test_run_hands_every_setting_on_and_leaves_out_a_broker_that_is_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, servers: str, without: list[str], expected: list[str]
) -> None:
    procfile = tmp_path / "Procfile"
    procfile.write_text(
        "kafka: python setup_utils.py kafka\nbronze: python spark_streaming_delta.py\n", encoding="utf-8"
    )
    seen: dict[str, object] = {}

    class Recorder:
        def __init__(self, commands: dict[str, list[str]], **options: object) -> None:
            seen.update(options, commands=list(commands))

        def run(self, **_options: object) -> int:
            return 0

    resolved: list[str] = []
    monkeypatch.setattr(pipeline, "Supervisor", Recorder)
    monkeypatch.setattr(pipeline.java, "find", lambda _config: None)
    monkeypatch.setattr(pipeline.class_archive, "paths", lambda _config: ())
    monkeypatch.setattr(jars, "resolve", lambda _config, which: resolved.append(which))
    config = settings.load(
        env={"VENTES_KAFKA__BOOTSTRAP_SERVERS": servers, "VENTES_DEVELOPMENT__RESTART_CHILDREN": "no"}
    )
    assert pipeline.run(config, procfile=str(procfile), without=without) == 0
    assert seen["commands"] == expected
    assert seen["restart"] is False
    env = seen["env"]
    assert isinstance(env, dict) and settings.load(env=env) == config
    assert resolved == (["spark", "kafka"] if "kafka" in expected else ["spark"])
