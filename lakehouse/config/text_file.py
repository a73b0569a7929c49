"""Text files that a person writes with an editor: settings, passwords, the Procfile."""

from __future__ import annotations

from pathlib import Path

from lakehouse.errors import ConfigError


def read(path: Path | str, what: str) -> str:
    """The text, without the byte order mark that some editors put in front. ``what`` names the file in the sentence of the
    ``ConfigError`` for another encoding than UTF-8. Raises ``OSError`` too."""
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        wrong = f"line {line} is no UTF-8" if not data.startswith((b"\xff\xfe", b"\xfe\xff")) else "it is UTF-16"
        raise ConfigError(f"{what} {path} cannot be read: {wrong}. Save it as UTF-8.") from None
    if "\0" in text:
        raise ConfigError(f"{what} {path} cannot be read: it holds a NUL character. Save it as UTF-8.")
    return text
