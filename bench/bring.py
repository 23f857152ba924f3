"""Bring blobs from one host of a site to others, as ``inv pull-models`` does it, without Kubernetes or models.

``python -m bench.bring SITE CLUSTER SOURCE STORE [--direct]``, with ``NODE DIGEST SIZE`` lines on standard input: the
blobs are in ``STORE/blobs`` of the host SOURCE, and STORE is the same directory everywhere. A node gets what it lacks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from scout_ollama import run
from scout_ollama.changes import Plan
from scout_ollama.inventory import load_site
from scout_ollama.job import Job
from scout_ollama.models import copying, stored
from scout_ollama.models.blob import Blob
from scout_ollama.proposal import Consent, Proposal, Request


def bring(site: Path, cluster: str, source: str, store: str, lines: Iterable[str], *, direct: bool) -> int:
    """Copy what the lines name; return the exit status."""
    wanted: dict[str, list[Blob]] = {}
    for line in lines:
        node, digest, size = line.split()
        wanted.setdefault(node, []).append(Blob(digest, int(size)))
    for blobs in wanted.values():
        blobs.sort(key=lambda blob: (-blob.size, blob.digest))

    def propose(job: Job) -> Proposal:
        read = job.fleet.read(lambda remote: stored.read(remote, store), wanted)
        missing = {
            node: [blob for blob in wanted[node] if not there.is_there(blob.digest, blob.size)]
            for node, there in read.ok.items()
        }
        where = copying.Source(source, f"{store}/blobs")
        stages = copying.stages(job, where, missing, {}, store=store, direct=direct) if any(missing.values()) else ()
        return Proposal(Plan(tuple(stages)), troubles=read.failed)

    loaded = load_site(site)
    request = Request("bench", Consent.YES)
    return run.carry_out(loaded, [loaded.clusters[cluster]], request, run.unprepared(propose))


if __name__ == "__main__":
    site, cluster, source, store, *flags = sys.argv[1:]
    sys.exit(bring(Path(site), cluster, source, store, sys.stdin, direct="--direct" in flags))
