"""prune-models: nodes keep what their newest sets name, and nothing else."""

from __future__ import annotations

from scout_ollama.changes import Change, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.job import Job
from scout_ollama.models import needs, pods, proving, pruning, survey
from scout_ollama.proposal import Proposal


def propose(job: Job, *, keep: int) -> Proposal:
    """Propose to remove what the newest ``keep`` sets do not name.

    Raises:
        Trouble: nothing was published yet, so nobody can say what is not wanted; or no set would be kept.
    """
    cluster = job.cluster.name
    if keep < 1:
        what = "the set that is served is always kept"
        raise Trouble(what, why=f"--keep is {keep}", next=f"inv prune-models --hosts {cluster} --keep 1")
    survey.require_copies(job, "prune-models")
    nodes, troubles = survey.read_nodes(job)
    published = needs.latest(nodes.values())
    if published is None:
        raise Trouble(
            f"{cluster}: nothing was published yet",
            why="what no set names is removed, and there is no set",
            next=f"inv pull-models --hosts {cluster}",
        )
    serving = pods.find(job, troubles)
    found = [
        pruning.prune(name, job.ollama.store, node, keep=keep, pod=serving.get(name)) for name, node in nodes.items()
    ]
    changes: list[Change] = [change for change in found if change]
    return Proposal(
        plan=Plan((Stage("prune", tuple(changes)),)),
        troubles=troubles,
        prove=lambda now: proving.prove(job, nodes, serving, published, now),
        destructive=True,
    )
