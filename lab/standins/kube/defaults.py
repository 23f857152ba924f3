"""Defaults: what the API server fills in, so that an object reads back as from a real one.

Source: pkg/apis/*/v1/defaults.go of kubernetes, and the admission plugins that fill in pods and ingresses.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

from lab.standins.kube.errors import Json
from lab.standins.kube.resources import Resource
from lab.standins.kube.schema import Schema

NOT_READY_SECONDS = 300


def fill(resource: Resource, obj: Json, *, creating: bool) -> None:
    """Fills defaults into `obj`, in place. `creating` adds what admission does once, to new objects only."""
    if resource.custom:
        _from_schema(obj, resource.custom)
        return
    if resource.schema.declares("spec"):
        obj.setdefault("spec", {})
    rule = RULES.get(resource.kind)
    if rule:
        rule(obj)
    if creating and resource.kind == "Pod":
        _admit_pod(obj)


def _from_schema(value: Any, schema: Schema) -> None:
    """The `default`s of a custom kind's structural schema."""
    if isinstance(value, dict):
        for name, raw in schema.raw.get("properties", {}).items():
            if "default" in raw and name not in value:
                value[name] = raw["default"]
        for name, item in value.items():
            kind = schema.child(name)
            if kind is not None and name != "metadata":
                _from_schema(item, kind)
    elif isinstance(value, list):
        for item in value:
            _from_schema(item, schema.items)


def _set(obj: Json, **values: Any) -> None:
    for name, value in values.items():
        obj.setdefault(name, value)


# Pods


def pod_spec(spec: Json) -> None:
    """The defaults of a pod's spec, in a pod or a template."""
    _set(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler", securityContext={})
    _set(spec, terminationGracePeriodSeconds=30)
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]
    for volume in spec.get("volumes") or ():
        _volume(volume)
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        _container(container, host_network=bool(spec.get("hostNetwork")))
    for constraint in spec.get("topologySpreadConstraints") or ():
        _set(constraint, nodeAffinityPolicy="Honor", nodeTaintsPolicy="Ignore")


