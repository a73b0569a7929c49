"""java.py with shell scripts that answer as a Java would: no JVM is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from lakehouse import config as settings
from lakehouse.config import Config
from lakehouse.errors import SetupError
from lakehouse.jvm import java

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def answer(home: Path, version: str = "17", modules: str = "java.base@17.0.15\njdk.incubator.vector@17.0.15") -> str:
    return f"Property settings:\n    java.home = {home}\n    java.specification.version = {version}\n{modules}\n"


def fake_java(home: Path, output: str | None = None) -> Path:
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    executable.write_text(f"#!/bin/sh\ncat <<'END'\n{output or answer(home)}END\n", encoding="utf-8")
    executable.chmod(0o755)
    return home


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A machine without any Java: no JAVA_HOME, a PATH of /bin's cat alone, no usual folder."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat"):
        (tools / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "_usual_folders", lambda _config: iter(()))
    java._probe.cache_clear()
    return settings.load(env={"VENTES_DEVELOPMENT__CACHE_DIR": str(tmp_path / "cache")})


def with_java_home(config: Config, home: Path) -> Config:
    return settings.load(env={**settings.as_environment(config), "VENTES_DEVELOPMENT__JAVA_HOME": str(home)})


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (answer(Path("/opt/j")), java.Java(Path("/opt/j"), 17)),
        ("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\n" + answer(Path("/opt/j"), "25"), java.Java(Path("/opt/j"), 25)),
        (answer(Path("/a b/j")), java.Java(Path("/a b/j"), 17)),
        (answer(Path("/opt/j"), "11"), "Java 11 is older than 17"),
        (answer(Path("/opt/j"), "1.8", "Unrecognized option: --list-modules"), "Java 8 is older than 17"),
        (answer(Path("/opt/j"), "21", "java.base@21"), "a trimmed Java 21 without the module jdk.incubator.vector"),
        ("command not found", "it does not answer like a Java"),
    ],
)
def test_what_a_java_says_of_itself(output: str, expected: java.Java | str) -> None:
    assert java.parse(output) == expected


def test_java_home_comes_before_path(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = fake_java(tmp_path / "first"), fake_java(tmp_path / "second")
    monkeypatch.setenv("PATH", f"{second / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert java.find(config).home == second
    monkeypatch.setenv("JAVA_HOME", str(first))
    assert java.find(config).home == first


def test_a_stale_java_home_is_passed_over(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = fake_java(tmp_path / "good")
    monkeypatch.setenv("PATH", f"{good / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert java.find(config).home == good


def test_a_java_home_that_is_passed_over_is_named_with_the_reason(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert java.unusable_java_home(config) is None, "none is set"
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert java.unusable_java_home(config) == f"JAVA_HOME = {tmp_path / 'gone'} is not used: no such file."
    assert java.unusable_java_home(with_java_home(config, tmp_path)) is None, "[DEVELOPMENT] java_home goes before it"
    good = fake_java(tmp_path / "good")
    monkeypatch.setenv("JAVA_HOME", str(good))
    assert java.unusable_java_home(config) is None


def test_the_setting_wins_and_is_never_overridden(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, old = fake_java(tmp_path / "good"), fake_java(tmp_path / "old", answer(tmp_path / "old", "11"))
    monkeypatch.setenv("JAVA_HOME", str(good))
    with pytest.raises(
        SetupError, match=r"\[DEVELOPMENT\] java_home = .*old cannot be used: Java 11 is older than 17\."
    ):
        java.find(with_java_home(config, old))
    assert java.find(with_java_home(config, good)).home == good


def test_none_at_all_says_what_was_tried_and_what_to_type(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    with pytest.raises(SetupError) as caught:
        java.find(config)
    text = str(caught.value)
    for part in (
        "gone/bin/java: no such file",
        "python setup_utils.py java",
        "apt-get install",
        "brew install",
        "winget",
    ):
        assert part in text


def test_a_command_on_path_may_be_a_script_elsewhere(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = tmp_path / "versions" / "21"
    shim = fake_java(tmp_path / "shims", answer(real, "21"))
    monkeypatch.setenv("PATH", f"{shim / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert java.find(config) == java.Java(real, 21)


def test_children_get_this_java_first(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fake_java(tmp_path / "good")
    monkeypatch.setenv("JAVA_HOME", str(home))
    env = java.environment(config)
    assert env["JAVA_HOME"] == str(home)
    assert env["PATH"].split(os.pathsep)[0] == str(home / "bin")


def test_an_install_that_fails_says_why_and_what_to_type(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    import jdk

    def refuse(version: str, *, path: str) -> None:
        raise OSError(f"no network for {version} into {Path(path).name}")

    monkeypatch.setattr(jdk, "install", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match=r"(?s)no network for 17 into java.*Debian.*macOS.*Windows"):
        java.install(config)


def test_root_uses_the_package_manager(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[list[str]] = []

    def system(command: list[str]) -> bool:
        typed.append(command)
        if "openjdk-21-jdk-headless" in command:  # the older one is not in this distribution
            monkeypatch.setenv("JAVA_HOME", str(fake_java(tmp_path / "packaged")))
            return True
        return False

    monkeypatch.setattr(java, "_system", system)
    monkeypatch.setattr(java.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "apt-get" else None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert java.install(config).home == tmp_path / "packaged"
    assert [command[:2] for command in typed] == [["apt-get", "update"], ["apt-get", "install"], ["apt-get", "install"]]
