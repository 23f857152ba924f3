"""K3s's local-path provisioner: a claim gets a directory on the node of the first pod that uses it. Pure.

The directory itself is made and removed by the node's kubelet (`volumes.py`), where the real one starts a helper pod.
"""

from collections.abc import Iterable

from lab.standins.k3s.objects import Object, annotations_of, is_deleted, name_of, namespace_of, uid_of
from lab.standins.k3s.writes import Create, Delete, Patch, Write, status

CLAIMS = "v1/persistentvolumeclaims"
VOLUMES = "v1/persistentvolumes"
CLASS = "local-path"
STORAGE = "/var/lib/rancher/k3s/storage"
PROTECTION = "kubernetes.io/pvc-protection"
SELECTED_NODE = "volume.kubernetes.io/selected-node"  # Kubernetes' scheduler places a pod once its claim has a volume


def storage_class() -> Object:
    """The default class of a K3s cluster."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS, "annotations": annotations},
        "provisioner": "rancher.io/local-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }


def reconcile(claim: Object, volumes: Iterable[Object], pods: Iterable[Object]) -> list[Write]:
    """Give a claim its volume and protect it while a pod uses it."""
    users = [pod for pod in pods if namespace_of(pod) == namespace_of(claim) and name_of(claim) in claims_of(pod)]
    finalizers = claim["metadata"].get("finalizers") or []
    if is_deleted(claim):
        held = bool(users) or PROTECTION not in finalizers
        left = [name for name in finalizers if name != PROTECTION]
        return [] if held else [Patch(CLAIMS, claim, {"metadata": {"finalizers": left or None}})]
    if PROTECTION not in finalizers:
        return [Patch(CLAIMS, claim, {"metadata": {"finalizers": [*finalizers, PROTECTION]}})]
    if claim["spec"].get("storageClassName", CLASS) != CLASS:
        return []
    name = f"pvc-{uid_of(claim)}"
    placed = (pod["spec"]["nodeName"] for pod in users if pod["spec"].get("nodeName"))
    node = annotations_of(claim).get(SELECTED_NODE) or next(placed, None)
    if not any(name_of(volume) == name for volume in volumes):
        return [Create(VOLUMES, _volume(claim, name, node))] if node else []
    if claim["spec"].get("volumeName") != name:
        return [Patch(CLAIMS, claim, {"spec": {"volumeName": name}})]
    capacity = claim["spec"]["resources"]["requests"]
    wanted: Object = {"phase": "Bound", "capacity": capacity, "accessModes": claim["spec"]["accessModes"]}
    return status(CLAIMS, claim, wanted)


def reclaim(volume: Object, claims: Iterable[Object]) -> list[Write]:
    """Delete a volume whose claim is gone, and say whether it is bound."""
    uid = (volume["spec"].get("claimRef") or {}).get("uid")
    if volume["spec"].get("storageClassName") != CLASS or is_deleted(volume):
        return []
    if not any(uid_of(claim) == uid for claim in claims):
        return [Delete(VOLUMES, volume)]
    return status(VOLUMES, volume, {"phase": "Bound"})


def claims_of(pod: Object) -> list[str]:
    """The claims that a pod uses."""
    used = (volume.get("persistentVolumeClaim") for volume in pod["spec"].get("volumes") or [])
    return [str(claim["claimName"]) for claim in used if claim]


def _volume(claim: Object, name: str, node: str) -> Object:
    directory = f"{STORAGE}/{name}_{namespace_of(claim)}_{name_of(claim)}"
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    reference = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": namespace_of(claim),
        "name": name_of(claim),
        "uid": uid_of(claim),
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": claim["spec"]["resources"]["requests"],
            "claimRef": reference,
            "hostPath": {"path": directory, "type": "DirectoryOrCreate"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
        },
    }
