"""Supply chain: the locks with hashes, the bill of materials, the audit for known vulnerabilities.

    python -m lakehouse.setup.supply_chain lock          requirements*.txt → requirements*.lock (uv asks the package index)
    python -m lakehouse.setup.supply_chain sbom [FILE]   CycloneDX 1.6 over Python packages and JARs, to FILE or stdout
    python -m lakehouse.setup.supply_chain audit         pip-audit over what is locked

Exit codes: 0 done, nothing known · 1 a pin is missing, or a package has a known weakness · 75 (as sysexits.h has it: try
again later) the advisory service cannot be reached, and nothing is known.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse import atomic_file
from lakehouse.config import PROJECT
from lakehouse.errors import LakehouseError
from lakehouse.jvm import jars
from lakehouse.observability import process

LOCKS = {"requirements-build.txt": "build", "requirements.txt": "required", "requirements-dev.txt": "development"}
"""Each file of pins, and what it is for. The last holds the second as well."""
UNREACHABLE = 75
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)", re.MULTILINE)
_HEADER = "# Written by make lock from {name}: every file that the index holds of each version, by its SHA-256. Do not edit.\n"
_UNKNOWN = (
    "{which}: the advisory service cannot be reached ({why}). Whether there is a known weakness is not known. Try again "
    "where pypi.org itself answers: make audit"
)


@dataclass(frozen=True)
class Pin:
    """A package at its version; the name as PEP 503 normalizes it."""

    name: str
    version: str

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def normal(name: str) -> str:
    """``Faker`` → ``faker``, ``typing_extensions`` → ``typing-extensions``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> list[Pin]:
    """The pins of a requirements file or a lock, sorted; ``-r`` is followed."""
    text = path.read_text(encoding="utf-8")
    found = {Pin(normal(name), version) for name, version in _PIN.findall(text)}
    for other in re.findall(r"^-r (\S+)", text, re.MULTILINE):
        found |= set(pins(path.parent / other))
    return sorted(found, key=lambda pin: pin.name)


def lock_of(name: str) -> Path:
    """``requirements.txt`` → its lock."""
    return PROJECT / name.replace(".txt", ".lock")


def lock() -> int:
    """Write the locks. Raises ``LakehouseError`` for a package that nobody pinned, and when the index does not answer."""
    for name in LOCKS:
        command = [
            str(Path(sys.executable).with_name("uv")), "pip", "compile", "--quiet", "--universal", "--generate-hashes",
            "--no-annotate", "--no-header", "--no-config", "--python-version", "3.11", name,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LakehouseError(f"{name} could not be locked: {done.stderr.strip()}")
        made = lock_of(name)
        atomic_file.write(made, _HEADER.format(name=name) + done.stdout)
        loose = set(pins(made)) - set(pins(PROJECT / name))
        if loose:
            raise LakehouseError(
                f"{name} does not pin {', '.join(f'{pin.name}=={pin.version}' for pin in sorted(loose, key=str))}, which "
                f"it brings along: add the line and its reason in docs/decisions/0002-dependencies.md, then: make lock"
            )
        print(f"{made.name}: {len(pins(made))} packages")
    return 0


def hashes(path: Path) -> dict[Pin, list[str]]:
    """The SHA-256 of every file that a lock accepts for each pin, one for each platform and Python version."""
    entries = re.split(r"^(?=[A-Za-z0-9])", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {
        Pin(normal(found[1]), found[2]): sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
        for entry in entries
        if (found := _PIN.match(entry))
    }


def licences(pin: Pin) -> list[dict[str, Any]]:
    """CycloneDX licences of a package as its own metadata states them.

    Empty when the pinned version is not installed here (a package for another system), or when it states none.
    """
    try:
        metadata = importlib.metadata.metadata(pin.name)
    except importlib.metadata.PackageNotFoundError:
        return []
    if metadata["Version"] != pin.version:
        return []
    if "License-Expression" in metadata:
        return [{"expression": metadata["License-Expression"]}]
    classifiers = [
        text.rpartition(" :: ")[2]
        for text in metadata.get_all("Classifier", [])
        if text.startswith("License :: OSI Approved :: ")
    ]
    stated = [text for text in metadata.get_all("License", []) if text not in ("", "UNKNOWN") and "\n" not in text]
    names = stated or classifiers
    from cyclonedx import spdx  # a development package: what runs does not need it

    return [
        {"license": {"id": known} if (known := spdx.fixup_id(name)) else {"name": name}}
        for name in dict.fromkeys(names)
    ]


def _package(pin: Pin, *, scope: str, sha256: list[str]) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library", "bom-ref": pin.purl, "name": pin.name, "version": pin.version, "purl": pin.purl,
        "scope": scope, "hashes": [{"alg": "SHA-256", "content": one} for one in sha256],
    }  # fmt: skip
    if found := licences(pin):
        component["licenses"] = found
    return component


def _jar(path_name: str, group: str, version: str, sha256: str, **more: Any) -> dict[str, Any]:
    purl = f"pkg:maven/{group}/{path_name}@{version}"
    return {
        "type": "library", "bom-ref": purl, "group": group, "name": path_name, "version": version, "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": sha256}], **more,
    }  # fmt: skip


