"""The DaemonSet controller. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.standins.k3s.controllers.pods import from_template, is_available, is_finished, is_ready, owned
from lab.standins.k3s.objects import (
    Object,
    age_seconds,
    digest_of,
    is_deleted,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
)
from lab.standins.k3s.placement import daemon_belongs, pin_to_node
from lab.standins.k3s.writes import Create, Delete, Emit, Patch, Write, status

COLLECTION = "apps/v1/daemonsets"
SOURCE = "daemonset-controller"
HASH_LABEL = "controller-revision-hash"
FAILED_POD_SECONDS = 2.0  # how long a failed pod is left for people to see before it is replaced


@dataclass
class _Place:
    """One node: should a pod start here, may it stay, and those that are there."""

    node: Object
    should_run: bool
    may_stay: bool
    pods: list[Object]


def reconcile(
    daemon_set: Object, nodes: list[Object], pods: Iterable[Object], revisions: Iterable[Object]
) -> list[Write]:
    """What brings the set closer to its spec, and its status."""
    if is_deleted(daemon_set):
        return []
    mine = owned(pods, daemon_set)
    current_hash = digest_of(daemon_set["spec"]["template"])
    places = [_place(daemon_set, node, mine) for node in nodes]
    writes = _revision(daemon_set, owned(revisions, daemon_set), current_hash)
    writes += _manage(daemon_set, places, mine, current_hash)
    if not any(isinstance(w, Create | Delete) and w.collection == "v1/pods" for w in writes):
        writes += _update(daemon_set, places, current_hash)
    return writes + _status(daemon_set, places, current_hash)


def _place(daemon_set: Object, node: Object, mine: list[Object]) -> _Place:
    should_run, may_stay = daemon_belongs(daemon_set["spec"]["template"]["spec"], node)
    return _Place(node, should_run, may_stay, [p for p in mine if _node_of(p) == name_of(node)])


def _node_of(pod: Object) -> str:
    """The node that a daemon pod is on, or is meant for while it waits to be scheduled."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return str(required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0])


def _revision(daemon_set: Object, revisions: list[Object], current_hash: str) -> list[Write]:
    """A ControllerRevision for each template, the current one numbered highest, for `kubectl rollout history`."""
    newest = max((r["revision"] for r in revisions), default=0)
    current = next((r for r in revisions if labels_of(r).get(HASH_LABEL) == current_hash), None)
    if current is None:
        labels = {**(daemon_set["spec"]["template"].get("metadata", {}).get("labels") or {}), HASH_LABEL: current_hash}
        made: Object = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": f"{name_of(daemon_set)}-{current_hash}",
                "namespace": namespace_of(daemon_set),
                "labels": labels,
                "ownerReferences": [owner_reference(daemon_set)],
            },
            "data": {"spec": {"template": {**daemon_set["spec"]["template"], "$patch": "replace"}}},
            "revision": newest + 1,
        }
        return [Create("apps/v1/controllerrevisions", made)]
    if current["revision"] < newest:
        return [Patch("apps/v1/controllerrevisions", current, {"revision": newest + 1})]
    return []


def _manage(daemon_set: Object, places: list[_Place], mine: list[Object], current_hash: str) -> list[Write]:
    """One pod on each node that should have one, none elsewhere; failed pods are replaced."""
    writes: list[Write] = []
    for place in places:
        living = [p for p in place.pods if not is_deleted(p)]
        failed = [p for p in living if is_finished(p)]
        for pod in failed:
            writes += _kill_failed(daemon_set, pod, name_of(place.node))
        running = [p for p in living if p not in failed]
        if not place.may_stay:
            writes += [Delete("v1/pods", p) for p in running]
        elif len(running) > 1:
            oldest_first = sorted(running, key=lambda p: p["metadata"]["creationTimestamp"])
            writes += [Delete("v1/pods", p) for p in oldest_first[1:]]
        # A pod that is still going holds its place: delete, then create.
        elif place.should_run and not place.pods:
            writes.append(_create(daemon_set, name_of(place.node), current_hash))
    known = {name_of(place.node) for place in places}
    writes += [Delete("v1/pods", p) for p in mine if _node_of(p) not in known and not is_deleted(p)]
    return writes


def _kill_failed(daemon_set: Object, pod: Object, node: str) -> list[Write]:
    if age_seconds(pod["metadata"]["creationTimestamp"]) < FAILED_POD_SECONDS:
        return []
    message = f"Found failed daemon pod {namespace_of(pod)}/{name_of(pod)} on node {node}, will try to kill it"
    return [Emit(daemon_set, "FailedDaemonPod", message, SOURCE, warning=True), Delete("v1/pods", pod)]


def _create(daemon_set: Object, node: str, current_hash: str) -> Create:
    template = daemon_set["spec"]["template"]
    generation = str(daemon_set["metadata"]["generation"])
    pod = from_template(daemon_set, template, {HASH_LABEL: current_hash, "pod-template-generation": generation})
    return Create("v1/pods", {**pod, "spec": pin_to_node(pod["spec"], node)})


def _update(daemon_set: Object, places: list[_Place], current_hash: str) -> list[Write]:
    """Delete old pods, as many at once as may be unavailable; those that are unavailable already go first."""
    strategy = daemon_set["spec"].get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") != "RollingUpdate":
        return []
    wanted = [p for p in places if p.should_run]
    allowed = _count((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(wanted))
    min_ready = daemon_set["spec"].get("minReadySeconds", 0)
    unavailable = 0
    old_unavailable: list[Object] = []
    old_available: list[Object] = []
    for place in wanted:
        pod = next((p for p in place.pods if not is_deleted(p)), None)
        available = pod is not None and is_available(pod, min_ready)
        unavailable += not available
        if pod is not None and labels_of(pod).get(HASH_LABEL) != current_hash:
            (old_available if available else old_unavailable).append(pod)
    room = max(allowed - unavailable, 0)
    return [Delete("v1/pods", p) for p in [*old_unavailable, *old_available[:room]]]


def _count(value: int | str, total: int) -> int:
    """maxUnavailable as a number of pods: percentages round up, at least one."""
    if isinstance(value, int):
        return value
    return max(-(-int(value.rstrip("%")) * total // 100), 1)


def _status(daemon_set: Object, places: list[_Place], current_hash: str) -> list[Write]:
    min_ready = daemon_set["spec"].get("minReadySeconds", 0)
    desired = [p for p in places if p.should_run]
    present = [[pod for pod in p.pods if not is_deleted(pod)] for p in desired]
    available = sum(any(is_available(pod, min_ready) for pod in pods) for pods in present)
    wanted: Object = {
        "currentNumberScheduled": sum(bool(pods) for pods in present),
        "numberMisscheduled": sum(bool(p.pods) for p in places if not p.should_run),
        "desiredNumberScheduled": len(desired),
        "numberReady": sum(any(is_ready(pod) for pod in pods) for pods in present),
        "observedGeneration": daemon_set["metadata"]["generation"],
        "updatedNumberScheduled": sum(
            any(labels_of(pod).get(HASH_LABEL) == current_hash for pod in pods) for pods in present
        ),
        # Left out when zero, as the API does.
        "numberAvailable": available or None,
        "numberUnavailable": (len(desired) - available) or None,
    }
    return status(COLLECTION, daemon_set, wanted)
