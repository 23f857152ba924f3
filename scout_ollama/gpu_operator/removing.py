"""install-gpu-operator --remove: K3s uninstalls the chart, and Kubernetes has no GPUs to give out any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from scout_ollama.changes import DeleteObjects, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator import state
from scout_ollama.gpu_operator.state import CHARTS, NAMESPACE, OperatorState
from scout_ollama.hints import on
from scout_ollama.inventory import OllamaCluster
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proposal, Proved
from scout_ollama.watching import watch

CHART_OBJECT: KubeObject = {
    "apiVersion": "helm.cattle.io/v1",
    "kind": "HelmChart",
    "metadata": {"name": "gpu-operator", "namespace": CHARTS},
}
PATIENCE_SECONDS = 120
LEFT_OVER = "/usr/local/nvidia"


@dataclass(frozen=True)
class Uninstall(DeleteObjects):
    """Delete the HelmChart, whose finalizer makes K3s run ``helm uninstall``; ``stops`` says what that stops."""

    stops: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """``uninstall the GPU operator``."""
        return "uninstall the GPU operator"

    def difference(self) -> list[str]:
        """What goes, and what stops with it."""
        return [*super().difference(), *self.stops]


def propose(job: Job) -> Proposal:
    """Propose to take the operator away; models, Ollama's own objects and the hosts' drivers stay.

    Raises:
        Trouble: somebody else installed it, or the cluster has no server that answers.
    """
    troubles: Troubles = {}
    current = job.through_a_server(troubles, state.read)
    if current.chart is None and current.releases:
        raise Trouble(
            f"{job.cluster.name}: the GPU operator was not installed by this command",
            why="Helm has a release of it, and K3s no HelmChart that it was made from",
            next=f"helm uninstall gpu-operator --namespace {NAMESPACE}",
        )
    uninstall = (Uninstall((CHART_OBJECT,), stops=tuple(_stops(job, current))),) if current.chart else ()
    return Proposal(
        plan=Plan((Stage("operator", uninstall, is_kept=False),)),
        troubles=troubles,
        prove=lambda troubles: _prove(job, troubles),
        undo=f"inv install-gpu-operator --hosts {job.cluster.name}",
        destructive=True,
    )


def _stops(job: Job, current: OperatorState) -> Iterator[str]:
    for host in job.ollama_hosts:
        yield f"~ {host.name}: GPUs that Kubernetes gives out: {current.allocatable(host.node)} → 0"
        for holder in current.holders.get(host.node, ()):
            yield f"~ pod {holder} on {host.name}: keeps its GPUs until it ends; the next one finds none"
    assert isinstance(job.cluster, OllamaCluster)
    if job.cluster.gpu_operator.toolkit == "operator":
        yield f"~ {LEFT_OVER} stays on the hosts, and K3s prefers what is in it to a toolkit of the host's own"


@dataclass(frozen=True)
class Going:
    """How much of the operator is still there."""

    cluster: str
    left: tuple[str, ...]

    @property
    def places(self) -> dict[str, str]:
        """What is left."""
        return {self.cluster: f"still there: {', '.join(self.left)}"} if self.left else {}

    @property
    def is_done(self) -> bool:
        """Whether nothing is."""
        return not self.left

    @property
    def is_stuck(self) -> bool:
        """Nothing tells whether it goes on."""
        return True


def _left(job: Job, current: OperatorState) -> Going:
    kinds = ("Deployment", "DaemonSet")
    objects = [f"{o['kind']} {o['metadata']['name']}" for o in current.objects if o["kind"] in kinds]
    return Going(job.cluster.name, (*(["HelmChart"] if current.chart else []), *objects))


def _prove(job: Job, troubles: Troubles) -> Proved:
    """Wait until K3s has run ``helm uninstall``, and the operands are gone after it."""
    proved = Proved(job.say)
    last = watch(
        lambda: _left(job, job.through_a_server(dict(troubles), state.read)), job.say, patience=PATIENCE_SECONDS
    )
    if last.is_done:
        proved.add([], job.cluster.name, "nothing of the GPU operator is left; drivers stay on the hosts")
    else:
        server = job.cluster.hosts[job.servers[0]]
        proved.troubles.append(
            Trouble(
                f"{job.cluster.name}: the GPU operator is not gone: {', '.join(last.left)}",
                why="K3s runs helm uninstall in the Job helm-delete-gpu-operator; its pod's log says what it waits for",
                next=on(server, f"sudo k3s kubectl logs -n {CHARTS} job/helm-delete-gpu-operator"),
            )
        )
    return proved
