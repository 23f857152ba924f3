"""Where a pod may run, and the scheduler's words when it may not. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.standins.k3s.objects import Object, labels_of, name_of, quantity, requests_of
from lab.standins.k3s.selectors import matches_node

AFFINITY = "node(s) didn't match Pod's node affinity/selector"
UNSCHEDULABLE = "node(s) were unschedulable"
TAINT = "node(s) had untolerated taint(s)"
PORTS = "node(s) didn't have free ports for the requested pod ports"

NOT_PINNED = "node(s) didn't satisfy plugin(s) [NodeAffinity]"
NO_CLAIMS = "no new claims to deallocate"
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"

UNSCHEDULABLE_TAINT = "node.kubernetes.io/unschedulable"

# What the DaemonSet controller adds to its pods, so that a sick node does not lose its daemons.
DAEMON_TOLERATIONS = [
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists", "effect": "NoSchedule"},
    {"key": UNSCHEDULABLE_TAINT, "operator": "Exists", "effect": "NoSchedule"},
]


def tolerates(tolerations: Iterable[Mapping[str, Any]], taint: Mapping[str, Any]) -> bool:
    """Whether any of the tolerations tolerates the taint."""
    return any(_tolerates(t, taint) for t in tolerations)


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def untolerated(pod_spec: Mapping[str, Any], node: Object, effects: tuple[str, ...]) -> list[Object]:
    """The node's taints with these effects that the pod does not tolerate."""
    tolerations = pod_spec.get("tolerations") or []
    taints = (node.get("spec") or {}).get("taints") or []
    return [t for t in taints if t["effect"] in effects and not tolerates(tolerations, t)]


def selects_node(pod_spec: Mapping[str, Any], node: Object) -> bool:
    """Whether nodeSelector and the required node affinity admit the node."""
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (pod_spec.get("nodeSelector") or {}).items()):
        return False
    required = _required_affinity(pod_spec)
    return required is None or any(matches_node(term, node) for term in required.get("nodeSelectorTerms") or [])


def _required_affinity(pod_spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    affinity = (pod_spec.get("affinity") or {}).get("nodeAffinity") or {}
    required: Mapping[str, Any] | None = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return required


def daemon_belongs(pod_spec: Mapping[str, Any], node: Object) -> tuple[bool, bool]:
    """(should a new daemon pod run here, may a running one stay), as the DaemonSet controller decides."""
    tolerant = {**pod_spec, "tolerations": [*(pod_spec.get("tolerations") or []), *DAEMON_TOLERATIONS]}
    if not selects_node(pod_spec, node):
        return False, False
    may_stay = not untolerated(tolerant, node, ("NoExecute",))
    return may_stay and not untolerated(tolerant, node, ("NoSchedule",)), may_stay


def pin_to_node(pod_spec: Object, node_name: str) -> Object:
    """A daemon pod's spec: its affinity replaced by one on the node's name, as the DaemonSet controller does."""
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node_name]}]}
    affinity = dict(pod_spec.get("affinity") or {})
    node_affinity = dict(affinity.get("nodeAffinity") or {})
    required = dict(node_affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {})
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [{**t, "matchFields": term["matchFields"]} for t in terms]
    node_affinity["requiredDuringSchedulingIgnoredDuringExecution"] = required
    affinity["nodeAffinity"] = node_affinity
    tolerations = [*(pod_spec.get("tolerations") or []), *DAEMON_TOLERATIONS]
    return {**pod_spec, "affinity": affinity, "tolerations": tolerations}


def pinned_nodes(pod_spec: Mapping[str, Any]) -> set[str] | None:
    """The node names that matchFields narrows a pod to, or None when every node is looked at."""
    required = _required_affinity(pod_spec)
    terms = (required or {}).get("nodeSelectorTerms") or []
    names: set[str] = set()
    for term in terms:
        fields = [f for f in term.get("matchFields") or [] if f["key"] == "metadata.name" and f["operator"] == "In"]
        if not fields:
            return None
        names.update(fields[0]["values"])
    return names if terms else None


@dataclass
class Verdict:
    """What the scheduler decided: a node, or its message why none."""

    node: str | None
    message: str = ""


@dataclass
class Refusal:
    """Why one node cannot take a pod; `final` when evicting other pods could not change that."""

    reasons: list[str] = field(default_factory=list)
    final: bool = False


