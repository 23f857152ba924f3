"""rollback-models: the models become again what an earlier set was. Nothing is copied: what it names is still there."""

from __future__ import annotations

from collections.abc import Mapping

from scout_ollama.changes import Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.job import Job, Troubles
from scout_ollama.models import locked, needs, pods, proving, publishing, survey, wanted
from scout_ollama.models.pods import Pod
from scout_ollama.models.sets import ModelSet, number_for
from scout_ollama.models.stored import Stored
from scout_ollama.proposal import Proposal, Proved


def propose(job: Job, to: int | None) -> Proposal:
    """Propose to publish the set ``to`` again, or the one before the newest.

    Raises:
        Trouble: no node keeps it, or the nodes serve from the share.
    """
    survey.require_copies(job, "rollback-models")
    nodes, troubles = survey.read_nodes(job)
    kept = {number: found for node in nodes.values() for number, found in node.sets.items()}
    newest = max(kept, default=0)
    number = to if to is not None else newest - 1
    if number not in kept:
        raise _not_kept(job, number, sorted(kept))
    earlier = kept[number]
    incomplete = {name: _incomplete(job, name, number) for name, node in nodes.items() if needs.missing(node, earlier)}
    nodes = {name: node for name, node in nodes.items() if name not in incomplete}
    serving = pods.find(job, troubles)
    return Proposal(
        plan=Plan((_stage(job, earlier, kept[newest], nodes, serving),)),
        troubles={**troubles, **incomplete},
        warnings=[_staging_differs(job, number)],
        prove=lambda found: _prove(job, nodes, serving, earlier, found),
        undo=f"inv rollback-models --hosts {job.cluster.name} --to {newest}",
        destructive=True,
    )


def _stage(
    job: Job, earlier: ModelSet, newest: ModelSet, nodes: Mapping[str, Stored], serving: Mapping[str, Pod]
) -> Stage:
    number = number_for(earlier, [node.sets for node in nodes.values()])
    changes = [
        publishing.publish(
            job.cluster.hosts[name],
            job.ollama.store,
            number,
            earlier,
            node,
            copied=(),
            pod=serving.get(name),
            preload=[model.name for model in wanted.of(job.ollama) if model.preload],
            gone=[name for name in newest.manifests if name not in earlier.manifests],
            say=job.say,
        )
        for name, node in nodes.items()
    ]
    return Stage("publish", tuple(change for change in changes if change), one_at_a_time=True)


def _prove(
    job: Job, nodes: Mapping[str, Stored], serving: Mapping[str, Pod], earlier: ModelSet, troubles: Troubles
) -> Proved:
    proved = proving.prove(job, nodes, serving, earlier, troubles)
    if not troubles and not proved.troubles:
        locked.write(job.site, job.cluster.name, earlier.digests)
    return proved


def _not_kept(job: Job, number: int, kept: list[int]) -> Trouble:
    return Trouble(
        f"{job.cluster.name}: set {number} is not kept"
        if number > 0
        else f"{job.cluster.name}: no earlier set is kept",
        why=f"kept are {', '.join(map(str, kept))}" if kept else "nothing was published from here yet",
        next=f"inv list-models --hosts {job.cluster.name}",
    )


def _incomplete(job: Job, host: str, number: int) -> Trouble:
    return Trouble(
        f"it has not every blob of set {number} in whole",
        host=host,
        why="it was away when that was published, or somebody removed them; a rollback copies nothing",
        next=f"inv verify-models --hosts {job.cluster.name}",
    )


def _staging_differs(job: Job, number: int) -> Trouble:
    return Trouble(
        f"{job.cluster.name}: neither the inventory nor staging is changed by this",
        why=f"the next pull-models would leave set {number} again for what they have",
        next=f"edit {job.cluster.name}.yaml to the models that set {number} has, if that shall last",
    )
