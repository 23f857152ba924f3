"""The rules that schemas cannot say: names, references within an object, what may not change.

Source: pkg/apis/*/validation/validation.go of kubernetes and k8s.io/apimachinery/pkg/util/validation; same texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from lab.standins.kube.decode import missing
from lab.standins.kube.errors import FieldError, Json, invalid_value, required
from lab.standins.kube.resources import Resource
from lab.standins.kube.rules import configuration, names, network, pods, structural, workloads

Errors = Iterator[FieldError]


RULES: dict[str, Callable[[Json], Errors]] = {
    "Pod": lambda obj: pods.pod_spec(obj["spec"], "spec"),
    "DaemonSet": workloads.daemon_set,
    "Deployment": workloads.deployment,
    "StatefulSet": workloads.workload,
    "ReplicaSet": workloads.workload,
    "Job": workloads.job,
    "Service": network.service,
    "Ingress": network.ingress,
    "NetworkPolicy": network.network_policy,
    "Secret": configuration.secret,
    "ConfigMap": configuration.config_map,
    "CustomResourceDefinition": structural.definition,
}
IMMUTABLE = {
    "DaemonSet": ("spec.selector",),
    "Deployment": ("spec.selector",),
    "ReplicaSet": ("spec.selector",),
    "Job": ("spec.selector", "spec.template", "spec.completionMode"),
    "Secret": ("type",),
    "RuntimeClass": ("handler",),
    "IngressClass": ("spec.controller",),
    "StorageClass": ("provisioner", "parameters"),
    "CustomResourceDefinition": ("spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"),
    "ControllerRevision": ("data",),
}
CHANGES: dict[str, Callable[[Json, Json], Errors]] = {
    "Pod": pods.pod_update,
    "StatefulSet": workloads.stateful_set_change,
    "Service": network.service_change,
    "Secret": configuration.frozen,
    "ConfigMap": configuration.frozen,
    "RoleBinding": configuration.role_change,
    "ClusterRoleBinding": configuration.role_change,
    "PersistentVolumeClaim": configuration.claim_change,
    "PriorityClass": configuration.priority_class_change,
}


def check(resource: Resource, new: Json, old: Json | None) -> list[FieldError]:
    """What is wrong with `new`, as a new object or in place of `old`. An object's status is not checked."""
    found = list(names.metadata(resource, new, old))
    body = {key: value for key, value in new.items() if key != "status"}
    if resource.custom:
        return found + list(structural.check(body, resource.custom))
    lacking = [required(path) for path in missing(body, resource.schema) if not path.startswith("metadata.")]
    if lacking:
        # The rules below read required fields; the real server says the same first.
        return found + lacking
    rule = RULES.get(resource.kind)
    if rule:
        found += rule(new)
    if old is not None:
        for path in IMMUTABLE.get(resource.kind, ()):
            before, after = _at(old, path), _at(new, path)
            if before not in (None, {}) and before != after:
                found.append(invalid_value(path, after, "field is immutable"))
        change = CHANGES.get(resource.kind)
        if change:
            found += change(new, old)
    return found


def _at(obj: Json, path: str) -> Any:
    value: Any = obj
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value
