"""Why a pod is not where it should be, from what Kubernetes says of it: for whoever waits, and for who reads of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scout_ollama.manifests import KubeObject

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


def why_not_ready(status: Mapping[str, Any], events: Sequence[str]) -> tuple[str, bool]:
    """Return why a pod of this status is not ready, and whether it will not be until somebody puts something right.

    ``events`` are the warnings about it, as ``warnings`` returns them.
    """
    if status.get("phase") == "Failed":
        return f"{status.get('reason', 'Failed')}: {status.get('message', '')}".strip(": "), True
    for container in containers(status):
        waiting = container.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") in HOPELESS:
            # How long the kubelet waits before it tries again, which is all that it adds here, changes every time.
            said = "" if waiting["reason"] == "CrashLoopBackOff" else waiting.get("message", "")
            return f"{waiting['reason']}: {said}".strip(": "), True
    if is_running(status):
        return "starting", False
    if any(event.startswith(HOPELESS_EVENTS) for event in events):
        return "it cannot be set up", True
    if condition(status, "PodScheduled") == "False":
        return "it finds no place: " + message(status, "PodScheduled"), True
    return "starting", False


def containers(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the statuses of a pod's containers, in the order in which they start: init containers first."""
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def is_running(status: Mapping[str, Any]) -> bool:
    """Whether any container of a pod runs, an init container too."""
    return any("running" in container.get("state", {}) for container in containers(status))


def failing_container(status: Mapping[str, Any]) -> str:
    """Return the name of the container whose log tells most: the first that is not through; empty if there is none."""
    for container in containers(status):
        ended = container.get("state", {}).get("terminated")
        if not (ended and ended.get("exitCode") == 0):
            return str(container.get("name", ""))
    return ""


def is_ready(pod: KubeObject) -> bool:
    """Whether a pod is ready, and is not about to go."""
    return not pod["metadata"].get("deletionTimestamp") and condition(pod.get("status", {}), "Ready") == "True"


def condition(status: Mapping[str, Any], kind: str) -> str | None:
    """Return what a condition of that type is: ``True``, ``False``, ``Unknown``, or None if there is none."""
    return next((c["status"] for c in status.get("conditions", []) if c["type"] == kind), None)


def message(status: Mapping[str, Any], kind: str) -> str:
    """Return what a condition of that type says; empty if there is none."""
    return next((c.get("message", "") for c in status.get("conditions", []) if c["type"] == kind), "")


def warnings(objects: Iterable[KubeObject], names: set[str]) -> tuple[str, ...]:
    """Return the latest warnings about some objects, ``Reason: message`` each, once each, the newest last."""
    events = [
        obj
        for obj in objects
        if obj["kind"] == "Event" and obj.get("type") == "Warning" and obj["involvedObject"].get("name") in names
    ]
    events.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return tuple(dict.fromkeys(f"{event.get('reason', 'Warning')}: {event.get('message', '')}" for event in events))[
        -5:
    ]


def on_node(node: str, candidates: Iterable[KubeObject]) -> KubeObject | None:
    """Return the newest pod of a node: for a moment there are an old one, stopping, and a new one."""
    return newest(pod for pod in candidates if _node_of(pod) == node)


def newest(candidates: Iterable[KubeObject]) -> KubeObject | None:
    """Return the pod that was made last; None if there is none."""
    return max(candidates, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)


def is_owned_by(obj: KubeObject, owner: KubeObject | None) -> bool:
    """Whether an object was made by another one's controller."""
    uid = owner and owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in obj["metadata"].get("ownerReferences", []))


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
