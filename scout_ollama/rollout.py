"""How far a rollout of the Ollama DaemonSet is: judged from one reading of its objects, node by node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from scout_ollama.errors import Trouble
from scout_ollama.manifests import KubeObject

NAME = "ollama"

# Reasons a kubelet gives for a container that will not start until somebody puts something right.
HOPELESS = frozenset(
    {
        "ImagePullBackOff",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
        "CrashLoopBackOff",
        "RunContainerError",
    }
)
# Warnings that mean the same while no container runs: the volume, the runtime or the pod itself cannot be made.
HOPELESS_EVENTS = ("FailedMount: ", "FailedCreatePodSandBox: ", "FailedCreate: ")


MOST_SECONDS = 1800
# A node may be stuck for a moment and recover: a pull that is retried, GPUs that K3s's restart took away.
STUCK_SECONDS = 40
# The API itself may be away for a moment, while K3s restarts or etcd elects.
UNANSWERED_SECONDS = 60
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class NodeRollout:
    """One node.

    ``ready`` serves the wanted pod, on ``starting`` the wanted pod is on its way, ``waiting`` has its turn to come, and
    ``stuck`` will get no further without help.
    """

    node: str
    state: Literal["ready", "starting", "waiting", "stuck"]
    pod: str | None
    address: str | None
    reason: str
    events: tuple[str, ...] = ()


def judge(objects: Sequence[KubeObject], nodes: Iterable[str]) -> dict[str, NodeRollout]:
    """Judge each node from the namespace's DaemonSets, ControllerRevisions, pods and events.

    A pod is the wanted one when it carries the hash of the newest revision, and the controller has seen the newest
    generation; an old pod that is still ready is waiting to be replaced.
    """
    daemonset = _named(objects, "DaemonSet", NAME)
    hash_wanted = _newest_revision(objects, daemonset)
    pods = [obj for obj in objects if obj["kind"] == "Pod" and _owned_by(obj, daemonset)]
    return {node: _judge_node(node, _pod_on(node, pods), hash_wanted, objects) for node in nodes}


def wait(
    read: Callable[[], Sequence[KubeObject]],
    nodes: Sequence[str],
    progress: Callable[[NodeRollout], None],
    *,
    most_seconds: float = MOST_SECONDS,
    stuck_seconds: float = STUCK_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> dict[str, NodeRollout]:
    """Read again and again until every node is ready, or some are stuck and nothing moves; return the last judgement.

    ``progress`` hears of each node whenever its state or its reason changes.

    Raises:
        Trouble: the cluster did not answer for a minute.
    """
    deadline = time.monotonic() + most_seconds
    seen: dict[str, NodeRollout] = {}
    answered = moved = time.monotonic()
    while True:
        try:
            now = judge(read(), nodes)
        except Trouble:
            if time.monotonic() - answered > UNANSWERED_SECONDS:
                raise
            time.sleep(poll_seconds)
            continue
        answered = time.monotonic()
        for node, state in now.items():
            before = seen.get(node)
            if before is None or (before.state, before.reason, before.pod) != (state.state, state.reason, state.pod):
                moved = time.monotonic()
                progress(state)
        seen = now
        if all(state.state == "ready" for state in now.values()) or time.monotonic() > deadline:
            return now
        states = {state.state for state in now.values()}
        if "stuck" in states and "starting" not in states and time.monotonic() - moved > stuck_seconds:
            return now
        time.sleep(poll_seconds)


def is_ollama(pod: KubeObject) -> bool:
    """Whether a pod is one of the DaemonSet's."""
    owners = pod["metadata"].get("ownerReferences", [])
    return any(owner["kind"] == "DaemonSet" and owner["name"] == NAME for owner in owners)


def serves(pod: KubeObject) -> bool:
    """Whether a pod is ready, and is not about to go."""
    return not pod["metadata"].get("deletionTimestamp") and _condition(pod.get("status", {}), "Ready") == "True"


