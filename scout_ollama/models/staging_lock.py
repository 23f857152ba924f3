"""The lock of the cluster on which models are pulled, held only while its store is changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from scout_ollama import audit, interrupts, lock
from scout_ollama.inventory import Cluster
from scout_ollama.job import Job
from scout_ollama.models.place import Place
from scout_ollama.models.pulling import Lock

WAIT_SECONDS = 600


def of(job: Job, place: Place, doing: str) -> Lock:
    """Return what holds the lock of a place's cluster; nothing more if that is the job's own, which is held already."""
    if place.cluster.name == job.cluster.name:
        return nullcontext
    return lambda: _held(job, place.cluster, doing)


@contextmanager
def _held(job: Job, cluster: Cluster, doing: str) -> Iterator[None]:
    """Hold it, with a line in that cluster's audit. Other clusters pull through the same staging: they are awaited."""
    server = cluster.servers[0]
    record = audit.begin(f"{doing} for {job.cluster.name}", cluster.name, [server])
    with job.fleet.apart(server) as remote:
        hold = lock.take(remote, record, lambda line: job.say(server, line), wait_seconds=WAIT_SECONDS)
        hold.update(making=f"{server}: {doing}", changes=1)
        result = "failed"
        try:
            yield
            result = "done"
        finally:
            with interrupts.held_off():
                hold.update(result=result, made=int(result == "done"))
                hold.end()
