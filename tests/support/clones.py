"""The project as it is cloned, without what set-up makes."""

from __future__ import annotations

import shutil
from pathlib import Path

from lakehouse.config import PROJECT


def clone(folder: Path) -> Path:
    """Copy scripts, package, locks and Makefile into a new folder; no .venv, no .cache."""
    shutil.copytree(PROJECT / "lakehouse", folder / "lakehouse", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*PROJECT.glob("*.py"), *PROJECT.glob("*.lock"), *PROJECT.glob("*.txt")):
        shutil.copy(path, folder)
    for name in ("Makefile", "check_setup.sh", "config.ini", "Procfile", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    return folder
