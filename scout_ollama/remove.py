"""remove-ollama: everything that was applied for Ollama goes from a cluster; models, images and K3s's settings stay."""

from __future__ import annotations

import time
from collections.abc import Sequence

from scout_ollama import watching
from scout_ollama.changes import Plan
from scout_ollama.errors import Trouble
from scout_ollama.facts import read_cluster
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject, key_of
from scout_ollama.open_webui.losing import losing
from scout_ollama.proposal import Proposal, Proved
from scout_ollama.steps import objects

GONE_SECONDS = 60.0


def propose(job: Job) -> Proposal:
    """Propose to delete every object with our label but the namespace, which may hold what others put there.

    Raises:
        NoServerLeft: no server can be asked about the cluster.
    """
    troubles: Troubles = {}
    found = job.through_a_server(troubles, lambda remote: read_cluster(remote, []))
    removed = objects.leftovers([], found.owned.values())
    return Proposal(
        plan=Plan(tuple(objects.plan([], found, []))),
        troubles=troubles,
        warnings=list(losing(job, removed)) if removed else [],
        prove=lambda troubles: _prove(job, troubles),
        objects=[],
        destructive=True,
    )


def _prove(job: Job, troubles: Troubles) -> Proved:
    """Wait until the objects are gone: they are deleted without waiting for their finalizers."""
    proved = Proved(job.say)
    deadline = time.monotonic() + GONE_SECONDS
    while left := objects.leftovers([], _owned(job, troubles)):
        if time.monotonic() > deadline:
            proved.troubles.append(_still_there(job, left))
            return proved
        time.sleep(watching.POLL_SECONDS)
    proved.add([], job.cluster.name, "no object of Ollama is left; models and images stay on the hosts")
    return proved


def _owned(job: Job, troubles: Troubles) -> list[KubeObject]:
    return [*job.through_a_server(dict(troubles), lambda remote: read_cluster(remote, [])).owned.values()]


def _still_there(job: Job, left: Sequence[KubeObject]) -> Trouble:
    names = ", ".join(str(key_of(obj)) for obj in left)
    return Trouble(
        f"{job.cluster.name}: still there {GONE_SECONDS:.0f} s after it was deleted: {names}",
        why="a finalizer keeps it, or somebody makes it anew",
        next=f"inv remove-ollama --hosts {job.cluster.name} --plan; kubectl describe shows what keeps it",
    )
