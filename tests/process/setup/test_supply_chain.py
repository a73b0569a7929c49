"""What the project is made of: locks that are the pins, a bill of materials that is complete and well-formed, an audit
that never takes silence for health."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator
from packageurl import PackageURL

from lakehouse.config import PROJECT
from lakehouse.jvm import jars
from lakehouse.setup import install, supply_chain


@pytest.mark.parametrize("name", supply_chain.LOCKS)
def test_a_lock_holds_the_pins_and_nothing_else_each_with_hashes(name: str) -> None:
    locked = supply_chain.lock_of(name)
    assert supply_chain.pins(locked) == supply_chain.pins(PROJECT / name), "type: make lock"
    entries = re.split(r"^(?=[a-z0-9])", locked.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert len(entries) == len(supply_chain.pins(locked))
    assert all(re.fullmatch(r"\S+==\S+( ;[^\n]*)? (\\\n +--hash=sha256:[0-9a-f]{64} ?)+\n", entry) for entry in entries)


def test_no_lock_names_an_index_or_a_place_of_one_machine() -> None:
    for name in supply_chain.LOCKS:
        text = supply_chain.lock_of(name).read_text(encoding="utf-8")
        assert "://" not in text and " -i " not in text and "/" not in re.sub(r"^#.*", "", text, flags=re.MULTILINE)


def test_setup_installs_by_the_locks_alone() -> None:
    made = [line for line in (PROJECT / "Makefile").read_text(encoding="utf-8").splitlines() if "pip install" in line]
    assert all("--require-hashes" in line for line in made), (
        "the reader of the fault campaign has an environment of its own"
    )
    assert all(name.endswith(".lock") for name in (install.BUILD, install.RUNTIME, install.DEVELOPMENT))
    for uv in (None, "uv"):
        command = install.installer(uv, Path("python"), Path(install.RUNTIME))
        assert "--require-hashes" in command
        assert "--no-build-isolation" in command, "or an unpinned setuptools would be fetched to build pyspark"


@pytest.fixture(scope="module")
def bom() -> dict[str, Any]:
    return supply_chain.sbom()


def test_the_bill_of_materials_is_cyclonedx(bom: dict[str, Any]) -> None:
    judge = make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6)
    assert judge.validate_str(json.dumps(bom)) is None
    broken = json.dumps(bom | {"components": [{"name": "no type"}]})
    assert judge.validate_str(broken) is not None, "the judge sees what is wrong"


def test_the_bill_of_materials_names_every_package_and_jar_once(bom: dict[str, Any]) -> None:
    refs = [component["bom-ref"] for component in bom["components"]]
    assert len(refs) == len(set(refs)) and bom["dependencies"][0]["dependsOn"] == refs
    packages = {pin.purl for name in supply_chain.LOCKS for pin in supply_chain.pins(supply_chain.lock_of(name))}
    locked = [jar for members in jars.read_lock().values() for jar in members]
    jar_hashes = {c["hashes"][0]["content"] for c in bom["components"] if c["bom-ref"].startswith("pkg:maven/")}
    assert set(refs) >= packages and jar_hashes == {jar.sha256 for jar in locked}
    assert len(refs) == len(packages) + len({jar.coordinate for jar in locked})
    assert all(PackageURL.from_string(ref) for ref in refs)


def test_a_package_in_the_bill_has_the_hashes_of_its_lock(bom: dict[str, Any]) -> None:
    for name in supply_chain.LOCKS:
        text = supply_chain.lock_of(name).read_text(encoding="utf-8")
        accepted = {pin.purl: set(found) for pin, found in supply_chain.hashes(supply_chain.lock_of(name)).items()}
        assert sum(map(len, accepted.values())) == text.count("--hash=sha256:") > 0
        listed = {c["bom-ref"]: {one["content"] for one in c["hashes"]} for c in bom["components"]}
        assert accepted.items() <= listed.items()


def test_the_bill_names_the_licence_of_the_project_and_of_every_installed_package(bom: dict[str, Any]) -> None:
    assert bom["metadata"]["component"]["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert "Apache License" in (PROJECT / "LICENSE").read_text(encoding="utf-8")
    packages = {c["name"]: c.get("licenses") for c in bom["components"] if c["bom-ref"].startswith("pkg:pypi/")}
    assert packages["starlette"] == [{"expression": "BSD-3-Clause"}], "License-Expression"
    assert packages["pyspark"] == [{"license": {"id": "Apache-2.0"}}], "License, an SPDX identifier"
    assert packages["honcho"] == [{"license": {"name": "MIT License"}}], "a classifier"
    elsewhere = {name for name, found in packages.items() if not found}
    assert elsewhere <= {"colorama", "tzdata"}, "for Windows only"


def test_the_licence_of_another_version_is_not_that_of_the_pin() -> None:
    (pin,) = [pin for pin in supply_chain.pins(supply_chain.lock_of("requirements.txt")) if pin.name == "rich"]
    assert supply_chain.licences(pin) == [{"license": {"id": "MIT"}}]
    assert supply_chain.licences(supply_chain.Pin("rich", "0.1")) == []


def test_the_bill_of_materials_looks_into_pyspark_and_is_the_same_each_time(bom: dict[str, Any]) -> None:
    (pyspark,) = [component for component in bom["components"] if component["name"] == "pyspark"]
    inside = {component["name"]: component for component in pyspark["components"]}
    assert len(inside) > 200 and inside["HikariCP"]["purl"].startswith("pkg:maven/com.zaxxer/HikariCP@")
    assert supply_chain.sbom()["serialNumber"] == bom["serialNumber"]


SOUND = {"name": "rich", "version": "15.0.0", "vulns": []}
WEAK = {"name": "h11", "version": "0.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["0.2"]}]}
SILENT = {"name": "idna", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([SOUND], 0, "1 packages: no known weakness"),
        ([SOUND, WEAK, SILENT], 1, "h11 0.1: PYSEC-1, fixed in 0.2"),
        ([SOUND, SILENT], 75, "1 of 2 packages were not audited: the advisory service cannot be reached"),
    ],
)
def test_the_audit_tells_sound_weak_and_unknown_apart(packages: list[Any], code: int, said: str) -> None:
    found = supply_chain.verdict(json.dumps({"dependencies": packages}), "")
    assert found[0] == code and said in found[1]


def test_an_audit_that_reached_nobody_is_no_pass() -> None:
    code, said = supply_chain.verdict("", "…\nrequests.exceptions.ConnectionError: Max retries exceeded\n")
    assert code == 75 and "Nothing was audited: the advisory service cannot be reached (requests" in said
