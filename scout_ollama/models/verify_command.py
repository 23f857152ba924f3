"""verify-models: whether every blob that is wanted or published is what it should be, on staging and on every node."""

from __future__ import annotations

from collections.abc import Mapping

from scout_ollama import sizes
from scout_ollama.changes import Plan
from scout_ollama.errors import Trouble
from scout_ollama.job import Job, Troubles
from scout_ollama.models import lacking, needs, proving, stored, survey, verifying
from scout_ollama.models.blob import Blob
from scout_ollama.models.sets import ModelSet
from scout_ollama.models.stored import Stored
from scout_ollama.models.survey import Found
from scout_ollama.proposal import Proposal, Proved
from scout_ollama.store import short


def propose(job: Job, *, deep: bool) -> Proposal:
    """Propose to hash what nobody has hashed as it is now; with ``deep``, everything, as disks forget.

    Raises:
        Trouble: staging cannot be asked, or has no store where it should be.
    """
    found = survey.take(job, {})
    copies = {} if survey.is_shared(job) else found.nodes
    served = _served(found).blobs
    on_nodes = {name: _to_hash(node, served, deep=deep) for name, node in copies.items()}
    at_source = _to_hash(found.source, found.wanted_blobs, deep=deep)
    return Proposal(
        plan=Plan((verifying.stage(job, found.place, at_source, on_nodes),)),
        troubles=found.troubles,
        prove=lambda troubles: _prove(job, found, troubles),
    )


def _to_hash(store: Stored, blobs: Mapping[str, int], *, deep: bool) -> list[Blob]:
    if deep:
        return [Blob(digest, size) for digest, size in blobs.items() if store.is_there(digest, size)]
    return needs.unverified(store, blobs)


def _served(found: Found) -> ModelSet:
    """Return what is published; where nothing was yet, what the nodes have of what is wanted."""
    texts: dict[object, bytes] = {}
    if published := needs.latest(found.nodes.values()):
        return published
    for node in found.nodes.values():
        texts |= {model.name: text for model in found.wanted if (text := node.text_of(model.name))}
    return ModelSet({model.name: texts[model.name] for model in found.wanted if model.name in texts})


def _prove(job: Job, found: Found, troubles: Troubles) -> Proved:
    """Read the records again, and ask each node's Ollama."""
    source = survey.read_source(job, found.place)
    store = survey.store_of(job)
    read = job.fleet.read(lambda remote: stored.read(remote, store), list(found.nodes))
    now = Found(found.cluster, found.place, found.wanted, source, read.ok, pods=found.pods, registry=found.registry)
    published = _served(now)
    proved = proving.prove(job, now.nodes, now.pods, published, troubles)
    at_source = lacking.troubles(now)
    proved.troubles += at_source
    if not at_source:
        host = found.place.host.name
        job.say(host, f"every blob in {found.place.store} that is wanted has its digest")
        proved.lines.append((host, "every blob that is wanted has its digest"))
    for name, node in read.ok.items() if not survey.is_shared(job) else ():
        proved.troubles += [_damaged(job, name, wrong)] if (wrong := needs.missing(node, published)) else []
        if not wrong:
            proved.add([], name, f"all {len(published.blobs)} blobs of its models have their digests")
    return proved


def _damaged(job: Job, host: str, blobs: list[Blob]) -> Trouble:
    return Trouble(
        f"missing or damaged: {sizes.counted(len(blobs), 'blob')} of its models",
        host=host,
        why="\n".join(f"blob {short(blob.digest)} of {blob.size} bytes" for blob in blobs),
        next=f"inv pull-models --hosts {job.cluster.name}: it copies them anew",
    )
