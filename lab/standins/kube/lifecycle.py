"""What the server alone writes: identity, generation, the first status; and what a change carries over."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from lab.standins.kube.errors import Json
from lab.standins.kube.place import Place, copied, now
from lab.standins.kube.resources import Resource

# What clients cannot change once an object exists.
SYSTEM = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "namespace",
    "name",
)
# Kinds without generation: settings, and the core kinds that predate it.
UNCOUNTED = {"Namespace", "Node", "Service", "Endpoints", "Secret", "ConfigMap", "ServiceAccount", "Event", "Lease"}
UNCOUNTED |= {"PersistentVolume", "PersistentVolumeClaim", "RuntimeClass", "ControllerRevision", "LimitRange"}
UNCOUNTED |= {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "StorageClass", "ResourceQuota"}
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


def new_object(resource: Resource, obj: Json) -> Json:
    """A new object, with what the server alone decides."""
    metadata = {
        k: v for k, v in obj["metadata"].items() if k not in (*SYSTEM, "resourceVersion", "managedFields", "selfLink")
    }
    metadata |= {k: obj["metadata"][k] for k in ("name", "namespace") if obj["metadata"].get(k)}
    metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
    if resource.kind not in UNCOUNTED:
        metadata["generation"] = 1
    result = {**obj, "metadata": metadata}
    # Kubelets register their nodes with a status; everything else starts with an empty one.
    if "status" in resource.subresources and resource.kind != "Node":
        result.pop("status", None)
        initial = INITIAL_STATUS.get(resource.kind)
        if initial:
            result["status"] = initial(obj)
        elif not resource.custom:
            result["status"] = {}
    return result


def replacement(place: Place, old: Json, obj: Json) -> Json:
    """`obj` in place of `old`: with the metadata that clients cannot change and the part this request cannot change."""
    metadata = {k: v for k, v in obj["metadata"].items() if k not in SYSTEM}
    metadata |= {k: old["metadata"][k] for k in SYSTEM if k in old["metadata"]}
    if place.subresource == "status":
        kept = {k: v for k, v in old["metadata"].items() if k != "managedFields"}
        if "managedFields" in metadata:
            kept["managedFields"] = metadata["managedFields"]
        return {**copied(old), "metadata": kept, "status": obj.get("status", {})}
    result = {**obj, "metadata": metadata}
    if "status" in place.resource.subresources:
        result.pop("status", None)
        if "status" in old:
            result["status"] = old["status"]
    return result


def count(resource: Resource, new: Json, old: Json | None) -> None:
    """Generation counts changes of what is wanted: everything but metadata and status."""
    if resource.kind == "DaemonSet":
        annotations = new["metadata"].setdefault("annotations", {})
        same = old is not None and old["spec"]["template"] == new["spec"]["template"]
        last = int(
            (old or new)["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "0" if old is None else "1")
        )
        annotations[TEMPLATE_GENERATION] = str(last if same else last + 1)
    if old is None or "generation" not in old["metadata"]:
        return
    before, after = ({k: v for k, v in obj.items() if k not in ("metadata", "status")} for obj in (old, new))
    if before != after:
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def complete_status(resource: Resource, obj: Json) -> None:
    """Zeros for the counts that Go's status types always write."""
    status = obj.get("status")
    kind = None if resource.custom else resource.schema.child("status")
    if not isinstance(status, dict) or kind is None:
        return
    zeros = {name: 0 for name in kind.required if (below := kind.child(name)) and below.kind == "integer"}
    obj["status"] = {**zeros, **status}


def qos(pod: Json) -> str:
    """Guaranteed, Burstable or BestEffort, from the containers' requests and limits of CPU and memory."""
    containers = [c.get("resources") or {} for c in pod.get("spec", {}).get("containers") or ()]
    amounts = [
        {k: v for k, v in (r.get(group) or {}).items() if k in ("cpu", "memory")}
        for r in containers
        for group in ("limits", "requests")
    ]
    if not any(amounts):
        return "BestEffort"
    whole = all(
        {"cpu", "memory"} <= (r.get("limits") or {}).keys() and (r.get("requests") or r["limits"]) == r["limits"]
        for r in containers
    )
    return "Guaranteed" if whole else "Burstable"


def established(definition: Json) -> Json:
    """A CustomResourceDefinition whose kind is served."""
    since = definition.get("status", {}).get("conditions", [{}])[0].get("lastTransitionTime") or now()
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message}
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in definition["spec"]["versions"] if version.get("storage")]
    status = {"conditions": conditions, "acceptedNames": definition["spec"]["names"], "storedVersions": stored}
    return {**definition, "status": status}


# What a new object's status says before any controller does.
INITIAL_STATUS: dict[str, Callable[[Json], Json]] = {
    "Pod": lambda pod: {"phase": "Pending", "qosClass": qos(pod)},
    "Service": lambda _: {"loadBalancer": {}},
    "Ingress": lambda _: {"loadBalancer": {}},
}
