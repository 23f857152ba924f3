"""Bringing blobs to nodes: each leaves the source once, and flows through the nodes while it arrives."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from scout_ollama.changes import Stage
from scout_ollama.inventory import Host
from scout_ollama.job import Job
from scout_ollama.known_hosts import KnownHosts, Verdict, name_of
from scout_ollama.models.blob import Blob
from scout_ollama.models.chain import SOURCE, Chain
from scout_ollama.models.copy_progress import CopyProgress
from scout_ollama.models.fetching import Fetch, Upstream
from scout_ollama.models.sharing import ExpectBlobs, RunKey, ShareBlobs, UnshareBlobs
from scout_ollama.store import blob_file


@dataclass(frozen=True)
class Source:
    """The ``blobs/`` directory that everything comes from, on a host; without one, each node sees it itself."""

    host: str | None
    directory: str


def stages(
    job: Job,
    source: Source,
    missing: Mapping[str, Sequence[Blob]],
    whole: Mapping[str, Collection[Blob]],
    *,
    store: str,
    direct: bool = False,
) -> list[Stage]:
    """Return what brings to each node the blobs that it misses; ``whole`` are those that it has, verified."""
    wanted = {host: tuple(blobs) for host, blobs in missing.items() if blobs}
    hosts = {host.name: host for host in job.site.hosts}
    receivers = [name for name in hosts if name in wanted]
    row = [*(() if direct else _sources(wanted, whole)), *receivers]
    chain = Chain(row, direct)
    key = RunKey.make(job.cluster.name)
    progress = CopyProgress(wanted, lambda progress: job.show(job.cluster.name, progress))
    incoming = f"{store}/.scout-ollama/incoming"
    files = {blob_file(blob.digest) for blobs in wanted.values() for blob in blobs}

    served: dict[str, tuple[str, ...]] = {} if direct else dict.fromkeys(row, (incoming, f"{store}/blobs"))
    if source.host:
        served[source.host] = (*served.get(source.host, ()), source.directory)
    known = KnownHosts.load(job.site.known_hosts)
    upstreams = {name: _upstream(hosts[name], known) for name in served}

    def seen_from(node: str) -> dict[str, Upstream]:
        there = source.host is None or source.host == node
        at_source = Upstream(source.host or "the share", source.directory) if there else upstreams[str(source.host)]
        return {**upstreams, SOURCE: at_source}

    expect = [
        ExpectBlobs(name, store, tuple(sorted(blob_file(blob.digest) for blob in wanted.get(name, ())))) for name in row
    ]
    share = [
        ShareBlobs(
            name,
            key,
            directories,
            receivers=tuple(hosts[receiver].address for receiver in receivers),
            readable=tuple(f"{directory}/{file}" for directory in directories for file in sorted(files)),
            chain=chain,
        )
        for name, directories in served.items()
    ]
    fetch = [
        Fetch(name, wanted[name], store, job.cluster.name, seen_from(name), chain, key, progress) for name in receivers
    ]
    return [
        Stage("make ready", (*expect, *share)),
        Stage("copy", tuple(fetch)),
        Stage("take keys back", tuple(UnshareBlobs(name, key) for name in served)),
    ]


def _sources(wanted: Mapping[str, Collection[Blob]], whole: Mapping[str, Collection[Blob]]) -> list[str]:
    """Return the nodes that have everything that any other one misses: they stand before those."""
    digests = {blob.digest for blobs in wanted.values() for blob in blobs}
    return [name for name, blobs in whole.items() if name not in wanted and digests <= {blob.digest for blob in blobs}]


def _upstream(host: Host, known: KnownHosts) -> Upstream:
    name = name_of(host.address, host.ssh.port)
    keys = [entry.key for entry in known.of(name) if known.verdict(name, entry.key) is Verdict.KNOWN]
    lines = "".join(f"{name} {key.type} {base64.b64encode(key.blob).decode()}\n" for key in keys)
    return Upstream(host.name, f"{host.ssh.user}@{host.address}", host.ssh.port, lines)
