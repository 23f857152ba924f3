"""The Deployment and ReplicaSet controllers. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.controllers.pods import from_template, is_available, is_finished, is_ready, owned
from lab.standins.k3s.objects import (
    Object,
    annotations_of,
    condition,
    digest_of,
    is_deleted,
    labels_of,
    make_condition,
    name_of,
    namespace_of,
    owner_reference,
)
from lab.standins.k3s.writes import Create, Delete, Emit, Patch, Write, status

DEPLOYMENTS = "apps/v1/deployments"
REPLICA_SETS = "apps/v1/replicasets"
HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
SOURCE = "deployment-controller"


def reconcile(deployment: Object, replica_sets: Iterable[Object], pods: Iterable[Object]) -> list[Write]:
    """Move a Deployment's replicas to the ReplicaSet of its template, at the pace of its strategy."""
    if is_deleted(deployment):
        return []
    mine = owned(replica_sets, deployment)
    current_hash = digest_of(deployment["spec"]["template"])
    current = next((r for r in mine if labels_of(r).get(HASH_LABEL) == current_hash), None)
    if current is None:
        return [_new_replica_set(deployment, mine, current_hash)]
    old = [r for r in mine if r is not current]
    writes = _keep_revision(deployment, current, old)
    if not deployment["spec"].get("paused"):
        writes += _scale(deployment, current, old, list(pods))
    return writes + _deployment_status(deployment, current, old)


def _revision_of(obj: Object) -> int:
    return int(annotations_of(obj).get(REVISION, "0"))


def _new_replica_set(deployment: Object, old: list[Object], current_hash: str) -> Create:
    template = deployment["spec"]["template"]
    labels = {**(template.get("metadata", {}).get("labels") or {}), HASH_LABEL: current_hash}
    selector = deployment["spec"]["selector"]
    match = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: current_hash}}
    revision = max(map(_revision_of, old), default=0) + 1
    return Create(
        REPLICA_SETS,
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{name_of(deployment)}-{current_hash}",
                "namespace": namespace_of(deployment),
                "labels": labels,
                "annotations": {REVISION: str(revision)},
                "ownerReferences": [owner_reference(deployment)],
            },
            "spec": {
                "replicas": 0,
                "selector": match,
                "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
            },
        },
    )


def _keep_revision(deployment: Object, current: Object, old: list[Object]) -> list[Write]:
    writes: list[Write] = []
    newest = max(map(_revision_of, old), default=0)
    revision = _revision_of(current)
    if revision <= newest:
        revision = newest + 1
        writes.append(Patch(REPLICA_SETS, current, {"metadata": {"annotations": {REVISION: str(revision)}}}))
    if _revision_of(deployment) != revision:
        writes.append(Patch(DEPLOYMENTS, deployment, {"metadata": {"annotations": {REVISION: str(revision)}}}))
    return writes


def _scale(deployment: Object, current: Object, old: list[Object], pods: list[Object]) -> list[Write]:
    spec = deployment["spec"]
    replicas = spec.get("replicas", 1)
    strategy = spec.get("strategy") or {}
    old_wanted = sum(r["spec"]["replicas"] for r in old)
    if strategy.get("type") == "Recreate":
        old_pods = [p for r in old for p in owned(pods, r) if not is_finished(p)]
        if old_wanted:
            return [write for r in old if r["spec"]["replicas"] for write in _set_replicas(deployment, r, 0)]
        return [] if old_pods else _grow(deployment, current, replicas)
    rolling = strategy.get("rollingUpdate") or {}
    surge = _part(rolling.get("maxSurge", "25%"), replicas, round_up=True)
    unavailable = _part(rolling.get("maxUnavailable", "25%"), replicas, round_up=False)
    if surge == unavailable == 0:
        unavailable = 1
    writes = _grow(deployment, current, min(replicas, max(replicas + surge - old_wanted, current["spec"]["replicas"])))
    available = sum((r.get("status") or {}).get("availableReplicas", 0) for r in [current, *old])
    # Old pods go as far as enough others are available; those of them that are not available go anyway.
    spare = available - (replicas - unavailable)
    for replica_set in sorted(old, key=_revision_of):
        wanted = replica_set["spec"]["replicas"]
        broken = wanted - (replica_set.get("status") or {}).get("availableReplicas", 0)
        removed = min(wanted, max(broken, 0) + max(spare, 0))
        spare -= max(removed - max(broken, 0), 0)
        if removed:
            writes += _set_replicas(deployment, replica_set, wanted - removed)
    return writes


