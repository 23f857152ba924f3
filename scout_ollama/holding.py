"""show-lock, release-lock and audit: who is at work on a cluster, and who was."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scout_ollama import audit, report, run, state
from scout_ollama.audit import Record
from scout_ollama.changes import Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Cluster, Site
from scout_ollama.job import Job
from scout_ollama.lock import STATE, Place
from scout_ollama.proposal import Proposal, Request
from scout_ollama.remote import Reader, Remote, Script
from scout_ollama.results import LockOutput
from scout_ollama.state import Holding

T = TypeVar("T")


@dataclass(frozen=True)
class ReleaseLock:
    """End a run's hold; the run finds out before its next change."""

    host: str
    holding: Holding

    @property
    def title(self) -> str:
        """``release the lock``."""
        return "release the lock"

    def difference(self) -> list[str]:
        """Whose it is."""
        return [f"- lock of {self.holding.record.told()}"]

    def make(self, remote: Remote) -> None:
        """End it; another run that got the lock meanwhile keeps it."""
        remote.run(Script.load("release-lock"), STATE, self.holding.record.run, sudo=True, timeout=60)


def show_lock(site: Site, selector: str, *, as_json: bool) -> int:
    """Print who has the lock of each selected cluster; return 1 if one could not be asked."""
    clusters = site.clusters_of(site.select(selector))
    found, troubles = _ask(site, clusters, lambda remote: state.read(remote, runs=0).holding)
    if as_json:
        report.print_json({name: _output(holding).model_dump(mode="json") for name, holding in found.items()})
    else:
        for name, holding in found.items():
            report.print_text(f"{name}: {_told(holding)}", soft_wrap=True)
    report.print_troubles(troubles)
    return 1 if troubles else 0


def release_lock(site: Site, selector: str, request: Request) -> int:
    """Release the locks of the selected clusters; return the exit status."""
    clusters = site.clusters_of(site.select(selector))
    return run.carry_out(site, clusters, request, run.unprepared(propose_release), place=Place.BESIDE)


def propose_release(job: Job) -> Proposal:
    """Propose to end the hold of whoever has the cluster's lock."""
    holding = job.on_first_server(lambda remote: state.read(remote, runs=0)).holding
    changes = (ReleaseLock(job.servers[0], holding),) if holding and holding.alive else ()
    return Proposal(plan=Plan((Stage("lock", changes),)), destructive=True)


def show_audit(site: Site, selector: str, *, last: int, as_json: bool) -> int:
    """Print the last runs on each selected cluster; return 1 if one could not be asked."""
    clusters = site.clusters_of(site.select(selector))
    found, troubles = _ask(site, clusters, lambda remote: _runs(state.read(remote, last)))
    runs = sorted((record for records in found.values() for record in records), key=lambda record: record.began)[-last:]
    if as_json:
        report.print_json([record.model_dump(mode="json") for record in runs])
    elif runs:
        report.print_text(audit.table(runs), wide=True)
    report.print_troubles(troubles)
    return 1 if troubles else 0


def _runs(kept: state.State) -> list[Record]:
    """The audited runs, and one that was cut off and waits for the next run to audit it.

    What undoes a run is left out where it would need a revision that is no longer kept.
    """
    runs = [*kept.runs, *([kept.holding.record] if kept.holding and not kept.holding.alive else [])]
    return [run if _can_be_undone(run, kept.revisions) else run.model_copy(update={"undo": ""}) for run in runs]


def _can_be_undone(run: Record, revisions: Sequence[int]) -> bool:
    needed = re.search(r"rollback-ollama .*--to (\d{1,9})\b", run.undo)
    return needed is None or int(needed[1]) in revisions


def _ask(site: Site, clusters: Sequence[Cluster], ask: Callable[[Reader], T]) -> tuple[dict[str, T], list[Trouble]]:
    servers = {cluster.servers[0]: cluster.name for cluster in clusters}
    with Fleet(site) as fleet:
        outcomes = fleet.read(ask, servers)
    return {servers[host]: value for host, value in outcomes.ok.items()}, list(outcomes.failed.values())


def _output(holding: Holding | None) -> LockOutput:
    if holding is None:
        return LockOutput(locked=False, holder=None, silent_seconds=0)
    return LockOutput(locked=holding.alive, holder=holding.record, silent_seconds=holding.silent_seconds)


def _told(holding: Holding | None) -> str:
    if holding is None:
        return "not locked"
    if holding.alive:
        return f"locked by {holding.record.told()}; last sign of life {holding.silent_seconds} s ago"
    return f"not locked; a run was cut off: {holding.record.told()}"