def _judge_node(
    node: str, pod: KubeObject | None, hash_wanted: str | None, objects: Sequence[KubeObject]
) -> NodeRollout:
    if pod is None:
        return _without_pod(node, hash_wanted, _warnings(objects, {NAME}))
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    address = status.get("podIP")
    if hash_wanted is None or pod["metadata"]["labels"].get("controller-revision-hash") != hash_wanted:
        return NodeRollout(node, "waiting", name, address, "the old pod is still there")
    if pod["metadata"].get("deletionTimestamp"):
        return NodeRollout(node, "waiting", name, address, "its pod is stopping")
    if _condition(status, "Ready") == "True":
        return NodeRollout(node, "ready", name, address, "ready")
    events = _warnings(objects, {name})
    reason, hopeless = _why_not_ready(status, events)
    return NodeRollout(node, "stuck" if hopeless else "starting", name, address, reason, events)


def _without_pod(node: str, hash_wanted: str | None, events: tuple[str, ...]) -> NodeRollout:
    """A DaemonSet that has been taken up and makes no pod for a node cannot, or does not count it among its nodes."""
    if hash_wanted is None:
        return NodeRollout(node, "waiting", None, None, "no pod yet", events)
    cannot = any(event.startswith(HOPELESS_EVENTS) for event in events)
    return NodeRollout(node, "stuck", None, None, "no pod can be made" if cannot else "no pod yet", events)


def _why_not_ready(status: Mapping[str, Any], events: Sequence[str]) -> tuple[str, bool]:
    if status.get("phase") == "Failed":
        return f"{status.get('reason', 'Failed')}: {status.get('message', '')}".strip(": "), True
    containers = status.get("containerStatuses", [])
    if any("running" in container.get("state", {}) for container in containers):
        return "starting", False
    for container in containers:
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") in HOPELESS:
            return f"{waiting['reason']}: {waiting.get('message', '')}".strip(": "), True
    if any(event.startswith(HOPELESS_EVENTS) for event in events):
        return "it cannot be set up", True
    if _condition(status, "PodScheduled") == "False":
        return "it finds no place: " + _message(status, "PodScheduled"), True
    return "starting", False


def _named(objects: Iterable[KubeObject], kind: str, name: str) -> KubeObject | None:
    return next((obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == name), None)


def _owned_by(obj: KubeObject, owner: KubeObject | None) -> bool:
    uid = owner and owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in obj["metadata"].get("ownerReferences", []))


def _newest_revision(objects: Iterable[KubeObject], daemonset: KubeObject | None) -> str | None:
    if (
        daemonset is None
        or daemonset.get("status", {}).get("observedGeneration") != daemonset["metadata"]["generation"]
    ):
        return None
    revisions = [obj for obj in objects if obj["kind"] == "ControllerRevision" and _owned_by(obj, daemonset)]
    newest = max(revisions, key=lambda revision: int(revision["revision"]), default=None)
    return newest["metadata"]["labels"]["controller-revision-hash"] if newest else None


def _pod_on(node: str, pods: Iterable[KubeObject]) -> KubeObject | None:
    """Return the newest pod of a node: for a moment there are an old one, stopping, and a new one."""
    there = [pod for pod in pods if _node_of(pod) == node]
    return max(there, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def _node_of(pod: KubeObject) -> str | None:
    """Return the node of a pod; one that is not scheduled yet names it in its affinity, as DaemonSets do."""
    spec = pod["spec"]
    if "nodeName" in spec:
        return str(spec["nodeName"])
    required = (
        spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    )
    for term in required.get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            if field["key"] == "metadata.name":
                return str(field["values"][0])
    return None


def _condition(status: Mapping[str, Any], kind: str) -> str | None:
    return next((c["status"] for c in status.get("conditions", []) if c["type"] == kind), None)


def _message(status: Mapping[str, Any], kind: str) -> str:
    return next((c.get("message", "") for c in status.get("conditions", []) if c["type"] == kind), "")


def _warnings(objects: Iterable[KubeObject], names: set[str]) -> tuple[str, ...]:
    """Return the latest warnings about some objects, ``Reason: message`` each, once each, the newest last."""
    events = [
        obj
        for obj in objects
        if obj["kind"] == "Event" and obj.get("type") == "Warning" and obj["involvedObject"]["name"] in names
    ]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return tuple(dict.fromkeys(f"{event['reason']}: {event.get('message', '')}" for event in events))[-5:]
