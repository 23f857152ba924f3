"""rollback-ollama: a cluster's objects become again what an earlier run applied, field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from scout_ollama import certificates, deploy, manifests, proving, state, survey
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, OllamaCluster, ScoutCluster, Site
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proposal


def propose(job: Job, to: int | None) -> Proposal:
    """Propose to go back to the revision ``to``, or to the one before the last.

    Raises:
        Trouble: it is not kept, its certificate has expired since, or the cluster cannot be asked.
    """
    number, wanted = job.on_first_server(lambda remote: state.earlier(remote, to))
    _require_valid(job.cluster, number, manifests.certificate_of(wanted))
    if not wanted:
        raise Trouble(
            f"{job.cluster.name}: revision {number} is the one without an Ollama",
            next=f"inv remove-ollama --hosts {job.cluster.name}",
        )
    cluster = _as_kept(job.cluster, wanted)
    job = replace(job, cluster=cluster, site=Site(job.site.root, {**job.site.clusters, cluster.name: cluster}))
    found = survey.take(job, wanted)
    return Proposal(
        plan=deploy.make_plan(job, wanted, found),
        troubles=found.troubles,
        warnings=[_inventory_differs(job.cluster, number), *(warning.trouble() for warning in found.warnings)],
        prove=lambda troubles: proving.prove(job, wanted, found, troubles),
        objects=wanted,
    )


def _as_kept(cluster: Cluster, wanted: Sequence[KubeObject]) -> Cluster:
    """Return the cluster as an inventory of that time would describe it, as far as the proof depends on it."""
    (image, *_) = manifests.images_of(wanted)
    version = image.rpartition(":")[2]
    if isinstance(cluster, OllamaCluster):
        return cluster.model_copy(update={"ollama": cluster.ollama.model_copy(update={"version": version})})
    assert isinstance(cluster, ScoutCluster)
    assert cluster.ollama
    return cluster.model_copy(update={"ollama": cluster.ollama.model_copy(update={"version": version})})


def _require_valid(cluster: Cluster, number: int, certificate: str) -> None:
    expired = certificates.expired(certificate)
    if expired:
        raise Trouble(
            f"{cluster.name}: revision {number} cannot be gone back to: its certificate expired on {expired}",
            why="every client would refuse the endpoint",
            next=f"inv audit --hosts {cluster.name}, and choose another; or inv deploy-ollama --hosts {cluster.name}",
        )


def _inventory_differs(cluster: Cluster, number: int) -> Trouble:
    return Trouble(
        f"{cluster.name}: the inventory is not changed by this",
        why=f"the next deploy-ollama would leave revision {number} again for what {cluster.name}.yaml says",
        next=f"edit {cluster.name}.yaml to what revision {number} has, if that shall last",
    )
