"""Files of npm packages that tests and evidence need: fetched once into the cache, compared with the package's hash::

npm view mermaid version dist.integrity
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lakehouse.config import PROJECT

CACHE = PROJECT / ".cache"


@dataclass(frozen=True)
class Package:
    """One version of a package; ``sha512`` of its archive, in base 64."""

    name: str
    version: str
    sha512: str

    def file(self, path: str) -> Path:
        """A file of the package; from the npm registry the first time. Raises ``OSError`` or ``subprocess.SubprocessError``."""
        place = CACHE / self.name
        kept = place / f"{self.name}-{self.version}{''.join(Path(path).suffixes)}"
        if kept.is_file():
            return kept
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place) as folder:
            subprocess.run(
                ["npm", "pack", "--silent", f"{self.name}@{self.version}"],
                cwd=folder, check=True, capture_output=True, text=True, timeout=240,
            )  # fmt: skip
            package = Path(folder, f"{self.name}-{self.version}.tgz")
            found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
            if found != self.sha512:
                raise OSError(
                    f"{self.name} {self.version} from the npm registry has the SHA-512 {found}, not {self.sha512}"
                )
            part = Path(folder, "part")
            with tarfile.open(package) as archive:
                content = archive.extractfile(f"package/{path}")
                assert content is not None
                part.write_bytes(content.read())
            part.replace(kept)
        return kept
