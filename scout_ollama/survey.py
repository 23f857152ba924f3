"""What is there before anything is changed, and what about it does not hold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from scout_ollama import checks, manifests
from scout_ollama.checks import Finding
from scout_ollama.facts import ClusterFacts, HostFacts, read_cluster, read_host
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject


@dataclass
class Survey:
    """Facts by host, and of the cluster. Hosts in ``troubles`` are left alone from here on; the others are not."""

    hosts: dict[str, HostFacts]
    cluster: ClusterFacts
    troubles: Troubles
    warnings: list[Finding] = field(default_factory=list)

    @property
    def healthy(self) -> dict[str, HostFacts]:
        """The facts of the hosts without trouble."""
        return {name: facts for name, facts in self.hosts.items() if name not in self.troubles}


def take(job: Job, wanted: Sequence[KubeObject]) -> Survey:
    """Read every host at once, then the cluster through its first server without trouble, and judge what was read.

    Raises:
        NoServerLeft: no server can be asked about the cluster.
    """
    store, harbor = manifests.store_path(job.site, job.cluster), job.harbor
    read = job.fleet.read(lambda remote: read_host(remote, store=store, harbor=harbor), list(job.cluster.hosts))
    now = time.time()
    findings = [
        finding
        for name, facts in read.ok.items()
        for finding in checks.of_host(job.cluster.hosts[name], job.ollama, facts, store=store, harbor=harbor, now=now)
    ]
    troubles = {**read.failed, **_troubles(findings)}
    cluster = job.through_a_server(troubles, lambda remote: read_cluster(remote, wanted))
    untroubled = [host for name, host in job.cluster.hosts.items() if name not in troubles]
    in_cluster = checks.of_cluster(untroubled, job.ollama, cluster)
    troubles |= _troubles(in_cluster)
    return Survey(read.ok, cluster, troubles, [f for f in [*findings, *in_cluster] if f.status == "warn"])


def _troubles(findings: Sequence[Finding]) -> Troubles:
    """Return the first failure of each host: the ones after it are often only its consequences."""
    troubles: Troubles = {}
    for finding in findings:
        if finding.status == "fail" and finding.host:
            troubles.setdefault(finding.host, finding.trouble())
    return troubles
