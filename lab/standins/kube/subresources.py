"""Parts of objects with a protocol of their own: scale, binding, eviction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lab.standins.kube import deletion, patches
from lab.standins.kube.errors import Json, bad_request, unsupported_media_type
from lab.standins.kube.place import Place, Write, copied, now
from lab.standins.kube.rest import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Api


def scale(obj: Json) -> Json:
    """The autoscaling/v1 Scale of a workload."""
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {name: obj["metadata"][name] for name in names if name in obj["metadata"]},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": {
            "replicas": obj.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


def patched_scale(api: Api, place: Place, patch: Any, media_type: str) -> Json:
    """The Scale that a patch of it makes; a Scale has no lists, so a strategic patch merges like any other."""
    if media_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
        raise unsupported_media_type([JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH])
    change = patches.json_patch if media_type == JSON_PATCH else patches.merge_patch
    wanted: Json = change(scale(api.get(place)), patch)
    return wanted


def rescale(api: Api, place: Place, wanted: Json, write: Write) -> Json:
    """Sets a workload's replicas to those of a Scale."""
    replicas = (wanted.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or replicas < 0:
        raise bad_request(f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0")
    whole = replace(place, subresource="")
    with api.store.lock:
        new = copied(api.get(whole))
        new["spec"]["replicas"] = replicas
        new["metadata"]["resourceVersion"] = (wanted.get("metadata") or {}).get("resourceVersion")
        return scale(api.update(whole, new, write))


def bind(api: Api, place: Place, body: Json) -> Json:
    """Puts a pod on a node, once: what a scheduler does."""
    node = (body.get("target") or {}).get("name")
    if not node:
        raise bad_request("target.name: Required value")
    with api.store.lock:
        pod = api.get(place)
        if pod["spec"].get("nodeName"):
            raise place.conflict(f'pod {place.name} is already assigned to node "{pod["spec"]["nodeName"]}"')
        status = pod.get("status", {})
        others = [condition for condition in status.get("conditions") or () if condition["type"] != "PodScheduled"]
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        status = {**status, "conditions": [*others, scheduled]}
        api.store.put(place.key, {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status})
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def evict(api: Api, place: Place, wanted: deletion.Deletion) -> Json:
    """Deletes a pod the polite way. Disruption budgets are not consulted."""
    deletion.delete(api, replace(place, subresource=""), wanted)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
