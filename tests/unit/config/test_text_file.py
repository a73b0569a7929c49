"""The encodings of files that a person writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakehouse import config
from lakehouse.config.secrets import read_secret
from lakehouse.errors import ConfigError
from lakehouse.setup.procfile import read_procfile

INI = "# réglages\n[KAFKA]\ntopic = ventes_é\n"
PLAIN = "[KAFKA]\r\ntopic = ventes_bom\r\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_settings_may_begin_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "config.ini"
    file.write_bytes(PLAIN.encode(encoding))
    assert config.load(file, env={}).kafka.topic == "ventes_bom"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("latin-1", "line 1 is no UTF-8"), ("cp1252", "line 1 is no UTF-8"), ("utf-16", "it is UTF-16"),
        ("utf-16-le", "no UTF-8|NUL character"), ("utf-32", "it is UTF-16|NUL character"),
    ],
)  # fmt: skip
def test_another_encoding_is_one_sentence(tmp_path: Path, encoding: str, said: str) -> None:
    file = tmp_path / "config.ini"
    file.write_bytes(INI.encode(encoding))
    with pytest.raises(
        ConfigError, match=rf"^The settings file .*config\.ini cannot be read: .*({said})\. Save it as UTF-8\.$"
    ):
        config.load(file, env={})


def test_a_nul_in_the_settings_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "config.ini"
    file.write_text("[DELTA]\nbase_path = a\0b\n")
    with pytest.raises(ConfigError, match="it holds a NUL character"):
        config.load(file, env={})


def test_passwords_and_the_procfile_too(tmp_path: Path) -> None:
    secret, procfile = tmp_path / "secret", tmp_path / "Procfile"
    secret.write_bytes("pâsse\n".encode("utf-8-sig"))
    secret.chmod(0o600)
    assert read_secret(secret, "[S3] secret_key_file") == "pâsse"
    secret.write_bytes("pâsse".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"\[S3\] secret_key_file names .*secret cannot be read: line 1 is no UTF-8"):
        read_secret(secret, "[S3] secret_key_file")
    procfile.write_bytes("job: python x.py\n".encode("utf-8-sig"))
    assert read_procfile(procfile) == {"job": ["python", "x.py"]}
    procfile.write_bytes("é: python x.py\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"The Procfile .* cannot be read: line 1 is no UTF-8"):
        read_procfile(procfile)