def _inside_pyspark() -> Iterator[dict[str, Any]]:
    """The JARs that pyspark's own package carries. Most tell their coordinates; the others have their file name."""
    import pyspark

    for path in sorted((Path(pyspark.__file__).parent / "jars").glob("*.jar")):
        stem, _, version = path.stem.rpartition("-")
        properties = _coordinates(path)
        component = {
            "type": "library",
            "bom-ref": f"pyspark:{path.name}",
            "name": properties.get("artifactId", stem or path.stem),
            "version": properties.get("version", version),
            "hashes": [{"alg": "SHA-256", "content": jars.sha256(path)}],
        }
        if "groupId" in properties:
            group = component["group"] = properties["groupId"]
            component["purl"] = f"pkg:maven/{group}/{component['name']}@{component['version']}"
        yield component


def _coordinates(path: Path) -> dict[str, str]:
    """What Maven wrote into the JAR; nothing when it did not, or when several were merged into one."""
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if name.endswith("/pom.properties")]
        own = [name for name in found if path.name.startswith(f"{name.split('/')[-2]}-")]
        if len(own) != 1:
            return {}
        lines = archive.read(own[0]).decode("utf-8", "replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition("=") for line in lines) if value}


def sbom() -> dict[str, Any]:
    """The bill of materials: every locked package, every JAR of jars.lock, and those inside pyspark.

    The same project and installation give the same bytes: it has no time, and its serial number is made from its content.
    A Python package has the hash of every file that its lock accepts; an installation used one of them.
    """
    required = set(pins(PROJECT / "requirements.txt"))
    locked: dict[Pin, list[str]] = {}
    for name in LOCKS:
        locked |= hashes(lock_of(name))
    packages = [
        # excluded: not part of what runs, for tests, checks and building only
        _package(pin, scope="required" if pin in required else "excluded", sha256=locked[pin])
        for pin in sorted(locked, key=lambda pin: pin.name)
    ]
    sets: dict[str, dict[str, Any]] = {}
    for which, members in jars.read_lock().items():
        for jar in members:
            one = sets.setdefault(jar.coordinate, _jar(jar.artifact, jar.group, jar.version, jar.sha256))
            one.setdefault("properties", []).append({"name": "ventes:set", "value": which})
    for package in packages:
        if package["name"] == "pyspark":
            package["components"] = list(_inside_pyspark())
    components = [*packages, *(sets[name] for name in sorted(sets))]
    version = process.version()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    root = "pkg:pypi/ventes-lakehouse@" + version
    content = hashlib.sha256(json.dumps(components, sort_keys=True).encode()).digest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.UUID(bytes=content[:16], version=4)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root,
                "name": project["name"],
                "version": version,
                "licenses": [{"license": {"id": project["license"]}}],
            }
        },
        "components": components,
        "dependencies": [{"ref": root, "dependsOn": [component["bom-ref"] for component in components]}],
    }


def audit() -> int:
    """Ask for known weaknesses of every locked package, with pip-audit.

    A package that could not be looked up is not one without a weakness: pip-audit itself would end with 0 when
    an index answers and knows nothing of advisories, as many mirrors do.
    """
    command = [
        sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off",
        "--timeout", "20", "--format", "json",
    ]  # fmt: skip
    for name in LOCKS:
        command += ["-r", str(lock_of(name))]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    code, said = verdict(done.stdout, done.stderr)
    print(said, file=sys.stderr if code else sys.stdout)
    return code


def verdict(report: str, complaint: str) -> tuple[int, str]:
    """What pip-audit's JSON ``report`` comes to, as an exit code and what to print."""
    try:
        packages = json.loads(report)["dependencies"]
    except (ValueError, KeyError):
        last = (complaint.strip().splitlines() or ["it gave no reason"])[-1][:300]
        return UNREACHABLE, _UNKNOWN.format(which="Nothing was audited", why=last)
    weak = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version yet'}"
        for package in packages
        for found in package.get("vulns", ())
    ]
    if weak:
        return 1, "\n".join([*weak, "How to update: CONTRIBUTING.md"])
    silent = [package for package in packages if "skip_reason" in package]
    if silent:
        which = f"{len(silent)} of {len(packages)} packages were not audited"
        return UNREACHABLE, _UNKNOWN.format(which=which, why=silent[0]["skip_reason"])
    return 0, f"{len(packages)} packages: no known weakness"


def main(argv: Sequence[str]) -> int:
    """See the module's docstring."""
    try:
        match list(argv):
            case ["lock"]:
                return lock()
            case ["audit"]:
                return audit()
            case ["sbom", *rest] if len(rest) < 2:
                text = json.dumps(sbom(), indent=1, ensure_ascii=False) + "\n"
                if not rest:
                    print(text, end="")
                    return 0
                Path(rest[0]).parent.mkdir(parents=True, exist_ok=True)
                atomic_file.write(rest[0], text)
                print(f"{rest[0]}: CycloneDX 1.6")
                return 0
    except LakehouseError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