def schedule(pod: Object, nodes: list[Object], pods: Iterable[Object]) -> Verdict:
    """Choose the node with the fewest pods among those that can take the pod."""
    if unknown := _unknown_constraint(pod["spec"]):
        return Verdict(None, f"0/{len(nodes)} nodes are available: {unknown} is not supported by this stand-in.")
    by_node: dict[str, list[Object]] = {name_of(n): [] for n in nodes}
    for other in pods:
        if (other.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
            by_node.get(other["spec"].get("nodeName", ""), []).append(other)
    pinned = pinned_nodes(pod["spec"])
    looked_at = [n for n in nodes if pinned is None or name_of(n) in pinned]
    refusals: list[Refusal] = []
    fitting: list[Object] = []
    for node in looked_at:
        refusal = refuse(pod["spec"], node, by_node[name_of(node)])
        if refusal is None:
            fitting.append(node)
        else:
            refusals.append(refusal)
    if fitting:
        best = min(fitting, key=lambda n: (len(by_node[name_of(n)]), name_of(n)))
        return Verdict(name_of(best))
    return Verdict(None, _failure_message(len(nodes), refusals))


def _unknown_constraint(pod_spec: Mapping[str, Any]) -> str | None:
    """A hard constraint on the places of other pods."""
    affinity = pod_spec.get("affinity") or {}
    for kind in ("podAffinity", "podAntiAffinity"):
        if (affinity.get(kind) or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            return kind
    spread = pod_spec.get("topologySpreadConstraints") or []
    hard = any(c.get("whenUnsatisfiable", "DoNotSchedule") == "DoNotSchedule" for c in spread)
    return "topologySpreadConstraints" if hard else None


def refuse(pod_spec: Mapping[str, Any], node: Object, running: Iterable[Object]) -> Refusal | None:
    """Why the node cannot take the pod beside those running there, in the order of the scheduler's filters."""
    running = list(running)
    if (node.get("spec") or {}).get("unschedulable") and not tolerates(
        pod_spec.get("tolerations") or [], {"key": UNSCHEDULABLE_TAINT, "effect": "NoSchedule"}
    ):
        return Refusal([UNSCHEDULABLE], final=True)
    if untolerated(pod_spec, node, ("NoSchedule", "NoExecute")):
        return Refusal([TAINT], final=True)
    if not selects_node(pod_spec, node):
        return Refusal([AFFINITY], final=True)
    if host_ports(pod_spec) & {port for other in running for port in host_ports(other["spec"])}:
        return Refusal([PORTS])
    lacking = insufficient(pod_spec, node, running)
    return Refusal([f"Insufficient {resource}" for resource in lacking]) if lacking else None


def insufficient(pod_spec: Mapping[str, Any], node: Object, running: Iterable[Object]) -> list[str]:
    """The resources that the node has not enough of beside the pods running there."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    free = {resource: quantity(amount) for resource, amount in allocatable.items()}
    for other in running:
        for resource, amount in requests_of(other["spec"]).items():
            free[resource] = free.get(resource, 0.0) - amount
    wanted = requests_of(pod_spec)
    return sorted(resource for resource, amount in wanted.items() if amount > max(free.get(resource, 0.0), 0.0))


def host_ports(pod_spec: Mapping[str, Any]) -> set[tuple[str, int]]:
    """(protocol, port) pairs that the pod takes on its node."""
    return {
        (port.get("protocol", "TCP"), port["hostPort"])
        for container in pod_spec.get("containers") or []
        for port in container.get("ports") or []
        if port.get("hostPort")
    }


def _failure_message(total: int, refusals: list[Refusal]) -> str:
    if total == 0:
        return "no nodes available to schedule pods"
    head = f"0/{total} nodes are available:"
    reasons = Counter(reason for refusal in refusals for reason in refusal.reasons)
    if left_out := total - len(refusals):
        reasons[NOT_PINNED] = left_out
    found = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    helpless = total - sum(not r.final for r in refusals)
    words = Counter({NO_VICTIMS: total - helpless, NOT_HELPFUL: helpless})
    preemption = ", ".join(sorted(f"{count} {word}" for word, count in words.items() if count))
    return f"{head} {found}. {NO_CLAIMS}, preemption: {head} {preemption}."