def _grow(deployment: Object, current: Object, replicas: int) -> list[Write]:
    return [] if current["spec"]["replicas"] == replicas else _set_replicas(deployment, current, replicas)


def _set_replicas(deployment: Object, replica_set: Object, replicas: int) -> list[Write]:
    before = replica_set["spec"]["replicas"]
    way = "up" if replicas > before else "down"
    message = f"Scaled {way} replica set {name_of(replica_set)} from {before} to {replicas}"
    return [
        Patch(REPLICA_SETS, replica_set, {"spec": {"replicas": replicas}}),
        Emit(deployment, "ScalingReplicaSet", message, SOURCE),
    ]


def _part(value: int | str, total: int, *, round_up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(value.rstrip("%")) * total
    return -(-percent // 100) if round_up else percent // 100


def _deployment_status(deployment: Object, current: Object, old: list[Object]) -> list[Write]:
    def total(sets: list[Object], field: str) -> int:
        return sum((r.get("status") or {}).get(field, 0) for r in sets)

    replicas, every = deployment["spec"].get("replicas", 1), [current, *old]
    available, updated = total(every, "availableReplicas"), total([current], "replicas")
    enough = available >= replicas
    done = updated == replicas and total(every, "replicas") == replicas and enough
    name = name_of(current)
    progress_reason, progress = (
        ("NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
        if done
        else ("ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    )
    conditions = [
        make_condition(condition(deployment, "Available"), "Available", enough,
                       "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
                       f"Deployment {'has' if enough else 'does not have'} minimum availability."),
        make_condition(condition(deployment, "Progressing"), "Progressing", True, progress_reason, progress),
    ]  # fmt: skip
    for made in conditions:
        made["lastUpdateTime"] = condition(deployment, made["type"]).get("lastUpdateTime", made["lastTransitionTime"])
    return status(
        DEPLOYMENTS,
        deployment,
        {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": total(every, "replicas") or None,
            "updatedReplicas": updated or None,
            "readyReplicas": total(every, "readyReplicas") or None,
            "availableReplicas": available or None,
            "unavailableReplicas": max(replicas - available, 0) or None,
            "conditions": conditions,
        },
    )


def reconcile_replica_set(replica_set: Object, pods: Iterable[Object]) -> list[Write]:
    """Keep as many pods as wanted, and the status."""
    if is_deleted(replica_set):
        return []
    mine = [p for p in owned(pods, replica_set) if not is_deleted(p) and not is_finished(p)]
    wanted = replica_set["spec"].get("replicas", 1)
    writes: list[Write] = []
    if len(mine) < wanted:
        pod = from_template(replica_set, replica_set["spec"]["template"], {})
        writes += [Create("v1/pods", pod)] * (wanted - len(mine))
    elif len(mine) > wanted:
        worst_first = sorted(mine, key=lambda p: (bool(p["spec"].get("nodeName")), is_ready(p)))
        writes += [Delete("v1/pods", p) for p in worst_first[: len(mine) - wanted]]
    min_ready = replica_set["spec"].get("minReadySeconds", 0)
    return writes + status(
        REPLICA_SETS,
        replica_set,
        {
            "replicas": len(mine),
            "fullyLabeledReplicas": len(mine) or None,
            "readyReplicas": sum(map(is_ready, mine)) or None,
            "availableReplicas": sum(is_available(p, min_ready) for p in mine) or None,
            "observedGeneration": replica_set["metadata"]["generation"],
        },
    )
