"""remove-ollama: everything that was applied for Ollama goes from a cluster; models, images and K3s's settings stay."""

from __future__ import annotations

from scout_ollama.changes import Plan
from scout_ollama.facts import read_cluster
from scout_ollama.job import Job, Troubles
from scout_ollama.proposal import Proposal, Proved
from scout_ollama.steps import objects


def propose(job: Job) -> Proposal:
    """Propose to delete every object with our label but the namespace, which may hold what others put there.

    Raises:
        NoServerLeft: no server can be asked about the cluster.
    """
    troubles: Troubles = {}
    found = job.through_a_server(troubles, lambda remote: read_cluster(remote, []))
    return Proposal(
        plan=Plan(tuple(objects.plan([], found, []))),
        troubles=troubles,
        prove=lambda troubles: _prove(job, troubles),
        objects=[],
        destructive=True,
    )


def _prove(job: Job, troubles: Troubles) -> Proved:
    proved = Proved(job.say)
    there = job.through_a_server(dict(troubles), lambda remote: read_cluster(remote, [])).owned.values()
    if not objects.leftovers([], there):
        proved.add([], job.cluster.name, "no object of Ollama is left; models and images stay on the hosts")
    return proved
