"""What is said of a library's errors."""

from __future__ import annotations

from lakehouse.errors import one_line


def test_a_librarys_error_becomes_one_plain_line() -> None:
    said = OSError("no rights for\n  the path \x1b[31m↳\x1b[0m Error performing GET")
    assert one_line(said) == "no rights for the path ↳ Error performing GET"
    assert one_line(said, 9) == "no rights"
