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


def rescale(api: Api, place: Place, body: Any, media_type: str, write: Write) -> Json:
    """Sets replicas by a Scale, or by a patch of one."""
    whole = replace(place, subresource="")
    with api.store.lock:
        old = api.get(whole)
        wanted = body
        if media_type:
            if media_type not in (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH):
                raise unsupported_media_type([JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH])
            change = patches.json_patch if media_type == JSON_PATCH else patches.merge_patch
            wanted = change(scale(old), body)
        replicas = (wanted.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            raise bad_request(f"spec.replicas: Invalid value: {replicas}: must be greater than or equal to 0")
        new = copied(old)
        new["spec"]["replicas"] = replicas
        version = wanted.get("metadata", {}).get("resourceVersion")
        new["metadata"]["resourceVersion"] = version or old["metadata"]["resourceVersion"]
        return scale(api.update(whole, new, write))


def bind(api: Api, place: Place, body: Json) -> Json:
    """Puts a pod on a node, once: what a scheduler does."""
    node = (body.get("target") or {}).get("name")
    if not node:
        raise bad_request("target.name: Required value")
    with api.store.lock:
        pod = api.get(replace(place, subresource=""))
        if pod["spec"].get("nodeName"):
            text = f'pod {place.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise place.conflict(text)
        status = pod.get("status", {})
        others = [c for c in status.get("conditions") or () if c["type"] != "PodScheduled"]
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        bound = {
            **pod,
            "spec": {**pod["spec"], "nodeName": node},
            "status": {**status, "conditions": [*others, scheduled]},
        }
        api.store.put(place.key, bound)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def evict(api: Api, place: Place, body: Json, query: dict[str, str]) -> Json:
    """Deletes a pod the polite way. Disruption budgets are not consulted."""
    wanted = deletion.options(body.get("deleteOptions") or {}, query)
    deletion.delete(api, replace(place, subresource=""), wanted)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
