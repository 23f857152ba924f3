"""pull-models: brings the models that an inventory declares to every node of a cluster, and proves that they serve."""

from __future__ import annotations

from scout_ollama.changes import Plan
from scout_ollama.job import Job, Troubles
from scout_ollama.models import lacking, locked, pods, proving
from scout_ollama.models.stages import Bringing, stages_for
from scout_ollama.proposal import Proposal, Proved


def propose(job: Job, *, update: bool, repair: bool, direct: bool) -> Proposal:
    """Propose what is missing: on staging, then on the nodes.

    Raises:
        Trouble: staging cannot be asked, or has no store where it should be.
    """
    bringing = stages_for(job, {}, update=update, repair=repair, direct=direct)
    stages = bringing.stages()
    return Proposal(
        plan=Plan(tuple(stages)),
        troubles=bringing.found.troubles,
        warnings=lacking.warnings(bringing.found),
        prove=lambda troubles: prove(job, bringing, troubles),
        undo=bringing.undo(stages),
    )


def prove(job: Job, bringing: Bringing, troubles: Troubles) -> Proved:
    """Ask every node for every model that was published; if all hold, ``models.lock`` has what each tag means."""
    if bringing.published is None:
        return Proved(job.say)
    proved = proving.prove(job, bringing.found.nodes, pods.find(job, troubles), bringing.published, troubles)
    if bringing.found.place.host.name not in troubles:
        proved.troubles += lacking.troubles(bringing.found)
    everywhere = not troubles and not proved.troubles
    if everywhere and locked.write(job.site, job.cluster.name, bringing.published.digests):
        job.say(job.cluster.name, f"{locked.lock_of(job.site)} has their digests: commit it")
    return proved
