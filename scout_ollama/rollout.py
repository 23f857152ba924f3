"""How far a rollout of the Ollama DaemonSet is: judged from one reading of its objects, node by node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from scout_ollama import pods
from scout_ollama.manifests import KubeObject

NAME = "ollama"

# A node may be stuck for a moment and recover: a pull that is retried, GPUs that K3s's restart took away.
STUCK_SECONDS = 40


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


class Rollout(dict[str, NodeRollout]):
    """How far it is on each node, by the node's name."""

    @property
    def places(self) -> dict[str, str]:
        """Where each node's pod stands."""
        return {node: f"{state.pod or NAME}: {state.reason}" for node, state in self.items()}

    @property
    def is_done(self) -> bool:
        """Whether every node is ready."""
        return all(state.state == "ready" for state in self.values())

    @property
    def is_stuck(self) -> bool:
        """Whether some node is stuck, and none is on its way."""
        states = {state.state for state in self.values()}
        return "stuck" in states and "starting" not in states


def judge(objects: Sequence[KubeObject], nodes: Iterable[str]) -> Rollout:
    """Judge each node from itself and the namespace's DaemonSets, ControllerRevisions, pods and events.

    A pod is the wanted one when it carries the hash of the newest revision, and the controller has seen the newest
    generation; an old pod that is still ready is waiting to be replaced.
    """
    daemonset = _named(objects, "DaemonSet", NAME)
    hash_wanted = _newest_revision(objects, daemonset)
    ours = [obj for obj in objects if obj["kind"] == "Pod" and pods.is_owned_by(obj, daemonset)]
    return Rollout((node, _judge_node(node, pods.on_node(node, ours), hash_wanted, objects)) for node in nodes)


def is_ollama(pod: KubeObject) -> bool:
    """Whether a pod is one of the DaemonSet's."""
    owners = pod["metadata"].get("ownerReferences", [])
    return any(owner["kind"] == "DaemonSet" and owner["name"] == NAME for owner in owners)


def _judge_node(
    node: str, pod: KubeObject | None, hash_wanted: str | None, objects: Sequence[KubeObject]
) -> NodeRollout:
    if away := _away(_named(objects, "Node", node)):
        name = pod["metadata"]["name"] if pod else None
        return NodeRollout(node, "stuck", name, None, "its node is not ready", (away,))
    if pod is None:
        return _without_pod(node, hash_wanted, pods.warnings(objects, {NAME}))
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    address = status.get("podIP")
    if hash_wanted is None or pod["metadata"].get("labels", {}).get("controller-revision-hash") != hash_wanted:
        return NodeRollout(node, "waiting", name, address, "the old pod is still there")
    if pod["metadata"].get("deletionTimestamp"):
        return NodeRollout(node, "waiting", name, address, "its pod is stopping")
    if pods.condition(status, "Ready") == "True":
        return NodeRollout(node, "ready", name, address, "ready")
    events = pods.warnings(objects, {name})
    reason, hopeless = pods.why_not_ready(status, events)
    return NodeRollout(node, "stuck" if hopeless else "starting", name, address, reason, events)


def _away(node: KubeObject | None) -> str:
    """Return what Kubernetes says of a node that is not ready: nothing is replaced there until it is; else empty."""
    status = node.get("status", {}) if node else {}
    if pods.condition(status, "Ready") in (None, "True"):
        return ""
    return pods.message(status, "Ready") or "Kubernetes does not say why"


def _without_pod(node: str, hash_wanted: str | None, events: tuple[str, ...]) -> NodeRollout:
    """A DaemonSet that has been taken up and makes no pod for a node cannot, or does not count it among its nodes."""
    if hash_wanted is None:
        return NodeRollout(node, "waiting", None, None, "no pod yet", events)
    cannot = any(event.startswith(pods.HOPELESS_EVENTS) for event in events)
    return NodeRollout(node, "stuck", None, None, "no pod can be made" if cannot else "no pod yet", events)


def _named(objects: Iterable[KubeObject], kind: str, name: str) -> KubeObject | None:
    return next((obj for obj in objects if obj["kind"] == kind and obj["metadata"]["name"] == name), None)


def _newest_revision(objects: Iterable[KubeObject], daemonset: KubeObject | None) -> str | None:
    if (
        daemonset is None
        or daemonset.get("status", {}).get("observedGeneration") != daemonset["metadata"]["generation"]
    ):
        return None
    revisions = [obj for obj in objects if obj["kind"] == "ControllerRevision" and pods.is_owned_by(obj, daemonset)]
    newest = max(revisions, key=lambda revision: int(revision["revision"]), default=None)
    return newest["metadata"].get("labels", {}).get("controller-revision-hash") if newest else None