def _container(container: Json, *, host_network: bool) -> None:
    _set(container, resources={}, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
    tag = _tag(str(container.get("image", "")))
    _set(container, imagePullPolicy="Always" if tag == "latest" else "IfNotPresent")
    for port in container.get("ports") or ():
        _set(port, protocol="TCP")
        if host_network:
            _set(port, hostPort=port.get("containerPort"))
    for variable in container.get("env") or ():
        if "fieldRef" in variable.get("valueFrom", {}):
            _set(variable["valueFrom"]["fieldRef"], apiVersion="v1")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if isinstance(container.get(name), dict):
            _set(container[name], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            _handler(container[name])
    for hook in (container.get("lifecycle") or {}).values():
        if isinstance(hook, dict):
            _handler(hook)


def _tag(image: str) -> str:
    """The tag of an image reference: "latest" when it has neither tag nor digest."""
    if "@" in image:
        return ""
    match = re.search(r":([^:/]+)$", image)
    return match[1] if match else "latest"


def _handler(probe: Json) -> None:
    if isinstance(probe.get("httpGet"), dict):
        _set(probe["httpGet"], path="/", scheme="HTTP")
    if isinstance(probe.get("grpc"), dict):
        _set(probe["grpc"], service="")


def _volume(volume: Json) -> None:
    sources = [name for name in volume if name != "name"]
    if not sources:
        volume["emptyDir"] = {}
    for name in ("secret", "configMap", "downwardAPI", "projected"):
        if isinstance(volume.get(name), dict):
            _set(volume[name], defaultMode=420)
    if isinstance(volume.get("hostPath"), dict):
        _set(volume["hostPath"], type="")
    downward = [volume.get("downwardAPI")]
    downward += [source.get("downwardAPI") for source in (volume.get("projected") or {}).get("sources") or ()]
    for source in filter(None, downward):
        for item in source.get("items") or ():
            if "fieldRef" in item:
                _set(item["fieldRef"], apiVersion="v1")


def _pod(pod: Json) -> None:
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return
    _set(spec, enableServiceLinks=True)
    pod_spec(spec)
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        limits = container["resources"].get("limits")
        if limits:
            container["resources"]["requests"] = {**limits, **container["resources"].get("requests", {})}


def _admit_pod(pod: Json) -> None:
    """What the ServiceAccount, Priority and DefaultTolerationSeconds admission plugins add."""
    spec = pod.get("spec")
    if not isinstance(spec, dict):
        return
    _set(spec, serviceAccountName="default", priority=0, preemptionPolicy="PreemptLowerPriority")
    spec["serviceAccount"] = spec["serviceAccountName"]
    tolerations = list(spec.get("tolerations") or ())
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        covered = any(
            t.get("key") in (None, "", key) and t.get("effect", "NoExecute") == "NoExecute" for t in tolerations
        )
        if not covered:
            tolerations.append(
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": NOT_READY_SECONDS}
            )
    spec["tolerations"] = tolerations


def _template(obj: Json) -> Json:
    """The spec of a workload, its pod template's defaults filled in."""
    spec: Json = obj.setdefault("spec", {})
    template = spec.get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        pod_spec(template["spec"])
    return spec


# Workloads


def _daemon_set(obj: Json) -> None:
    spec = _template(obj)
    _set(spec, revisionHistoryLimit=10)
    strategy = spec.setdefault("updateStrategy", {})
    _set(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(strategy.setdefault("rollingUpdate", {}), maxUnavailable=1, maxSurge=0)


def _deployment(obj: Json) -> None:
    spec = _template(obj)
    _set(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _set(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(strategy.setdefault("rollingUpdate", {}), maxUnavailable="25%", maxSurge="25%")


def _stateful_set(obj: Json) -> None:
    spec = _template(obj)
    _set(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady", serviceName="")
    _set(spec, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
    strategy = spec.setdefault("updateStrategy", {})
    _set(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _set(strategy.setdefault("rollingUpdate", {}), partition=0)
    for claim in spec.get("volumeClaimTemplates") or ():
        _set(claim, apiVersion="v1", kind="PersistentVolumeClaim", status={"phase": "Pending"})
        _set(claim.setdefault("spec", {}), volumeMode="Filesystem")


def _replica_set(obj: Json) -> None:
    _set(_template(obj), replicas=1)


def _job(obj: Json) -> None:
    spec = _template(obj)
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    _set(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False, manualSelector=False)
    _set(spec, podReplacementPolicy="TerminatingOrFailed")
    uid, name = obj["metadata"].get("uid"), obj["metadata"].get("name")
    template = spec.get("template")
    if uid and not spec["manualSelector"] and isinstance(template, dict):
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        for key, value in (("controller-uid", uid), ("job-name", name)):
            _set(labels, **{key: value, f"batch.kubernetes.io/{key}": value})
        _set(spec, selector={"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})


def _cron_job(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    _set(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    if isinstance(spec.get("jobTemplate"), dict):
        _template(spec["jobTemplate"])


# Everything else


def _service(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    _set(spec, type="ClusterIP", sessionAffinity="None")
    for port in spec.get("ports") or ():
        _set(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] == "ExternalName":
        return
    _set(spec, internalTrafficPolicy="Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _set(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _set(spec, allocateLoadBalancerNodePorts=True)
    if spec["sessionAffinity"] == "ClientIP":
        _set(spec, sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}})


def _secret(obj: Json) -> None:
    _set(obj, type="Opaque")
    for key, text in (obj.pop("stringData", None) or {}).items():
        obj.setdefault("data", {})[key] = base64.b64encode(text.encode()).decode()


def _namespace(obj: Json) -> None:
    obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
    obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _network_policy(obj: Json) -> None:
    spec = obj.setdefault("spec", {})
    _set(spec, podSelector={})
    _set(spec, policyTypes=["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
        for port in rule.get("ports") or ():
            _set(port, protocol="TCP")


def _role_binding(obj: Json) -> None:
    if isinstance(obj.get("roleRef"), dict):
        _set(obj["roleRef"], apiGroup="rbac.authorization.k8s.io")
    for subject in obj.get("subjects") or ():
        if subject.get("kind") in ("User", "Group"):
            _set(subject, apiGroup="rbac.authorization.k8s.io")


def _endpoints(obj: Json) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            _set(port, protocol="TCP")


def _endpoint_slice(obj: Json) -> None:
    for port in obj.get("ports") or ():
        _set(port, name="", protocol="TCP")


def _volume_claim(obj: Json) -> None:
    _set(obj.setdefault("spec", {}), volumeMode="Filesystem")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _volume_object(obj: Json) -> None:
    _set(obj.setdefault("spec", {}), volumeMode="Filesystem", persistentVolumeReclaimPolicy="Retain")
    if isinstance(obj["spec"].get("hostPath"), dict):
        _set(obj["spec"]["hostPath"], type="")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _priority_class(obj: Json) -> None:
    _set(obj, preemptionPolicy="PreemptLowerPriority")


def _storage_class(obj: Json) -> None:
    _set(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _definition(obj: Json) -> None:
    spec = obj.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("names"), dict):
        kind = str(spec["names"].get("kind", ""))
        _set(spec["names"], singular=kind.lower(), listKind=kind + "List")
        _set(spec, conversion={"strategy": "None"})


RULES: dict[str, Callable[[Json], None]] = {
    "Pod": _pod,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "ReplicaSet": _replica_set,
    "Job": _job,
    "CronJob": _cron_job,
    "Service": _service,
    "Secret": _secret,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "RoleBinding": _role_binding,
    "ClusterRoleBinding": _role_binding,
    "Endpoints": _endpoints,
    "EndpointSlice": _endpoint_slice,
    "PersistentVolumeClaim": _volume_claim,
    "PersistentVolume": _volume_object,
    "PriorityClass": _priority_class,
    "StorageClass": _storage_class,
    "CustomResourceDefinition": _definition,
}
