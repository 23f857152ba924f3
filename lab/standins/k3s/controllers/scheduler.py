"""The scheduler: binds pods that have no node, or says why it cannot. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.objects import Object, condition, is_deleted, make_condition
from lab.standins.k3s.placement import schedule
from lab.standins.k3s.writes import Bind, Emit, Patch, Write

SOURCE = "default-scheduler"


def reconcile(nodes: list[Object], pods: Iterable[Object]) -> list[Write]:
    """Bindings for as many pods as fit, each counted before the next is placed."""
    placed = [p for p in pods if p["spec"].get("nodeName")]
    waiting = [p for p in pods if not p["spec"].get("nodeName") and not is_deleted(p)]
    writes: list[Write] = []
    for pod in sorted(waiting, key=lambda p: str(p["metadata"]["creationTimestamp"])):
        if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        verdict = schedule(pod, nodes, placed)
        if verdict.node is not None:
            writes.append(Bind(pod, verdict.node))
            placed.append({**pod, "spec": {**pod["spec"], "nodeName": verdict.node}})
        else:
            writes += _failed(pod, verdict.message)
    return writes


def _failed(pod: Object, message: str) -> list[Write]:
    current = condition(pod, "PodScheduled")
    if current.get("message") == message:
        return []
    made = make_condition(current, "PodScheduled", False, "Unschedulable", message)
    return [
        Emit(pod, "FailedScheduling", message, SOURCE, warning=True),
        Patch("v1/pods", pod, {"status": {"phase": "Pending", "conditions": [made]}}, status=True),
    ]
