"""What is there of a cluster's models before anything is done: on staging, on each node, in memory, in the registry."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scout_ollama import manifests
from scout_ollama.errors import Trouble
from scout_ollama.hints import on
from scout_ollama.inventory import Host
from scout_ollama.job import Job, Troubles
from scout_ollama.models import place, pods, registry, stored, wanted
from scout_ollama.models.place import Place
from scout_ollama.models.pods import Pod
from scout_ollama.models.sets import closure
from scout_ollama.models.stored import Stored
from scout_ollama.models.wanted import WantedModel
from scout_ollama.store import Manifest, ModelName


@dataclass(frozen=True)
class Found:
    """``cluster`` shall serve, ``source`` is the store at ``place``, ``nodes`` are of the hosts without trouble."""

    cluster: str
    place: Place
    wanted: Sequence[WantedModel]
    source: Stored
    nodes: Mapping[str, Stored]
    troubles: Troubles = field(default_factory=dict)
    pods: Mapping[str, Pod] = field(default_factory=dict)
    registry: Mapping[ModelName, Manifest] = field(default_factory=dict)

    @property
    def wanted_blobs(self) -> dict[str, int]:
        """Every blob that the wanted models need, as far as the source has their manifests: digest to bytes."""
        return closure(text for model in self.wanted if (text := self.source.text_of(model.name)))


def take(job: Job, troubles: Troubles) -> Found:
    """Read staging's store, then those of all nodes at once that have no trouble; what is found is added to that.

    Raises:
        Trouble: staging cannot be asked, or has no store where it should be: nothing is concluded from that.
        NoServerLeft: no server of the cluster can be asked for its pods.
    """
    where = place.of(job)
    if where.host.name in troubles:
        raise troubles[where.host.name]
    source = read_source(job, where)
    nodes, of_nodes = read_nodes(job, troubles)
    troubles |= of_nodes
    models = wanted.of(job.ollama)
    pulled = list(dict.fromkeys(model.pulled for model in models))
    told = job.fleet.read(lambda remote: registry.read(remote, pulled), [where.host.name]).ok
    from_registry = told.get(where.host.name, {})
    serving = pods.find(job, troubles)
    return Found(job.cluster.name, where, models, source, nodes, troubles, serving, from_registry)


def read_nodes(job: Job, without: Collection[str] = ()) -> tuple[dict[str, Stored], Troubles]:
    """Read the stores of all GPU hosts at once, ``without`` some; return those that are, and the others' troubles."""
    store = store_of(job)
    names = [host.name for host in job.ollama_hosts if host.name not in without]
    read = job.fleet.read(lambda remote: stored.read(remote, store), names)
    troubles = dict(read.failed)
    for name, found in read.ok.items():
        if found.flaw:
            host = job.cluster.hosts[name]
            troubles[name] = (
                _no_mount(host, store, found.flaw) if is_shared(job) else _no_store(host, store, found.flaw)
            )
    return {name: found for name, found in read.ok.items() if name not in troubles}, troubles


def store_of(job: Job) -> str:
    """Return the directory on each node that its pod serves from."""
    return manifests.store_path(job.site, job.cluster)


def is_shared(job: Job) -> bool:
    """Whether the nodes serve from staging's share itself: there is no copy, and what is on the share is served."""
    return job.ollama.source == "nfs"


def require_copies(job: Job, command: str) -> None:
    """Make sure that the nodes have copies of their own.

    Raises:
        Trouble: they serve from the share.
    """
    if is_shared(job):
        raise Trouble(
            f"{job.cluster.name} serves from the share {store_of(job)}",
            why=f"its nodes have no models of their own that {command} could change: ollama.source is nfs",
            next=f"inv list-models --hosts {job.cluster.name}",
        )


def read_source(job: Job, where: Place) -> Stored:
    """Read the store that models are pulled into.

    Raises:
        Trouble: its host cannot be asked, or the store is not there.
    """
    found = job.fleet.read(lambda remote: stored.read(remote, where.store), [where.host.name])
    source = found.values_or_raise()[where.host.name]
    if source.flaw and where.is_staging:
        raise no_share(where, source.flaw)
    return source


def no_share(where: Place, flaw: str) -> Trouble:
    """Return the trouble that staging's share is not what it should be."""
    return Trouble(
        f"the share of models {where.store} is not there",
        host=where.host.name,
        why=f"{flaw}\nit may not be mounted; nothing is pulled, and no node is touched",
        next=on(where.host, f"findmnt {where.store}; sudo mount {where.store}")
        + f"; a new share needs {where.store}/blobs and {where.store}/manifests",
    )


def _no_mount(host: Host, store: str, flaw: str) -> Trouble:
    return Trouble(
        f"the share {store} is not mounted, or stale",
        host=host.name,
        why=f"{flaw}\nits pod serves from there: ollama.source is nfs",
        next=on(host, f"findmnt {store}; sudo umount -l {store}; sudo mount {store}"),
    )


def _no_store(host: Host, store: str, flaw: str) -> Trouble:
    return Trouble(
        f"the model store {store} is not there",
        host=host.name,
        why=f"{flaw}\nit must hold blobs/ and manifests/",
        next=on(host, f"sudo mkdir -p {store}/blobs {store}/manifests") + "; then the same command again",
    )
