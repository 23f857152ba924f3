"""Where models enter a cluster: the staging share that feeds an air gap, or a directory on one of its own nodes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from scout_ollama.inventory import Cluster, Host, StagingCluster
from scout_ollama.job import Job

PULLED = ".scout-ollama/pulled"
"""Where a node keeps, below its store, what it pulls itself: Ollama writes there in its own, unsafe, order."""


@dataclass(frozen=True)
class Place:
    """A store that models are pulled into: the host that has it, and the server through which a Job is run there."""

    cluster: Cluster
    host: Host
    server: Host
    store: str
    is_staging: bool

    @property
    def job(self) -> str:
        """Name of the Job that pulls there: one for each store, so that there is never a second one."""
        return f"scout-ollama-pull-{hashlib.sha256(self.store.encode()).hexdigest()[:10]}"

    @property
    def blobs(self) -> str:
        """The directory of the blobs."""
        return f"{self.store}/blobs"


def of_staging(staging: StagingCluster) -> Place:
    """Return the share of a staging cluster."""
    server = staging.hosts[staging.servers[0]]
    return Place(staging, server, server, staging.ollama_nfs_path, is_staging=True)


def of(job: Job) -> Place:
    """Return where the models of a cluster are pulled: on staging, through its first server, if it has an air gap.

    Without one its first GPU host pulls, and the others get it from there.
    """
    staging = job.site.staging_of(job.cluster)
    if staging and (job.cluster.air_gapped or job.ollama.source == "nfs"):
        return of_staging(staging)
    server, node = job.cluster.hosts[job.servers[0]], job.ollama_hosts[0]
    return Place(job.cluster, node, server, f"{job.ollama.store}/{PULLED}", is_staging=False)
