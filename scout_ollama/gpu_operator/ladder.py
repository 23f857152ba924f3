"""The ladder to working GPUs: each rung can be green while the next is red, so each is judged, in order, on each node.

Judged from one reading, with no memory: what an earlier release left behind (a Job that is complete, a policy that is
ready, pods that run) is told apart by what it says of itself, never by having been seen before.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from scout_ollama import pods
from scout_ollama.gpu_operator.state import CHARTS, NAMESPACE, OperatorState, moment
from scout_ollama.manifests import KubeObject

Stand = Literal["done", "moving", "stuck"]
RungName = Literal["chart", "operator", "node", "labels", "plugin", "features", "validator", "policy"]
OF_NODE: tuple[RungName, ...] = ("node", "labels", "plugin", "features", "validator")
"""The rungs that each node has for itself; the others are the cluster's."""

CONFIG_HASH = "helmcharts.helm.cattle.io/configHash"
LABEL_LENGTH = 63
# K3s's Helm controller acts on a change within seconds; a Job that is there for longer is not about to be replaced.
TAKEN_UP_SECONDS = 60
NFD_LABEL = re.compile(r"feature\.node\.kubernetes\.io/pci-(\d+_)?10de\.present")
VALIDATOR = {"app": "nvidia-operator-validator"}
NOT_ASKED = "not asked, as some host has trouble"
NOTHING_TO_BE_READY = ("NFDLabelsMissing", "NoGPUNodes")


