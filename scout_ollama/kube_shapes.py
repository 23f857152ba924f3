"""What an object of Kubernetes has where anything here looks, by its kind, as a shape."""

from __future__ import annotations

import re
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from scout_ollama.shapes import require


def _name(value: Any, place: str) -> None:
    # One with a dash in front would be an option to a command.
    require(isinstance(value, str) and bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,252}", value)), place)


def _moment(value: Any, place: str) -> None:
    require(isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None, place)


def _address(value: Any, place: str) -> None:
    # It becomes part of a URL. A pod that has none yet may say so with an empty one.
    require(isinstance(value, str), place)
    if value:
        ip_address(value)


def _count(value: Any, place: str) -> None:
    require(isinstance(value, str) and bool(re.fullmatch("[0-9]{1,9}", value)), place)


TEXTS = {"*": str}
GPUS = {"nvidia.com/gpu": _count}
METADATA = {
    "name!": _name,
    "namespace": _name,
    "uid": str,
    "generation": int,
    "labels": TEXTS,
    "annotations": TEXTS,
    "creationTimestamp": _moment,
    "ownerReferences": [{"kind!": _name, "name!": _name, "uid!": str, "apiVersion": str}],
    "managedFields": [{"manager": str, "time": _moment, "fieldsV1": {}}],
}
CONDITIONS = [{"type!": str, "status!": str, "reason": str, "message": str}]
ENDED = {"reason": str, "message": str, "exitCode": int}
STATE = {"running": {}, "waiting": {"reason": str, "message": str}, "terminated": ENDED}
CONTAINERS = [
    {
        "name!": _name,
        "image": str,
        "env": [{"name!": str, "value": str}],
        "ports": [{"containerPort": int, "hostPort": int}],
        "resources": {"limits": GPUS},
    }
]
TERMS = {
    "nodeSelectorTerms": [
        {part: [{"key!": str, "values": [str]}] for part in ("matchFields", "matchExpressions")},
    ]
}
POD = {
    "nodeName": _name,
    "hostNetwork": bool,
    "initContainers": CONTAINERS,
    "containers": CONTAINERS,
    "volumes": [{"name!": _name, "persistentVolumeClaim": {"claimName!": _name}}],
    "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": TERMS}},
}
TEMPLATE = {"metadata": {"labels": TEXTS, "annotations": TEXTS}, "spec!": POD}
WORKLOAD = {
    "metadata": {"uid!": str, "generation!": int},
    "spec!": {
        "replicas": int,
        "selector": {"matchLabels": TEXTS},
        "template!": TEMPLATE,
        "volumeClaimTemplates": [{"metadata!": {"name!": _name}}],
    },
    "status": {"conditions": CONDITIONS, "observedGeneration": int},
}
BACKEND = {"service": {"name!": _name}}
STATUSES = [{"name": str, "state": STATE, "lastState": STATE}]
KINDS: dict[str, Any] = {
    "Node": {
        "spec": {"unschedulable": bool, "taints": [{"key!": str, "effect!": str}]},
        "status!": {
            "conditions": CONDITIONS,
            "allocatable": GPUS,
            "nodeInfo": {"kubeletVersion": str},
            "addresses": [{"type!": str, "address!": str}],
        },
    },
    "Pod": {
        "metadata": {"namespace!": _name, "creationTimestamp!": _moment},
        "spec!": POD,
        "status": {
            "phase": str,
            "reason": str,
            "message": str,
            "podIP": _address,
            "conditions": CONDITIONS,
            "initContainerStatuses": STATUSES,
            "containerStatuses": STATUSES,
        },
    },
    "DaemonSet": WORKLOAD,
    "Deployment": WORKLOAD,
    "StatefulSet": WORKLOAD,
    "Job": {**WORKLOAD, "metadata": {"uid!": str, "creationTimestamp!": _moment}},
    "ControllerRevision": {"revision!": int},
    "Event": {
        "type": str,
        "reason": str,
        "message": str,
        "lastTimestamp": str,
        "eventTime": str,
        "involvedObject!": {"name": str},
    },
    "Service": {
        "metadata": {"namespace!": _name},
        "spec!": {
            "type": str,
            "selector": TEXTS,
            "externalIPs": [str],
            "ports": [{"port": int, "targetPort": int | str}],
        },
    },
    "Ingress": {
        "metadata": {"namespace!": _name},
        "spec!": {
            "defaultBackend": BACKEND,
            "rules": [{"host": str, "http": {"paths": [{"path": str, "pathType": str, "backend!": BACKEND}]}}],
        },
    },
    "Middleware": {"metadata": {"namespace!": _name}, "spec": {"ipAllowList": {"sourceRange": [str]}}},
    "HelmChart": {"spec": {"chartContent": str, "valuesContent": str}},
    "ClusterPolicy": {"status": {"state": str, "conditions": CONDITIONS}},
    "Secret": {"data": TEXTS, "stringData": TEXTS, "type": str},
    "PersistentVolumeClaim": {
        "spec!": {"volumeName": _name, "resources!": {"requests!": {"storage!": str}}},
    },
    "PersistentVolume": {
        "spec!": {"hostPath": {"path": str}, "local": {"path": str}, "nodeAffinity": {"required": TERMS}},
    },
}
"""What the kinds have that anything here looks at closely; every object has ``OBJECT``."""
OBJECT = {"apiVersion!": str, "kind!": _name, "metadata!": METADATA}
