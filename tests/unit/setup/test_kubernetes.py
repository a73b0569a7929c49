"""The manifests of ops/kubernetes against Kubernetes' own schemas and against each other; docker-compose's cluster profile."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from lakehouse import config
from lakehouse.config import PROJECT
from lakehouse.lake import spark_session
from tests.support.manifests import ALL, FILES, FOLDER, PODS, documents, named

VERSION = "1.34"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_schema_of_kubernetes_accepts_each_manifest(path: Path) -> None:
    assert documents(path)
    for one in documents(path):
        kubernetes_validate.validate(one, VERSION, strict=True)
        whole = ("Namespace", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")  # the cluster's
        assert one["kind"] in whole or one["metadata"]["namespace"] == "ventes"


def test_the_executors_pod_is_accepted_too() -> None:
    kubernetes_validate.validate({**PODS["executor"], "metadata": {"name": "x"}}, VERSION, strict=True)


def test_a_field_that_does_not_exist_is_refused() -> None:
    wrong = named("StatefulSet", "ventes-bronze")
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**wrong, "spec": {**wrong["spec"], "replica": 1}}, VERSION, strict=True)


def test_there_is_a_manifest_for_each_part() -> None:
    assert {one["kind"] for one in ALL} >= {
        "Namespace", "ConfigMap", "Secret", "ServiceAccount", "Role", "RoleBinding", "PersistentVolumeClaim", "StatefulSet",
        "CronJob", "Deployment", "Service", "NetworkPolicy", "PodDisruptionBudget",
    }  # fmt: skip
    assert set(PODS) == {"bronze", "silver", "dashboard", "executor"}


@pytest.mark.parametrize("component", PODS)
def test_no_pod_has_more_rights_than_it_needs(component: str) -> None:
    spec = PODS[component]["spec"]
    assert (
        spec["securityContext"]["runAsNonRoot"]
        and spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    )
    (container,) = spec["containers"]
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    account = component in ("bronze", "silver")
    assert spec.get("serviceAccountName") == (f"ventes-{component}" if account else None)
    assert spec.get("automountServiceAccountToken", True) is account


@pytest.mark.parametrize("component", [name for name in PODS if name != "executor"])
def test_every_command_setting_and_reference_exists(component: str) -> None:
    (container,) = PODS[component]["spec"]["containers"]
    assert container["args"][0] == "python" and (PROJECT / container["args"][1]).is_file()
    for source in container["envFrom"]:
        for kind, reference in source.items():
            assert named({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], reference["name"])
    volumes = {one["name"]: one for one in PODS[component]["spec"]["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == set(volumes)
    for one in volumes.values():
        if "persistentVolumeClaim" in one:
            assert named("PersistentVolumeClaim", one["persistentVolumeClaim"]["claimName"])
        if "configMap" in one:
            assert named("ConfigMap", one["configMap"]["name"])
        if "secret" in one:
            held = named("Secret", one["secret"]["secretName"])["stringData"]
            assert all(item["key"] in held for item in one["secret"]["items"])
    environment = {
        **named("ConfigMap", "ventes-settings")["data"],
        **named("Secret", "ventes-kafka-bronze")["stringData"],
    }
    environment |= {one["name"]: one["value"] for one in container["env"] if "value" in one}
    for one in container["env"]:
        if secret := one.get("valueFrom", {}).get("secretKeyRef"):
            environment[one["name"]] = named("Secret", secret["name"])["stringData"][secret["key"]]
    loaded = config.load(env={name: text for name, text in environment.items() if name.startswith(config.ENV_PREFIX)})
    assert loaded.spark.master.startswith("k8s://") and loaded.kafka.security_protocol == "SASL_SSL"
    if component == "dashboard":
        return
    conf = spark_session.extra_settings(loaded)
    assert conf["spark.kubernetes.container.image"] == container["image"]
    template, name = (
        conf["spark.kubernetes.executor.podTemplateFile"],
        PODS["executor"]["spec"]["containers"][0]["name"],
    )
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert str(Path(template).parent) in mounted
    assert Path(template).name in named("ConfigMap", "ventes-executor")["data"]
    assert conf["spark.kubernetes.executor.podTemplateContainerName"] == name
    ports = {str(port["containerPort"]) for port in container["ports"]}
    assert ports == {conf["spark.driver.port"], conf["spark.driver.blockManager.port"]}


def test_bronze_can_never_run_twice_and_silver_never_beside_itself() -> None:
    assert named("StatefulSet", "ventes-bronze")["spec"]["replicas"] == 1
    assert named("CronJob", "ventes-silver")["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_image_copies_what_there_is_and_its_entry_point_is_a_shell_script() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for word in line.split()[:-1]]
    assert "lakehouse" in copied and all(list(PROJECT.glob(word)) for word in copied)


def test_every_image_of_others_is_taken_by_its_digest() -> None:
    """A tag may be moved to other bytes. Our own image is built from this checkout."""
    texts = [
        (PROJECT / name).read_text(encoding="utf-8") for name in ("docker-compose.yml", "ops/kubernetes/Dockerfile")
    ]
    named = [name for text in texts for name in re.findall(r"^(?:\s*image:|FROM) (\S+)", text, re.MULTILINE)]
    others = [name for name in named if "ventes-lakehouse" not in name]
    assert len(others) == 4 and all(
        re.fullmatch(r"\S+:v?\d+\.\d+\.\d+\S*@sha256:[0-9a-f]{64}", name) for name in others
    )


def test_every_action_of_others_is_taken_by_its_commit() -> None:
    used = [
        name
        for path in (PROJECT / ".github/workflows").glob("*.y*ml")
        for name in re.findall(r"^\s*(?:- )?uses: (\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name) for name in used), used


def test_the_image_takes_each_package_by_its_hash() -> None:
    text = (FOLDER / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    installs = re.findall(r"pip install [^&\n]*", text)
    assert [one.split()[-1] for one in installs] == ["requirements-build.lock", "requirements.lock"]
    assert all("--require-hashes" in one for one in installs)


def test_the_image_is_built_from_what_it_copies_and_never_sees_the_data() -> None:
    wanted = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line[1:] for line in wanted if line.startswith("!")}
    copied = re.findall(r"^COPY (.*) \S+$", (FOLDER / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert "*" in wanted
    for word in " ".join(copied).split():
        assert any(fnmatch.fnmatch(word, pattern) for pattern in kept), word
    assert not any(fnmatch.fnmatch(private, pattern) for private in ("data", ".cache", ".venv") for pattern in kept)


def entry(tmp_path: Path, *words: str, **environment: str) -> list[str]:
    """What the image's entry point would run, with a ``tini`` that prints its arguments."""
    tini = tmp_path / "tini"
    tini.write_text('#!/bin/sh\nshift 2\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    tini.chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SPARK_HOME": "/spark", "JAVA_HOME": "/java", **environment}
    done = subprocess.run([str(FOLDER / "entrypoint.sh"), *words], env=env, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_image_starts_the_roles_that_spark_names(tmp_path: Path) -> None:
    assert entry(tmp_path, "python", "spark_streaming_delta.py", "--once") == [
        "python",
        "spark_streaming_delta.py",
        "--once",
    ]
    driver = entry(tmp_path, "driver", "--class", "X", "local:///a b.py", SPARK_DRIVER_BIND_ADDRESS="10.0.0.7")
    assert driver == [
        "/spark/bin/spark-submit", "--deploy-mode", "client", "--conf", "spark.driver.bindAddress=10.0.0.7",
        "--class", "X", "local:///a b.py",
    ]  # fmt: skip
    options = {f"SPARK_JAVA_OPT_{number}": f"-Dn{number}=a b" for number in range(11)}
    given = {name: name.lower() for name in (
        "SPARK_EXECUTOR_MEMORY", "SPARK_DRIVER_URL", "SPARK_EXECUTOR_ID", "SPARK_EXECUTOR_CORES", "SPARK_APPLICATION_ID",
        "SPARK_EXECUTOR_POD_IP", "SPARK_RESOURCE_PROFILE_ID", "SPARK_EXECUTOR_POD_NAME",
    )}  # fmt: skip
    started = entry(tmp_path, "executor", **options, **given)
    assert started[:14] == [
        "/java/bin/java",
        *options.values(),
        "-Xmsspark_executor_memory",
        "-Xmxspark_executor_memory",
    ]
    assert started[14:17] == [
        "-cp",
        ":/spark/jars/*",
        "org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend",
    ]
    assert dict(zip(started[17::2], started[18::2], strict=True))["--podName"] == "spark_executor_pod_name"


def test_the_cluster_profile_of_compose_is_the_pipeline_on_a_master_and_two_workers() -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    profile = {name: one for name, one in services.items() if one.get("profiles") == ["cluster"]}
    classes = [one["command"][1].rpartition(".")[2] for one in profile.values() if "spark-class" in one["command"][0]]
    assert sorted(classes) == ["Master", "Worker", "Worker"]
    scripts = [one["command"][1] for one in profile.values() if one["command"][0] == "python"]
    assert scripts == ["spark_streaming_delta.py", "streaming_silver.py"]
    for one in profile.values():
        assert set(one.get("depends_on", [])) <= set(services)
        assert (PROJECT / one["build"]["dockerfile"]).is_file() and one["volumes"] == ["./data:/data"]
        given = {name: text for name, text in one["environment"].items() if name.startswith(config.ENV_PREFIX)}
        loaded = config.load(env=given)
        assert loaded.spark.master == "spark://127.0.0.1:7077" and loaded.delta.base_path == "/data"
        # both jobs fit beside each other on the two workers
        cores = int(spark_session.extra_settings(loaded)["spark.cores.max"])
        workers = [one["command"] for one in profile.values() if "Worker" in one["command"][1]]
        assert 2 * cores <= sum(int(words[words.index("--cores") + 1]) for words in workers)


def test_the_cluster_profile_runs_as_the_owner_of_a_folder_that_is_there_before() -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    mounting = [one for one in services.values() if "./data:/data" in one.get("volumes", ())]
    assert mounting and {one["user"] for one in mounting} == {"${UID:-1000}:0"}
    page = (PROJECT / "docs" / "CLUSTER.md").read_text(encoding="utf-8")
    before, _, _ = page.partition("docker compose --profile cluster up")
    assert "mkdir -p data && export UID" in before
