"""The node lifecycle controller: a node whose lease is not renewed is unreachable. Pure but for its memory of leases.

Leases are compared with what was seen before, never with the clock: a host whose clock is wrong is not unreachable.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.standins.k3s.objects import (
    Object,
    condition,
    is_deleted,
    is_true,
    make_condition,
    name_of,
    namespace_of,
    timestamp,
)
from lab.standins.k3s.placement import untolerated
from lab.standins.k3s.writes import Delete, Emit, Patch, Write

GRACE_SECONDS = 6.0
UNREACHABLE = "node.kubernetes.io/unreachable"
NOT_READY = "node.kubernetes.io/not-ready"


@dataclass
class Heartbeats:
    """When each node's lease was last seen to change, by this process's monotonic clock."""

    seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def observe(self, leases: Iterable[Object], now: float) -> None:
        for lease in leases:
            renewed = str(lease["spec"].get("renewTime", ""))
            if self.seen.get(name_of(lease), ("", 0.0))[0] != renewed:
                self.seen[name_of(lease)] = (renewed, now)

    def missing(self, node: Object, now: float) -> bool:
        """A node without any lease is given the same time from when it is first asked about."""
        _, moment = self.seen.setdefault(name_of(node), ("", now))
        return now - moment > GRACE_SECONDS


def reconcile(node: Object, pods: Iterable[Object], *, missing: bool) -> list[Write]:
    """Condition Unknown and taints of a node that is missing, and its pods not ready; the taints go when it is back."""
    ready = condition(node, "Ready").get("status", "Unknown")
    writes: list[Write] = []
    if missing and ready != "Unknown":
        writes.append(_unknown(node))
        writes.append(
            Emit(node, "NodeNotReady", f"Node {name_of(node)} status is now: NodeNotReady", "node-controller")
        )
    if missing:
        writes += [_not_ready(p) for p in pods if p["spec"].get("nodeName") == name_of(node) and is_true(p, "Ready")]
    writes += _evict(node, pods)
    state = "Unknown" if missing else ready
    wanted = _taints(node, {"True": None, "False": NOT_READY}.get(state, UNREACHABLE))
    current = (node.get("spec") or {}).get("taints") or []
    if [_identity(t) for t in wanted] != [_identity(t) for t in current]:
        writes.append(Patch("v1/nodes", node, {"spec": {"taints": wanted or None}}))
    return writes


def _evict(node: Object, pods: Iterable[Object]) -> list[Write]:
    """End pods that do not tolerate a NoExecute taint; those that do for a time are left alone for good."""
    writes: list[Write] = []
    for pod in pods:
        here = pod["spec"].get("nodeName") == name_of(node) and not is_deleted(pod)
        if here and untolerated(pod["spec"], node, ("NoExecute",)):
            message = f"Marking for deletion Pod {namespace_of(pod)}/{name_of(pod)}"
            writes += [Emit(pod, "TaintManagerEviction", message, "taint-eviction-controller"), Delete("v1/pods", pod)]
    return writes


def _unknown(node: Object) -> Patch:
    words = "Kubelet stopped posting node status."
    kept = [c for c in node["status"].get("conditions") or [] if c["type"] != "Ready"]
    made = make_condition(condition(node, "Ready"), "Ready", "Unknown", "NodeStatusUnknown", words)
    made["lastHeartbeatTime"] = condition(node, "Ready").get("lastHeartbeatTime", timestamp())
    return Patch("v1/nodes", node, {"status": {"conditions": [*kept, made]}}, status=True)


def _not_ready(pod: Object) -> Patch:
    """The pod's Ready alone: whether its containers run nobody knows."""
    conditions = [make_condition(c, "Ready", False) if c["type"] == "Ready" else c for c in pod["status"]["conditions"]]
    return Patch("v1/pods", pod, {"status": {"conditions": conditions}}, status=True)


def _taints(node: Object, key: str | None) -> list[Object]:
    kept = [t for t in (node.get("spec") or {}).get("taints") or [] if t["key"] not in (UNREACHABLE, NOT_READY)]
    if (node.get("spec") or {}).get("unschedulable"):
        cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
        kept = [t for t in kept if t["key"] != cordon["key"]] + [cordon]
    else:
        kept = [t for t in kept if t["key"] != "node.kubernetes.io/unschedulable"]
    return kept + ([{"key": key, "effect": "NoSchedule"}, {"key": key, "effect": "NoExecute"}] if key else [])


def _identity(taint: Object) -> tuple[str, str, str]:
    return taint["key"], taint.get("value", ""), taint["effect"]
