"""rotate-tls: another certificate for the endpoint, and nothing else; Traefik takes it up without an interruption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scout_ollama import certificates, deploy, difference, manifests, proving, state, survey
from scout_ollama.changes import ApplyObjects, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, OllamaCluster, Site
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proposal
from scout_ollama.run import Propose
from scout_ollama.survey import Survey


@dataclass(frozen=True)
class ReplaceCertificate(ApplyObjects):
    """Apply the Secret; ``certificates`` are the one that goes and the one that comes, in words."""

    certificates: tuple[str, str] = ("", "")

    def difference(self) -> list[str]:
        """Both certificates in words, then the fields."""
        before, after = self.certificates
        return [f"~ certificate: {before} → {after}", *super().difference()]


def prepare(site: Site, cluster: Cluster) -> Propose:
    """Return what proposes to serve the certificate and key that the inventory names now.

    Raises:
        Trouble: they are not ones that clients will accept, or the cluster has no endpoint.
    """
    if not isinstance(cluster, OllamaCluster):
        raise Trouble(
            f"{cluster.name} has no endpoint and so no certificate",
            why="a Scout's own Ollama is reached inside its cluster only",
            next="inv list-hosts --hosts ollama",
        )
    wanted, flaws = deploy.wanted_objects(site, cluster)
    return lambda job: propose(job, wanted, flaws)


def propose(job: Job, wanted: Sequence[KubeObject], flaws: Sequence[Trouble]) -> Proposal:
    """Propose to replace the Secret alone.

    Raises:
        Trouble: nothing serves yet, or no server can be asked.
    """
    secret = next(obj for obj in wanted if obj["kind"] == "Secret")
    found = survey.take(job, [secret])
    kept = job.on_first_server(state.latest)
    return Proposal(
        plan=Plan((_replacement(job, secret, found),)),
        troubles=found.troubles,
        warnings=[*flaws, *(warning.trouble() for warning in found.warnings)],
        prove=lambda troubles: proving.prove(job, wanted, found, troubles),
        objects=[secret if manifests.key_of(obj) == manifests.key_of(secret) else obj for obj in kept] or None,
    )


def _replacement(job: Job, secret: KubeObject, found: Survey) -> Stage:
    key = manifests.key_of(secret)
    live, would_be = found.cluster.live.get(key), (found.cluster.would_be or {}).get(key)
    if live is None or would_be is None:
        raise Trouble(
            f"{job.cluster.name} serves no certificate yet",
            why=found.cluster.refusal or f"there is no {key}",
            next=f"inv deploy-ollama --hosts {job.cluster.name}",
        )
    if difference.meaningful(live) == difference.meaningful(would_be):
        return Stage("certificate", ())
    before, after = (certificates.described(manifests.certificate_of([obj])) for obj in (live, secret))
    change = ReplaceCertificate((secret,), {str(key): live}, {str(key): would_be}, certificates=(before, after))
    return Stage("certificate", (change,))
