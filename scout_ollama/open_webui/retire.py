"""remove-embedded-ollama: the volume of an Ollama that was retired is given back. Nothing brings its models back."""

from __future__ import annotations

from dataclasses import dataclass

from scout_ollama import run, sizes
from scout_ollama.changes import DeleteObjects, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.facts import facts_script, parse_sections
from scout_ollama.inventory import Cluster, ScoutCluster, Site
from scout_ollama.job import Job
from scout_ollama.open_webui import facts
from scout_ollama.open_webui import target as targets
from scout_ollama.open_webui import workload as workloads
from scout_ollama.open_webui.facts import Found
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.workload import Claim, Embedded
from scout_ollama.outside import understood, whole
from scout_ollama.proposal import Proposal, Request


def command(site: Site, selector: str, request: Request) -> int:
    """Remove the volumes of the selected Scouts' retired Ollamas; return the exit status."""
    if not selector:
        site.select(selector)  # refuses, and says what there is
    return run.carry_out(site, targets.clusters(site, selector, None), request, prepare)


def prepare(cluster: Cluster) -> run.Propose:
    """Return what proposes to remove the volume on one Scout."""
    assert isinstance(cluster, ScoutCluster)
    scout = cluster
    return lambda job: propose(job, scout)


@dataclass(frozen=True)
class RemoveVolume(DeleteObjects):
    """Delete a claim, and with it what is stored; ``size`` says how much that is."""

    size: str = ""

    def difference(self) -> list[str]:
        """The claim, with what it asked for and what it holds."""
        return [f"{line}: {self.size}" for line in super().difference()]


def propose(job: Job, scout: ScoutCluster) -> Proposal:
    """Propose to delete every claim of the Ollama beside Open WebUI.

    Raises:
        Trouble: it still runs, or Open WebUI still has a connection to it.
    """
    session = Session()
    found = job.on_first_server(lambda remote: facts.read(remote, session, scout))
    embedded = found.installed.embedded
    if embedded is None:
        return Proposal(plan=Plan(()))
    _require_retired(scout, embedded, found)
    claims = tuple(_remove(job, scout, claim) for claim in embedded.claims)
    return Proposal(plan=Plan((Stage("volume", claims),)), destructive=True)


def _require_retired(scout: ScoutCluster, embedded: Embedded, found: Found) -> None:
    namespace = scout.open_webui.namespace
    used = [url for url in found.connection.urls if workloads.is_address_of(url, embedded, namespace)]
    if embedded.replicas or used:
        raise Trouble(
            f"{embedded.workload} of {scout.name} is in use: its volume was left alone",
            why=f"it has {embedded.replicas} pods" if embedded.replicas else f"Open WebUI is connected to {used[0]}",
            next=f"inv connect-scout --hosts {scout.name}",
        )


def _remove(job: Job, scout: ScoutCluster, claim: Claim) -> RemoveVolume:
    metadata = {"name": claim.name, "namespace": scout.open_webui.namespace}
    obj = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata}
    return RemoveVolume((obj,), size=f"{claim.size} asked for, {_stored(job, scout, claim)}")


def _stored(job: Job, scout: ScoutCluster, claim: Claim) -> str:
    """How much is stored, where it is a directory of a host of ours."""
    host = next((host.name for host in scout.hosts.values() if host.node == claim.node), None)
    if not claim.directory or host is None:
        return "how much it holds is not known"
    script = facts_script("directory-size")
    asked = job.fleet.read(lambda remote: remote.read(script, claim.directory, sudo=True, timeout=300), [host])
    if host not in asked.ok:
        return "how much it holds could not be read"
    section = parse_sections(asked.ok[host].stdout)["size"]
    with understood(host, script.name):
        return f"{sizes.shown(whole(section.text))} stored on {host}" if section.ok else "nothing stored"
