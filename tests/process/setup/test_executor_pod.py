"""The executor's pod as Spark itself makes it of the driver's settings and the template: no API server is asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pyspark
import pytest
import yaml
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from lakehouse import config as settings
from lakehouse.config import PROJECT
from lakehouse.jvm import java

FOLDER = PROJECT / "ops" / "kubernetes"


def documents(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all((FOLDER / name).read_text(encoding="utf-8")) if one]


def conf_of(component: str) -> dict[str, str]:
    (workload,) = [one for one in documents(f"{component}.yaml") if one["kind"] in ("StatefulSet", "CronJob")]
    spec = workload["spec"]
    pod = (spec.get("template") or spec["jobTemplate"]["spec"]["template"])["spec"]
    (text,) = [one["value"] for one in pod["containers"][0]["env"] if one["name"] == "VENTES_SPARK__CONF"]
    return dict(line.split("=", 1) for line in text.split("\n") if line)


@pytest.fixture(scope="module")
def gateway() -> Any:
    jars = Path(pyspark.__file__).parent / "jars"
    port = launch_gateway(
        classpath=os.pathsep.join(map(str, jars.glob("*.jar"))), die_on_exit=True,
        java_path=str(java.find(settings.load()).executable), jarpath=str(next(jars.glob("py4j-*.jar"))),
    )  # fmt: skip
    made = JavaGateway(gateway_parameters=GatewayParameters(port=port))
    yield made
    made.shutdown()


def single(package: Any, name: str) -> Any:
    """Scala's object of that name."""
    return getattr(getattr(package, f"{name}$"), "MODULE$")


@pytest.mark.parametrize("component", ["bronze", "silver"])
def test_spark_makes_a_pod_that_writes_into_its_own_folder_only_and_mounts_its_own_secret(
    component: str, gateway: Any, tmp_path: Path
) -> None:
    (template,) = [one for one in documents("settings.yaml") if one["metadata"]["name"] == "ventes-executor"]
    (tmp_path / "executor.yaml").write_text(template["data"]["executor.yaml"], encoding="utf-8")
    (tmp_path / "secret").write_text("canary-of-spark", encoding="utf-8")
    given = conf_of(component) | {
        "spark.master": "k8s://https://127.0.0.1:1",
        "spark.app.name": "ventes",
        "spark.kubernetes.executor.podTemplateFile": str(tmp_path / "executor.yaml"),
        "spark.authenticate.secret.file": str(tmp_path / "secret"),  # the driver's; the executor's stays as it is
        "spark.authenticate.secret.executor.file": conf_of(component)["spark.authenticate.secret.file"],
    }
    given.pop("spark.kubernetes.driver.pod.name")
    spark, nothing = gateway.jvm.org.apache.spark, single(gateway.jvm.scala, "None")
    conf = spark.SparkConf(False)
    for name, text in given.items():
        conf.set(name, text)
    file = single(spark.internal.config, "package").AUTH_SECRET_FILE_DRIVER()
    security = spark.SecurityManager(conf, nothing, file)
    security.initializeAuth()
    profile = single(spark.resource, "ResourceProfile").getOrCreateDefaultProfile(conf)
    client = gateway.jvm.io.fabric8.kubernetes.client.KubernetesClientBuilder().build()
    about = spark.deploy.k8s.KubernetesConf.createExecutorConf(conf, "1", "app-1", nothing, 0)
    made = spark.scheduler.cluster.k8s.KubernetesExecutorBuilder().buildFromFeatures(about, security, client, profile)
    write = gateway.jvm.io.fabric8.kubernetes.client.utils.Serialization.asYaml
    pod, container = yaml.safe_load(write(made.pod().pod())), yaml.safe_load(write(made.pod().container()))
    client.close()

    assert "canary-of-spark" not in str((pod, container))
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    assert len(mounts) == len(container["volumeMounts"]), "nothing is mounted twice at one place"
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for writable in (container["workingDir"], given["spark.local.dir"]):
        assert volumes[mounts[writable]].get("emptyDir") is not None
    secrets = {one["secret"]["secretName"]: name for name, one in volumes.items() if "secret" in one}
    assert set(secrets) == {f"ventes-spark-{component}"}
    assert mounts["/etc/ventes-spark"] == secrets[f"ventes-spark-{component}"]
    # what the admission policy of access.yaml lets through
    kinds = {key for one in volumes.values() for key in one if key != "name"}
    assert kinds == {"emptyDir", "configMap", "persistentVolumeClaim", "secret"}
    assert not [one for one in container.get("env", ()) if "secretKeyRef" in one.get("valueFrom", {})]
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert pod["spec"].get("serviceAccountName", "default") == "default"
