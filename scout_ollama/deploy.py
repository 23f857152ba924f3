"""deploy-ollama: what brings Ollama on a cluster to what its inventory says, and proves that it answers."""

from __future__ import annotations

from collections.abc import Sequence

from scout_ollama import certificates, facts, manifests, proving, survey
from scout_ollama.changes import Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator import installing, release
from scout_ollama.gpu_operator.release import Release
from scout_ollama.inventory import Cluster, OllamaCluster, Site
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.models import installing as bringing
from scout_ollama.proposal import Proposal
from scout_ollama.run import Propose
from scout_ollama.steps import images, objects, registries
from scout_ollama.survey import Survey


def prepare(site: Site, cluster: Cluster) -> Propose:
    """Return what proposes what a cluster lacks of what its inventory wants; one that lacks nothing is only proved.

    Raises:
        Trouble: a file is missing or wrong.
    """
    wanted, flaws = wanted_objects(site, cluster)
    operator = release.wanted(site, cluster)
    return lambda job: propose(job, wanted, flaws, operator)


def propose(
    job: Job, wanted: Sequence[KubeObject], flaws: Sequence[Trouble], operator: Release | None = None
) -> Proposal:
    """Propose the difference between the objects that are wanted, and what they need, and what is there.

    ``operator`` is the release of the GPU operator by which the cluster shall get its GPUs, if that is ours to do.

    Raises:
        Trouble: no server can be asked, or the GPU operator cannot work.
    """
    found = survey.take(job, [*(operator.objects if operator else ()), *wanted], installs_gpus=operator is not None)
    ground = _ground(job, wanted, found)
    gpus = installing.look(job, operator, found, ground=ground) if operator else installing.Steps()
    models = bringing.look(job, found.troubles)
    applied = _objects(job, wanted, found)
    serving = facts.in_service(job.ollama_hosts, found.cluster.nodes)
    return Proposal(
        plan=Plan((*ground, *gpus.stages, *models.stages, *applied, *models.load(serving, applied))),
        troubles=found.troubles,
        warnings=[*flaws, *gpus.warnings, *models.warnings, *(warning.trouble() for warning in found.warnings)],
        prove=lambda troubles: models.prove(proving.prove(job, wanted, found, troubles), troubles),
        objects=wanted,
        undo=models.undo,
    )


def wanted_objects(site: Site, cluster: Cluster) -> tuple[list[KubeObject], list[Trouble]]:
    """Return the objects that shall be there, and flaws of the certificate that do not keep it from serving.

    Raises:
        Trouble: a file or a secret is missing, or the certificate is not one that clients will accept.
    """
    site.check_files([cluster])
    harbor = site.harbor_of(cluster)
    if harbor:
        harbor.login()  # a command may ask for it: before any host is touched
    flaws: list[Trouble] = []
    if isinstance(cluster, OllamaCluster):
        found = certificates.require_good(cluster)
        flaws = [Trouble(flaw.what, why=flaw.why, next=flaw.next) for flaw in found]
    return manifests.ollama_objects(site, cluster), flaws


def make_plan(job: Job, wanted: Sequence[KubeObject], found: Survey) -> Plan:
    """Return what differs between what is wanted and what is there, on the hosts without trouble; GPUs are there."""
    return Plan((*_ground(job, wanted, found), *_objects(job, wanted, found)))


def _ground(job: Job, wanted: Sequence[KubeObject], found: Survey) -> list[Stage]:
    """What a host has to have before any pod is told to use it."""
    running = {host.name: found.healthy[host.name] for host in job.ollama_hosts if host.name in found.healthy}
    return [
        *registries.plan(job.harbor, job.cluster.hosts, found.healthy),
        *images.plan(manifests.images_of(wanted), running),
    ]


def _objects(job: Job, wanted: Sequence[KubeObject], found: Survey) -> list[Stage]:
    serving = [host.name for host in facts.in_service(job.ollama_hosts, found.cluster.nodes)]
    return objects.plan(wanted, found.cluster, serving)