@dataclass(frozen=True)
class Rung:
    """One rung: ``done``; ``moving``, as something is being pulled or started; or ``stuck`` unless somebody helps.

    A stuck one may still come loose by itself, so whoever waits has patience. ``pod`` (with ``container``) is the one
    whose log tells why, in ``namespace``; ``events`` are warnings about it, and ``is_hopeless`` says that it failed;
    ``said`` is what it said when it last ended. ``is_final``: nothing tries again by itself.
    """

    name: RungName
    stand: Stand
    reason: str
    pod: str = ""
    container: str = ""
    namespace: str = NAMESPACE
    events: tuple[str, ...] = ()
    is_hopeless: bool = False
    said: str = ""
    is_final: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the next rung may be looked at."""
        return self.stand == "done"

    @property
    def is_crashing(self) -> bool:
        """Whether its pod is started again and again, each time after a longer while."""
        return "CrashLoopBackOff" in self.reason


@dataclass(frozen=True)
class Wanted:
    """What shall stand: GPUs by node, and every image that the chart uses.

    ``replaced`` is the uid of a Job that this run has made out of date by changing the HelmChart. ``whole``: the nodes
    are all of the cluster that have GPUs; a policy that covers others too says nothing about these. ``features``: the
    chart brings what describes GPUs by labels.
    """

    gpus: Mapping[str, int]
    images: Collection[str]
    replaced: str = ""
    whole: bool = True
    features: bool = True


@dataclass(frozen=True)
class Ladder:
    """The cluster's rungs, of which the last comes after all nodes', and each node's."""

    cluster: tuple[Rung, ...]
    nodes: Mapping[str, tuple[Rung, ...]] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether every rung is done, everywhere."""
        return all(rung.is_done for rung in self)

    def __iter__(self) -> Iterator[Rung]:
        yield from self.cluster
        for rungs in self.nodes.values():
            yield from rungs

    def at(self) -> dict[str, Rung]:
        """Return where it stands: the cluster's first rung that is not done, under ``""``, else each node's.

        A node's rung means nothing while the cluster's below it are not done; the policy comes after all nodes.
        """
        *below, above = self.cluster
        if rung := _first(below):
            return {"": rung}
        nodes = {node: rung for node, rungs in self.nodes.items() if (rung := _first(rungs))}
        return nodes or ({} if above.is_done else {"": above})


def judge(state: OperatorState, wanted: Wanted) -> Ladder:
    """Judge every rung from one reading."""
    # A pod of the operator's own may have been on a node that is away: the GPUs of the others do not need it.
    is_whole = wanted.whole and all(map(_is_ready, state.nodes.values()))
    operator, policy = (
        rung if is_whole or rung.stand != "stuck" else Rung(rung.name, "done", NOT_ASKED)
        for rung in (_operator(state, wanted), _policy(state))
    )
    return Ladder(
        (_chart(state, wanted.replaced), operator, policy),
        {node: tuple(_node(state, wanted, node)) for node in wanted.gpus},
    )


def _first(rungs: Sequence[Rung]) -> Rung | None:
    return next((rung for rung in rungs if not rung.is_done), None)


def _chart(state: OperatorState, replaced: str) -> Rung:
    chart, job = state.chart, state.job
    if chart is None:
        return Rung("chart", "stuck", "there is no HelmChart")
    if chart.is_going:
        return Rung("chart", "stuck", "the HelmChart is being deleted")
    if job is None or job["metadata"]["uid"] == replaced or _is_older(job, state):
        return Rung("chart", "stuck", "K3s's Helm controller has not taken it up yet")
    pod = pods.newest([p for p in _pods(state, CHARTS) if pods.is_owned_by(p, job)])
    status = job.get("status", {})
    if pods.condition(status, "Failed") == "True":
        why = chart.failure or pods.message(status, "Failed") or "Helm failed"
        return replace(_at_pod("chart", state, pod, why, CHARTS), is_final=True)
    if pods.condition(status, "Complete") != "True":
        return _at_pod("chart", state, pod, "Helm runs", CHARTS)
    return _release(state, job)


def _is_older(job: KubeObject, state: OperatorState) -> bool:
    """Whether a Job is from before the chart was last changed, and the controller may be about to replace it."""
    chart = state.chart
    made = moment(job["metadata"]["creationTimestamp"])
    return chart is not None and made < chart.applied and chart.age < TAKEN_UP_SECONDS


def _release(state: OperatorState, job: KubeObject) -> Rung:
    if not state.releases:
        return Rung("chart", "stuck", "Helm's Job is complete, and there is no release")
    newest = state.releases[0]
    number, status = newest.get("version", "?"), newest.get("status", "unknown")
    if status != "deployed":
        return Rung("chart", "stuck", f"Helm's release {number} is {status}")
    # K3s since v1.32 or so writes which configuration a release is of; before that, it does not.
    annotations = job["spec"]["template"].get("metadata", {}).get("annotations", {})
    wanted = str(annotations.get(CONFIG_HASH, "")).partition("=")[2][:LABEL_LENGTH]
    if newest.get(CONFIG_HASH, wanted) != wanted:
        return Rung("chart", "stuck", f"Helm's release {number} is of another configuration")
    return Rung("chart", "done", f"release {number}")


def _operator(state: OperatorState, wanted: Wanted) -> Rung:
    """The operator itself, then what finds the GPUs: node feature discovery, which the chart brings along."""
    deployments = [obj for obj in state.objects if obj["kind"] == "Deployment"]
    if not any(obj["metadata"]["name"] == "gpu-operator" for obj in deployments):
        return Rung("operator", "stuck", "there is no Deployment gpu-operator")
    for deployment in sorted(deployments, key=lambda obj: obj["metadata"]["name"] != "gpu-operator"):
        name = deployment["metadata"]["name"]
        if foreign := _foreign(deployment["spec"]["template"]["spec"], wanted):
            return Rung("operator", "stuck", f"{name} is still of another release: {foreign}")
        if not _is_rolled_out(deployment):
            selector = deployment["spec"]["selector"]["matchLabels"].items()
            mine = [pod for pod in _pods(state) if selector <= pod["metadata"].get("labels", {}).items()]
            return _at_pod("operator", state, pods.newest(mine), f"{name} is not available")
    return Rung("operator", "done", "available")


def _is_rolled_out(deployment: KubeObject) -> bool:
    status, replicas = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [replicas] * 3


def _policy(state: OperatorState) -> Rung:
    """ClusterPolicy says ``ready`` also where it found nothing to be ready: no label of NFD, or no node with a GPU."""
    policy = next((one for one in state.policies if one.get("status", {}).get("state") != "ignored"), None)
    if policy is None:
        return Rung("policy", "stuck", "there is no ClusterPolicy")
    status = policy.get("status", {})
    for condition in status.get("conditions", []):
        if condition["type"] == "Ready" and condition.get("reason") in NOTHING_TO_BE_READY:
            return Rung("policy", "stuck", f"it says ready, and: {condition.get('message') or condition['reason']}")
    if status.get("state") != "ready":
        errors = [c.get("message", "") for c in status.get("conditions", []) if c["type"] == "Error"]
        return Rung("policy", "stuck", next(filter(None, errors), f"its state is {status.get('state')}"))
    return Rung("policy", "done", "ready")


def _node(state: OperatorState, wanted: Wanted, node: str) -> Iterator[Rung]:
    ready = _is_ready(state.nodes.get(node, {}))
    yield Rung("node", "done" if ready else "stuck", "Ready" if ready else "its node is not Ready")
    yield _labels(state, wanted, node)
    yield _plugin(state, wanted, node)
    if wanted.features:
        yield _features(state, wanted, node)
    yield _validator(state, wanted, node)


def _is_ready(node: KubeObject) -> bool:
    return pods.condition(node.get("status", {}), "Ready") == "True"


def _labels(state: OperatorState, wanted: Wanted, node: str) -> Rung:
    labels = state.labels(node)
    if not any(NFD_LABEL.fullmatch(name) and value == "true" for name, value in labels.items()):
        return _operand("labels", state, wanted, node, {"role": "worker"}, "feature discovery found no GPU")
    if labels.get("nvidia.com/gpu.present") != "true":
        return Rung("labels", "stuck", "the operator has not labelled it")
    return Rung("labels", "done", "labelled")


def _plugin(state: OperatorState, wanted: Wanted, node: str) -> Rung:
    there, want = state.allocatable(node), wanted.gpus[node]
    counted = f"Kubernetes can give out {there} of its {want} GPUs"
    app = {"app": "nvidia-device-plugin-daemonset"}
    rung = _operand("plugin", state, wanted, node, app, counted, is_enough=there == want)
    if rung.is_done:
        return Rung("plugin", "done", f"{there} of {want}")
    # Every other pod waits until the validator's has found driver and toolkit, so that one knows why.
    validator = _pod(state, node, VALIDATOR)
    told = validator and _at_pod("plugin", state, validator, counted)
    return told if told and told.is_hopeless else rung


def _features(state: OperatorState, wanted: Wanted, node: str) -> Rung:
    told = "nvidia.com/gpu.product" in state.labels(node)
    app = {"app": "gpu-feature-discovery"}
    return _operand("features", state, wanted, node, app, "its GPUs are not described yet", is_enough=told)


def _validator(state: OperatorState, wanted: Wanted, node: str) -> Rung:
    rung = _operand("validator", state, wanted, node, VALIDATOR, "", is_enough=True)
    workload = _pod(state, node, {"app": "nvidia-cuda-validator"})
    if rung.is_done and workload and workload.get("status", {}).get("phase") != "Succeeded":
        return _at_pod("validator", state, workload, "the CUDA workload has not succeeded")
    return rung


def _operand(
    name: RungName,
    state: OperatorState,
    wanted: Wanted,
    node: str,
    labels: Mapping[str, str],
    reason: str,
    *,
    is_enough: bool = False,
) -> Rung:
    """Judge by the pod of this chart on a node that has these labels: it must be ready, and its effect be there."""
    pod = _pod(state, node, labels)
    if pod is None:
        return Rung(name, "stuck", "; ".join(filter(None, [reason if not is_enough else "", "no pod for it there"])))
    if foreign := _foreign(pod["spec"], wanted):
        return Rung(name, "stuck", f"its pod is still of another release: {foreign}", pod["metadata"]["name"])
    if not pods.is_ready(pod):
        return _at_pod(name, state, pod, reason)
    if not is_enough:
        return Rung(name, "stuck", f"{reason}, though its pod is ready", pod["metadata"]["name"])
    return Rung(name, "done", "ready")


def _at_pod(
    name: RungName, state: OperatorState, pod: KubeObject | None, reason: str, namespace: str = NAMESPACE
) -> Rung:
    """A rung that waits for a pod: whether it moves, and why not, is the pod's to say."""
    if pod is None:
        return Rung(name, "stuck", reason, namespace=namespace)
    status, own = pod.get("status", {}), pod["metadata"]["name"]
    events = pods.warnings(state.objects, {own})
    why, hopeless = pods.why_not_ready(status, events)
    ready = pods.is_ready(pod)
    told = "; ".join(filter(None, [reason, "" if ready else f"{own}: {why}"]))
    # What runs and is not through waits for something else; only what is pulled or started is about to move.
    moving = not (ready or hopeless or pods.is_running(status))
    container = pods.failing_container(status)
    stand: Stand = "moving" if moving else "stuck"
    return Rung(name, stand, told, own, container, namespace, events, hopeless, _last_words(status))


def _last_words(status: Mapping[str, Any]) -> str:
    """What a container said when it last ended, if its pod keeps that: the next restart takes its log away."""
    containers = pods.containers(status)
    ended = [c.get(when, {}).get("terminated", {}) for c in containers for when in ("state", "lastState")]
    words = [str(end.get("message", "")).strip() for end in ended if end.get("exitCode")]
    return next((text.splitlines()[-1] for text in words if text), "")


def _foreign(spec: Mapping[str, Any], wanted: Wanted) -> str:
    """Return an image of a pod that this chart does not have; empty if there is none."""
    containers = [*spec.get("initContainers", []), *spec.get("containers", [])]
    images = [container.get("image", "") for container in containers]
    return next((image for image in images if image not in wanted.images), "")


def _pods(state: OperatorState, namespace: str = NAMESPACE) -> list[KubeObject]:
    return [obj for obj in state.objects if obj["kind"] == "Pod" and obj["metadata"]["namespace"] == namespace]


def _pod(state: OperatorState, node: str, labels: Mapping[str, str]) -> KubeObject | None:
    mine = [pod for pod in _pods(state) if labels.items() <= pod["metadata"].get("labels", {}).items()]
    return pods.on_node(node, mine)
