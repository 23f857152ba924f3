"""Bring blobs from one host of a site to others, as ``inv pull-models`` does it, without Kubernetes or models.

``python -m bench.bring SITE CLUSTER SOURCE STORE [--direct]``, with ``NODE DIGEST SIZE`` lines on standard input: the
blobs are in ``STORE/blobs`` of the host SOURCE, and STORE is the same directory everywhere. Prints how long it took.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from scout_ollama import run
from scout_ollama.changes import Plan, Stage
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
        return Proposal(plan=Plan(timed(copying.stages(job, where, missing, {}, store=store, direct=direct))))

    loaded = load_site(site)
    request = Request("bench", Consent.YES)
    return run.carry_out(loaded, [loaded.clusters[cluster]], request, run.unprepared(propose))


def timed(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the stages so that the seconds which the copying alone takes are printed: ``seconds N``."""
    ready, copy, back = stages
    began = [0.0]

    def start() -> list[Stage]:
        began[0] = time.monotonic()
        return []

    def stop() -> list[Stage]:
        print(f"seconds {time.monotonic() - began[0]:.2f}", flush=True)
        return []

    return ready, Stage("start", (), settle=start), copy, Stage("stop", (), settle=stop), back


if __name__ == "__main__":
    site, cluster, source, store, *flags = sys.argv[1:]
    sys.exit(bring(Path(site), cluster, source, store, sys.stdin, direct="--direct" in flags))
