"""The manifests of ops/kubernetes, read: by kind and name, and the pods that they make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from lakehouse.config import PROJECT

FOLDER = PROJECT / "ops" / "kubernetes"
FILES = sorted(FOLDER.glob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


ALL = [one for path in FILES for one in documents(path)]


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in ALL if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every pod that a manifest makes, the executors' among them: (component, its template)."""
    for one in ALL:
        spec = one.get("spec", {})
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        if template:
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template
    yield "executor", yaml.safe_load(named("ConfigMap", "ventes-executor")["data"]["executor.yaml"])


PODS = dict(pods())
