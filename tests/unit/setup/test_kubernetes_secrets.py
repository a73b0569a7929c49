"""Which pod knows which secret, what an executor may mount, and what of the image and of compose's containers can be changed."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakehouse.config import PROJECT

FOLDER = PROJECT / "ops" / "kubernetes"
ALL = [
    one for path in sorted(FOLDER.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one
]
WANTED = {
    "bronze": {"ventes-kafka-bronze", "ventes-spark-bronze"},
    "silver": {"ventes-spark-silver"},
    "dashboard": {"ventes-web"},
    "executor": set(),
}
"""The secrets that a pod needs. An executor's Spark secret is mounted by Spark, as the driver's settings say."""


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in ALL if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in ALL:
        spec = one.get("spec", {})
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        if template:
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"]
    executor = yaml.safe_load(named("ConfigMap", "ventes-executor")["data"]["executor.yaml"])
    yield "executor", executor["spec"]


def secrets_of(node: Any) -> Iterator[str]:
    """Every secret that a pod's specification names, wherever."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("secretRef", "secretKeyRef"):
                yield value["name"]
            elif key == "secret" and isinstance(value, dict):
                yield value["secretName"]
            else:
                yield from secrets_of(value)
    elif isinstance(node, list):
        for one in node:
            yield from secrets_of(one)


PODS = dict(pods())


@pytest.mark.parametrize("component", PODS)
def test_each_pod_has_the_secrets_that_it_needs_and_no_other(component: str) -> None:
    assert set(secrets_of(PODS[component])) == WANTED[component]
    for name in WANTED[component]:
        assert named("Secret", name)["stringData"]


def test_no_secret_stands_among_the_settings_of_all_pods() -> None:
    held = named("ConfigMap", "ventes-settings")["data"]
    assert not [name for name in held if re.search("PASSWORD|SECRET|USERNAME", name)]


def conf_of(component: str) -> dict[str, str]:
    (container,) = PODS[component]["containers"]
    (text,) = [one["value"] for one in container["env"] if one["name"] == "VENTES_SPARK__CONF"]
    return dict(line.split("=", 1) for line in text.split("\n") if line)


@pytest.mark.parametrize("component", ["bronze", "silver"])
def test_spark_authenticates_by_the_jobs_own_secret_and_encrypts(component: str) -> None:
    conf = conf_of(component)
    assert conf["spark.authenticate"] == "true"
    assert conf["spark.network.crypto.enabled"] == conf["spark.io.encryption.enabled"] == "true"
    file = Path(conf["spark.authenticate.secret.file"])
    assert conf[f"spark.kubernetes.executor.secrets.ventes-spark-{component}"] == str(file.parent)
    (container,) = PODS[component]["containers"]
    (mount,) = [one for one in container["volumeMounts"] if one["mountPath"] == str(file.parent)]
    (volume,) = [one for one in PODS[component]["volumes"] if one["name"] == mount["name"]]
    assert volume["secret"]["secretName"] == f"ventes-spark-{component}" and mount["readOnly"]
    assert [item["path"] for item in volume["secret"]["items"]] == [file.name]
    assert file.name in named("Secret", f"ventes-spark-{component}")["stringData"]


def test_the_policy_is_about_every_account_that_may_create_pods() -> None:
    policy = named("ValidatingAdmissionPolicy", "ventes-executors")["spec"]
    (condition,) = policy["matchConditions"]
    creating = {
        subject["name"]
        for binding in ALL if binding["kind"] == "RoleBinding"
        for rule in named("Role", binding["roleRef"]["name"])["rules"]
        if {"pods", "*"} & set(rule["resources"]) and {"create", "*"} & set(rule["verbs"])
        for subject in binding["subjects"]
    }  # fmt: skip
    accounts = re.findall(r"'system:serviceaccount:ventes:([\w-]+)'", condition["expression"])
    assert set(accounts) == creating == {PODS[name]["serviceAccountName"] for name in ("bronze", "silver")}
    binding = named("ValidatingAdmissionPolicyBinding", "ventes-executors")["spec"]
    assert binding["policyName"] == "ventes-executors" and binding["validationActions"] == ["Deny"]
    assert policy["failurePolicy"] == "Fail"
    texts = " ".join(one["expression"] for one in policy["validations"])
    claim = named("PersistentVolumeClaim", "ventes-lake")["metadata"]["name"]
    assert f"claimName == '{claim}'" in texts and "volume.secret.secretName == variables.secret" in texts
    for rule in named("Role", "ventes-driver")["rules"]:
        assert not {"secrets", "*", "pods/exec", "pods/ephemeralcontainers"} & set(rule["resources"])


def test_nothing_in_the_image_can_be_written_by_who_runs_in_it() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    assert not re.search(r"chmod[^\n]*(g=u|[ago]*\+w|777|775|/etc/passwd)|chown", text)
    assert "chmod -R u=rwX,go=rX /opt/ventes /opt/entrypoint.sh" in text
    entry_point = (FOLDER / "entrypoint.sh").read_text(encoding="utf-8")
    assert not re.search(r">>?\s*/etc/", entry_point)


def test_a_user_without_a_name_gets_one_from_a_file_of_its_own(tmp_path: Path) -> None:
    for name, text in {
        "getent": "exit 2",
        "tini": 'printf "%s\\n" "$LD_PRELOAD" "$NSS_WRAPPER_GROUP"; cat "$NSS_WRAPPER_PASSWD"',
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [str(FOLDER / "entrypoint.sh"), "python"], env=env, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert done[:2] == ["libnss_wrapper.so", "/etc/group"]
    user = os.getuid()
    assert done[-1] == f"ventes-{user}:x:{user}:0::/tmp:/bin/false"
    assert done[2:-1] == Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
    assert "libnss-wrapper" in (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def test_every_image_has_a_full_version_or_a_digest() -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    (base,) = re.findall(r"^FROM (\S+)", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    for image in {base, *(one["image"] for one in services.values())}:
        assert re.search(r"@sha256:[0-9a-f]{64}$|:v?\d+\.\d+\.\d+(-[\w-]+)?$", image), image


def test_no_container_of_compose_can_gain_privileges() -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert len(services) == 8
    assert not [name for name, one in services.items() if one.get("security_opt") != ["no-new-privileges:true"]]
