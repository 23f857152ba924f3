"""What is there before anything is changed, and what about it does not hold."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from scout_ollama import checks, manifests
from scout_ollama.checks import Finding
from scout_ollama.facts import ClusterFacts, HostFacts, read_cluster, read_host
from scout_ollama.fleet import Outcomes
from scout_ollama.gpu_operator import preflight, state
from scout_ollama.inventory import Host, Ollama, OllamaCluster
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject


@dataclass
class Survey:
    """Facts by host, and of the cluster. Hosts in ``troubles`` are left alone from here on; the others are not."""

    hosts: dict[str, HostFacts]
    cluster: ClusterFacts
    troubles: Troubles
    findings: list[Finding] = field(default_factory=list)

    @property
    def warnings(self) -> list[Finding]:
        """What is odd and stops nobody."""
        return [finding for finding in self.findings if finding.status == "warn"]

    @property
    def healthy(self) -> dict[str, HostFacts]:
        """The facts of the hosts without trouble."""
        return {name: facts for name, facts in self.hosts.items() if name not in self.troubles}


def take(job: Job, wanted: Sequence[KubeObject], *, runs_ollama: bool = True, installs_gpus: bool = False) -> Survey:
    """Read every host at once, then the cluster through its first server without trouble, and judge what was read.

    What Ollama needs is judged where it shall run. With ``installs_gpus`` what the GPU operator needs is, and not
    whether it has done its work already.

    Raises:
        NoServerLeft: no server can be asked about the cluster.
    """
    read, findings = of_hosts(job, runs_ollama=runs_ollama, installs_gpus=installs_gpus)
    troubles = {**read.failed, **_troubles(findings)}
    beside = (state.SCRIPT,) if installs_gpus else ()
    cluster = job.through_a_server(troubles, lambda remote: read_cluster(remote, wanted, *beside))
    untroubled = [host for name, host in job.cluster.hosts.items() if name not in troubles]
    in_cluster = checks.of_cluster(untroubled, job.ollama, cluster, gpus_are_given=not installs_gpus)
    troubles |= _troubles(in_cluster)
    return Survey(read.ok, cluster, troubles, [*findings, *in_cluster])


def of_hosts(job: Job, *, runs_ollama: bool, installs_gpus: bool) -> tuple[Outcomes[HostFacts], list[Finding]]:
    """Read every host at once; return that, and what does not hold on those that answer."""
    store = manifests.store_path(job.site, job.cluster) if runs_ollama else ""
    read = job.fleet.read(lambda remote: read_host(remote, store=store, harbor=job.harbor), list(job.cluster.hosts))
    now = time.time()
    findings = [
        finding
        for name, facts in read.ok.items()
        for finding in _of_host(job, job.cluster.hosts[name], facts, now, runs_ollama, installs_gpus)
    ]
    return read, findings


def _of_host(
    job: Job, host: Host, facts: HostFacts, now: float, runs_ollama: bool, installs_gpus: bool
) -> Iterator[Finding]:
    ollama = job.cluster.runs_ollama or Ollama(cpu_only=True)
    yield from checks.of_host(host, ollama, facts, harbor=job.harbor, now=now)
    if installs_gpus and isinstance(job.cluster, OllamaCluster):
        yield from preflight.of_host(host, job.cluster.gpu_operator, facts)
    if runs_ollama:
        yield from checks.of_store(host, facts, manifests.store_path(job.site, job.cluster))


def _troubles(findings: Sequence[Finding]) -> Troubles:
    """Return the first failure of each host: the ones after it are often only its consequences."""
    troubles: Troubles = {}
    for finding in findings:
        if finding.status == "fail" and finding.host:
            troubles.setdefault(finding.host, finding.trouble())
    return troubles
