"""The GPU operator's own part: nodes labelled, operands deployed, and what its ClusterPolicy says of them.

It works while its Deployment is available. What operands do on their nodes is in `gpu_node.py`.
"""

from collections.abc import Iterable

from lab.standins.k3s import operands
from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.controllers.daemonset import COLLECTION as DAEMON_SETS
from lab.standins.k3s.controllers.deployment import DEPLOYMENTS
from lab.standins.k3s.gpu_node import NFD_PREFIX, PCI_LABEL
from lab.standins.k3s.objects import (
    Object,
    annotations_of,
    condition,
    is_deleted,
    is_owned_by,
    is_true,
    labels_of,
    make_condition,
    name_of,
    namespace_of,
)
from lab.standins.k3s.operands import DEPLOY, Operand
from lab.standins.k3s.world import World, run_until_stopped
from lab.standins.k3s.writes import Apply, Delete, Patch, Write, status

POLICIES = "nvidia.com/v1/clusterpolicies"
PRESENT = "nvidia.com/gpu.present"
MIG_CAPABLE = "nvidia.com/mig.capable"
# nvidia.com/gpu.deploy.*, for a node that runs containers.
STATES = (
    "client",
    "container-toolkit",
    "dcgm",
    "dcgm-exporter",
    "device-plugin",
    "driver",
    "gpu-feature-discovery",
    "node-status-exporter",
    "operator-validator",
)
ROUND_SECONDS = 2.0


class GpuOperator:
    """Follows the cluster on behalf of the operator's pod."""

    def __init__(self, api: Api, world: World) -> None:
        self._api = api
        self._world = world

    def run(self) -> None:
        """Until the world stops."""
        run_until_stopped(self._world, self._round, ROUND_SECONDS)

    def _round(self) -> None:
        namespace = next((namespace_of(d) for d in self._world.list(DEPLOYMENTS) if _is_operator(d)), None)
        if namespace is None:
            return
        policies = sorted(self._policies(), key=lambda p: (p["metadata"]["creationTimestamp"], name_of(p)))
        if policies and not is_deleted(policies[0]):
            world = self._world
            self._world.apply(reconcile(policies[0], namespace, world.list("v1/nodes"), world.list(DAEMON_SETS)))
            self._world.apply(w for other in policies[1:] for w in status(POLICIES, other, {"state": "ignored"}))

    def _policies(self) -> list[Object]:
        try:
            return self._api.list(POLICIES)
        except ApiError:  # the kind comes with the chart
            return []


def _is_operator(deployment: Object) -> bool:
    labels = labels_of(deployment)
    return (
        labels.get("app.kubernetes.io/component") == "gpu-operator"
        and name_of(deployment) == "gpu-operator"
        and is_true(deployment, "Available")
    )


def reconcile(policy: Object, namespace: str, nodes: list[Object], daemon_sets: Iterable[Object]) -> list[Write]:
    """Labels of nodes, the operands' DaemonSets, and the policy's status."""
    present = {name_of(d): d for d in daemon_sets if is_owned_by(d, policy)}
    writes: list[Write] = [w for node in nodes for w in _label(node)]
    wanted = operands.enabled(policy) if any(_has_gpu(node) for node in nodes) else []
    for operand in wanted:
        writes += _deploy(operand, policy, namespace, present.get(operand.name))
    kept = {o.name for o in wanted} if wanted else set(present)
    writes += [Delete(DAEMON_SETS, d) for name, d in present.items() if name not in kept]
    not_ready = [o.state for o in wanted if not _is_ready(o, policy, present.get(o.name))]
    return writes + _status(policy, namespace, nodes, not_ready)


def _has_gpu(node: Object) -> bool:
    return labels_of(node).get(PCI_LABEL) == "true"


def _label(node: Object) -> list[Write]:
    """nvidia.com/gpu.present and what to deploy there, from NFD's label; none where that is gone."""
    current = labels_of(node)
    wanted: dict[str, str | None] = dict.fromkeys((PRESENT, *(DEPLOY + state for state in STATES)))
    wanted[f"{DEPLOY}mig-manager"] = None
    if _has_gpu(node):
        wanted = dict.fromkeys(wanted, "true")
        wanted[f"{DEPLOY}mig-manager"] = "true" if current.get(MIG_CAPABLE) == "true" else None
    changed = {key: value for key, value in wanted.items() if current.get(key) != value}
    return [Patch("v1/nodes", node, {"metadata": {"labels": changed}})] if changed else []


def _deploy(operand: Operand, policy: Object, namespace: str, present: Object | None) -> list[Write]:
    made = operands.objects(operand, policy, namespace)
    _, daemon_set = made[-1]
    if present and annotations_of(present).get(operands.HASH) == annotations_of(daemon_set)[operands.HASH]:
        return []
    return [Apply(collection, obj) for collection, obj in made]


def _is_ready(operand: Operand, policy: Object, daemon_set: Object | None) -> bool:
    monitor = (policy["spec"].get(operand.key) or {}).get("serviceMonitor") or {}
    if daemon_set is None or monitor.get("enabled"):  # there is no Prometheus in the lab, and no ServiceMonitor
        return False
    observed = daemon_set.get("status") or {}
    desired = observed.get("desiredNumberScheduled", 0)
    updated = observed.get("updatedNumberScheduled", 0)
    current = observed.get("observedGeneration") == daemon_set["metadata"].get("generation")
    return bool(current and observed.get("numberAvailable", 0) == updated == desired)


def _status(policy: Object, namespace: str, nodes: list[Object], not_ready: list[str]) -> list[Write]:
    """ "ready" also where there is nothing to be ready: without labels of NFD, and without a GPU."""
    if not_ready:
        words = f"ClusterPolicy is not ready, states not ready: [{' '.join(not_ready)}]"
        conditions = [("Ready", False, "Error", ""), ("Error", True, "OperandNotReady", words)]
    else:
        reason, words = "Reconciled", "ClusterPolicy is ready as all resources have been successfully reconciled"
        if not any(label.startswith(NFD_PREFIX) for node in nodes for label in labels_of(node)):
            reason, words = "NFDLabelsMissing", "No NFD labels found"
        elif not any(_has_gpu(node) for node in nodes):
            reason, words = "NoGPUNodes", "No GPU node found, watching for new nodes to join the cluster."
        conditions = [("Ready", True, reason, words), ("Error", False, "Ready", "")]
    made = [make_condition(condition(policy, kind), kind, ok, why, text) for kind, ok, why, text in conditions]
    state = "notReady" if not_ready else "ready"
    return status(POLICIES, policy, {"state": state, "namespace": namespace, "conditions": made})
