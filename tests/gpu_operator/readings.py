"""Readings of a cluster with two GPU nodes, as kubectl would give them: all is well, unless a test changes that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from scout_ollama.gpu_operator.ladder import CONFIG_HASH, Wanted
from scout_ollama.gpu_operator.state import HelmChart, OperatorState
from scout_ollama.manifests import KubeObject

OPERATOR = "nvcr.io/nvidia/gpu-operator:v25.10.1"
PLUGIN = "nvcr.io/nvidia/k8s-device-plugin:v0.18.1"
NFD = "registry.k8s.io/nfd/node-feature-discovery:v0.18.2"
HASH = "0123456789ABCDEF" * 4
NODES = ("phi-gpu-1", "phi-gpu-2")
WANTED = Wanted(gpus=dict.fromkeys(NODES, 1), images=frozenset({OPERATOR, PLUGIN, NFD}))
READY: dict[str, Any] = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "main", "state": {"running": {}}}],
}


def at(second: int) -> str:
    """A time of the same minute."""
    return f"2026-01-02T00:00:{second:02}Z"


def chart(*, applied: int = 10, age: float = 300, **changed: Any) -> HelmChart:
    """The HelmChart; ``applied`` is the second at which its spec was set, ``age`` the seconds since."""
    when = datetime(2026, 1, 2, 0, 0, applied, tzinfo=UTC)
    return HelmChart(
        **{"name": "gpu-operator", "applied": when, "age": age, "is_going": False, "failure": "", **changed}
    )


def job(*, uid: str = "job", made: int = 11, kind: str = "Complete", config: str = HASH) -> KubeObject:
    """Helm's Job, in the condition ``kind``; none while it runs."""
    annotations = {CONFIG_HASH: f"SHA256={config}"}
    conditions = [{"type": kind, "status": "True", "message": f"{kind}!"}] if kind else []
    return {
        "kind": "Job",
        "metadata": {"name": "helm-install-gpu-operator", "uid": uid, "creationTimestamp": at(made)},
        "spec": {"template": {"metadata": {"annotations": annotations}}},
        "status": {"conditions": conditions},
    }


def release(number: int = 1, *, config: str = HASH, status: str = "deployed") -> Mapping[str, str]:
    """The labels of one of Helm's release Secrets."""
    return {"name": "gpu-operator", "version": str(number), "status": status, CONFIG_HASH: config[:63]}


def pod(name: str, node: str, labels: Mapping[str, str], image: str, status: Mapping[str, Any] = READY) -> KubeObject:
    """A pod of the operator's on a node."""
    metadata = {"name": name, "namespace": "gpu-operator", "labels": dict(labels), "creationTimestamp": at(20)}
    return {
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"nodeName": node, "containers": [{"name": "main", "image": image}]},
        "status": dict(status),
    }


def deployment(name: str = "gpu-operator", image: str = OPERATOR, *, available: int = 1, **status: Any) -> KubeObject:
    """A Deployment of the chart's."""
    counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": available, "observedGeneration": 1}
    template = {"spec": {"containers": [{"name": "main", "image": image}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "generation": 1, "namespace": "gpu-operator"}
    return {"kind": "Deployment", "metadata": metadata, "spec": spec, "status": {**counts, **status}}


def node(name: str, gpus: int | None = 1, labels: Mapping[str, str] | None = None, *, ready: bool = True) -> KubeObject:
    """A node; ``labels`` replace some, and take one away where they are empty."""
    all_labels = {
        "feature.node.kubernetes.io/pci-10de.present": "true",
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
        **(labels or {}),
    }
    allocatable = {} if gpus is None else {"nvidia.com/gpu": str(gpus)}
    kept = {label: value for label, value in all_labels.items() if value}
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {
        "metadata": {"name": name, "labels": kept},
        "status": {"allocatable": allocatable, "conditions": conditions},
    }


def pods_of(name: str, **statuses: Mapping[str, Any]) -> list[KubeObject]:
    """The operands' pods of a node; ``statuses`` by their short names replace some."""
    operands = {
        "worker": ({"role": "worker"}, NFD),
        "plugin": ({"app": "nvidia-device-plugin-daemonset"}, PLUGIN),
        "gfd": ({"app": "gpu-feature-discovery"}, PLUGIN),
        "validator": ({"app": "nvidia-operator-validator"}, OPERATOR),
        "cuda": ({"app": "nvidia-cuda-validator"}, OPERATOR),
    }
    done = {"cuda": {"phase": "Succeeded"}}
    return [
        pod(f"{short}-{name}", name, labels, image, statuses.get(short, done.get(short, READY)))
        for short, (labels, image) in operands.items()
    ]


def policy(state: str = "ready", reason: str = "Reconciled", message: str = "") -> KubeObject:
    """The ClusterPolicy and what it says of itself."""
    kind = "Ready" if state == "ready" else "Error"
    return {
        "status": {
            "state": state,
            "conditions": [{"type": kind, "status": "True", "reason": reason, "message": message}],
        }
    }


def good(**changed: Any) -> OperatorState:
    """A reading in which everything is done, with some of it changed."""
    objects = [deployment(), deployment("nfd-master", NFD), *(pod for name in NODES for pod in pods_of(name))]
    reading: dict[str, Any] = {
        "chart": chart(),
        "job": job(),
        "releases": (release(),),
        "objects": tuple(objects),
        "policies": (policy(),),
        "nodes": {name: node(name) for name in NODES},
    }
    return OperatorState(**{**reading, **changed})


def with_pods(name: str, **statuses: Mapping[str, Any]) -> tuple[KubeObject, ...]:
    """The objects of a good reading, with the pods of one node in another state."""
    others = [obj for obj in good().objects if obj.get("spec", {}).get("nodeName") != name]
    return (*others, *pods_of(name, **statuses))


def waiting(reason: str, message: str = "", *, init: bool = False) -> dict[str, Any]:
    """The status of a pod whose container waits for this reason."""
    status = {"name": "ctr", "state": {"waiting": {"reason": reason, "message": message}}}
    return {"initContainerStatuses" if init else "containerStatuses": [status]}


def warning(name: str, text: str) -> KubeObject:
    """A warning about an object: ``Reason: message``."""
    reason, _, message = text.partition(": ")
    about = {"name": name}
    return {"kind": "Event", "type": "Warning", "metadata": {"name": name}, "involvedObject": about} | {
        "reason": reason,
        "message": message,
    }
