"""A cluster whose GPUs wait for the operator, and the HelmChart that installs it as an operator of the site would."""

import base64
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import chart
from lab.lab import Lab
from lab.labhost import LabHost
from lab.topology import ClusterSpec, HostSpec, gpu_hosts
from tests.lab.k3s_cluster import REGISTRIES, Cluster, Object, use_harbor, wait

NAMESPACE = "gpu-operator"
NAME = "gpu-operator"
FAULT, HELM_FAULT = "/etc/lab/gpu-operator-fault", "/etc/lab/helm-fault"
PROXIED = REGISTRIES.replace(
    "configs:",
    """\
  nvcr.io: {endpoint: ["https://harbor.staging.example.edu"], rewrite: {"^(.*)$": "nvidia-proxy/$1"}}
  registry.k8s.io: {endpoint: ["https://harbor.staging.example.edu"], rewrite: {"^(.*)$": "k8s-proxy/$1"}}
configs:""",
)
TOPOLOGY = (
    ClusterSpec("phi", "ollama", gpu_hosts("phi", 2), air_gapped=True, staging="staging", gpu_operator="absent"),
    ClusterSpec("staging", "staging", (HostSpec("staging-1"),)),
    ClusterSpec("scout-prod", "scout", (HostSpec("scout-prod-1"),), air_gapped=True, ollama_cluster="phi"),
)


@pytest.fixture(scope="module")
def cluster(namespaces: None) -> Iterator[Cluster]:  # noqa: ARG001  fixtures are asked for by name
    """Two GPU nodes that pull from Harbor, without an operator."""
    with Lab.running(f"gpu-{os.getpid()}", TOPOLOGY) as lab:
        made = Cluster(lab)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: use_harbor(lab, host, PROXIED), made.gpu_hosts))
        wait(lambda: made.kubectl("get", "nodes").count(" Ready ") == 2, lambda: made.kubectl("get", "nodes"))
        yield made


def helm_chart(content: bytes | None = None, values: str = "", name: str = NAME, **spec: object) -> Object:
    """The HelmChart of the operator for hosts that have driver and toolkit."""
    packed = chart.pack() if content is None else content
    return {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {
            "chartContent": base64.b64encode(packed).decode(),
            "targetNamespace": NAMESPACE,
            "createNamespace": True,
            "failurePolicy": "abort",
            "backOffLimit": 1,
            "valuesContent": values or "driver: {enabled: false}\ntoolkit: {enabled: false}\n",
            **spec,
        },
    }


def fault(hosts: list[LabHost], words: str, file: str = FAULT) -> None:
    """Break something on hosts; no words: nothing is broken."""
    for host in hosts:
        host.run(["tee", file], input=words)


def find(cluster: Cluster, kind: str, name: str, namespace: str = NAMESPACE) -> Object | None:
    """An object, if there is one."""
    got = cluster.kubectl("-n", namespace, "get", kind, name, "-o", "json", "--ignore-not-found", check=False)
    found: Object | None = json.loads(got) if got.startswith("{") else None
    return found


def job(cluster: Cluster, name: str = f"helm-install-{NAME}") -> Object | None:
    return find(cluster, "job", name, "kube-system")


def has(obj: Object | None, condition: str) -> bool:
    """Whether a condition is True."""
    conditions = ((obj or {}).get("status") or {}).get("conditions") or []
    return any(c["type"] == condition and c["status"] == "True" for c in conditions)


def allocatable(cluster: Cluster) -> dict[str, str | None]:
    """How many GPUs each node has to give."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "-o", "json"))["items"]
    return {n["metadata"]["name"]: n["status"]["allocatable"].get("nvidia.com/gpu") for n in nodes}


def story(cluster: Cluster) -> str:
    """What a person would look at."""
    policies = cluster.kubectl("get", "clusterpolicies", "-o", "jsonpath={.items[*].status}", check=False)
    jobs = cluster.kubectl("-n", "kube-system", "get", "helmcharts,jobs,pods", "-o", "wide", check=False)
    return jobs + cluster.story("kube-system") + cluster.story(NAMESPACE) + policies
