"""Bring blobs from one host of a site to others, as ``inv pull-models`` does it, without Kubernetes or models.

``python -m bench.bring SITE CLUSTER SOURCE STORE [--direct]``, with ``NODE DIGEST SIZE`` lines on standard input. SOURCE
is a host with its ``blobs/`` in STORE too; STORE is the same directory everywhere.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from scout_ollama import run
from scout_ollama.changes import Plan
from scout_ollama.inventory import load_site
from scout_ollama.job import Job
from scout_ollama.models import copying
from scout_ollama.models.blob import Blob
from scout_ollama.proposal import Consent, Proposal, Request


def bring(site: Path, cluster: str, source: str, store: str, lines: Iterable[str], *, direct: bool) -> int:
    """Copy what the lines name; return the exit status."""
    missing: dict[str, list[Blob]] = {}
    for line in lines:
        node, digest, size = line.split()
        missing.setdefault(node, []).append(Blob(digest, int(size)))
    for blobs in missing.values():
        blobs.sort(key=lambda blob: (-blob.size, blob.digest))

    def propose(job: Job) -> Proposal:
        where = copying.Source(source, f"{store}/blobs")
        stages = copying.stages(job, where, missing, {}, store=store, direct=direct)
        return Proposal(plan=Plan(tuple(stages)))

    loaded = load_site(site)
    request = Request("bench", Consent.YES)
    return run.carry_out(loaded, [loaded.clusters[cluster]], request, run.unprepared(propose))


if __name__ == "__main__":
    site, cluster, source, store, *flags = sys.argv[1:]
    sys.exit(bring(Path(site), cluster, source, store, sys.stdin, direct="--direct" in flags))
