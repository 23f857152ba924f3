"""The StatefulSet controller: numbered pods in order, each with claims of its own. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.controllers.pods import from_template, is_available, is_finished, is_ready, owned
from lab.standins.k3s.objects import Object, digest_of, is_deleted, labels_of, name_of, namespace_of
from lab.standins.k3s.writes import Create, Delete, Write, status

COLLECTION = "apps/v1/statefulsets"
CLAIMS = "v1/persistentvolumeclaims"
HASH_LABEL = "controller-revision-hash"


def reconcile(stateful_set: Object, pods: Iterable[Object], claims: Iterable[Object]) -> list[Write]:
    """Bring the pods one step closer to what the set wants, and its status."""
    if is_deleted(stateful_set):
        return []
    spec = stateful_set["spec"]
    wanted = spec.get("replicas", 1)
    mine = sorted(owned(pods, stateful_set), key=_ordinal)
    current_hash = f"{name_of(stateful_set)}-{digest_of(spec['template'])}"
    present = {_ordinal(pod): pod for pod in mine}
    writes = _replace_finished(mine) or _manage(stateful_set, present, wanted, current_hash, claims)
    if not writes:
        writes = _update(stateful_set, [pod for pod in mine if _ordinal(pod) < wanted], current_hash)
    return writes + _status(stateful_set, [pod for pod in mine if not is_deleted(pod)], current_hash)


def _ordinal(pod: Object) -> int:
    return int(name_of(pod).rpartition("-")[2])


def _replace_finished(pods: list[Object]) -> list[Write]:
    return [Delete("v1/pods", pod) for pod in pods if is_finished(pod) and not is_deleted(pod)]


def _manage(
    stateful_set: Object, present: dict[int, Object], wanted: int, current_hash: str, claims: Iterable[Object]
) -> list[Write]:
    """The next pod that is missing, once those before it are ready; else the last one that is too many."""
    in_turn = stateful_set["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    made: list[Write] = []
    for ordinal in range(wanted):
        pod = present.get(ordinal)
        if pod is None:
            made += [*_claims(stateful_set, ordinal, claims), _create(stateful_set, ordinal, current_hash)]
        if in_turn and (pod is None or not is_ready(pod)):
            return made
    too_many = [present[ordinal] for ordinal in sorted(present, reverse=True) if ordinal >= wanted]
    if any(is_deleted(pod) for pod in too_many):
        return made
    return made + [Delete("v1/pods", pod) for pod in (too_many[:1] if in_turn else too_many)]


def _create(stateful_set: Object, ordinal: int, current_hash: str) -> Create:
    name = f"{name_of(stateful_set)}-{ordinal}"
    labels = {
        HASH_LABEL: current_hash,
        "statefulset.kubernetes.io/pod-name": name,
        "apps.kubernetes.io/pod-index": str(ordinal),
    }
    pod = from_template(stateful_set, stateful_set["spec"]["template"], labels)
    del pod["metadata"]["generateName"]
    templates = [template["metadata"]["name"] for template in _templates(stateful_set)]
    own = [{"name": t, "persistentVolumeClaim": {"claimName": f"{t}-{name}"}} for t in templates]
    others = [volume for volume in pod["spec"].get("volumes") or [] if volume["name"] not in templates]
    spec = {**pod["spec"], "hostname": name, "volumes": [*others, *own]}
    return Create("v1/pods", {**pod, "metadata": {**pod["metadata"], "name": name}, "spec": spec})


def _claims(stateful_set: Object, ordinal: int, claims: Iterable[Object]) -> list[Write]:
    """The claims of one pod that are not there yet; they outlive it."""
    namespace = namespace_of(stateful_set)
    there = {name_of(claim) for claim in claims if namespace_of(claim) == namespace}
    made: list[Write] = []
    for template in _templates(stateful_set):
        name = f"{template['metadata']['name']}-{name_of(stateful_set)}-{ordinal}"
        if name not in there:
            labels = stateful_set["spec"]["selector"].get("matchLabels") or {}
            metadata = {"name": name, "namespace": namespace, "labels": {**labels_of(template), **labels}}
            claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
            made.append(Create(CLAIMS, {**claim, "spec": template["spec"]}))
    return made


def _templates(stateful_set: Object) -> list[Object]:
    return stateful_set["spec"].get("volumeClaimTemplates") or []


def _update(stateful_set: Object, pods: list[Object], current_hash: str) -> list[Write]:
    """Delete the last pod of an old template, once all after it are ready again."""
    if (stateful_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") != "RollingUpdate":
        return []
    for pod in reversed(pods):
        if is_deleted(pod):
            return []
        if labels_of(pod).get(HASH_LABEL) != current_hash:
            return [Delete("v1/pods", pod)]
        if not is_ready(pod):
            return []
    return []


def _status(stateful_set: Object, pods: list[Object], current_hash: str) -> list[Write]:
    min_ready = stateful_set["spec"].get("minReadySeconds", 0)
    updated = [pod for pod in pods if labels_of(pod).get(HASH_LABEL) == current_hash]
    wanted = stateful_set["spec"].get("replicas", 1)
    done = len(updated) == len(pods) == wanted
    before = (stateful_set.get("status") or {}).get("currentRevision")
    return status(
        COLLECTION,
        stateful_set,
        {
            "observedGeneration": stateful_set["metadata"]["generation"],
            "replicas": len(pods),
            "readyReplicas": sum(map(is_ready, pods)) or None,
            "availableReplicas": sum(is_available(pod, min_ready) for pod in pods),
            "currentReplicas": len(updated) if done else None,
            "updatedReplicas": len(updated) or None,
            "currentRevision": current_hash if done else before or current_hash,
            "updateRevision": current_hash,
            "collisionCount": 0,
        },
    )
