"""A plan is made stage by stage. A host's trouble stops that host and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from scout_ollama import state
from scout_ollama.changes import Change, Stage, settled
from scout_ollama.errors import HostTroubles, Trouble
from scout_ollama.job import Job
from scout_ollama.lock import Hold
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Outcome, Proposal
from scout_ollama.remote import Remote
from scout_ollama.report import Reporter


class Making:
    """The making of one proposal, under one hold; what comes of it is put on record as it happens."""

    def __init__(self, job: Job, hold: Hold, reporter: Reporter, outcome: Outcome) -> None:
        self._job = job
        self._hold = hold
        self._reporter = reporter
        self._outcome = outcome
        self._noting = threading.Lock()
        self._quiet = False

    def make(self, proposal: Proposal) -> None:
        """Make every stage's changes; what waits for a host with trouble is not made, and said so.

        A change of the cluster that fails ends it: what comes after stands on it.
        """
        self._outcome.undo = proposal.undo
        self._quiet = proposal.quiet
        to_keep = proposal.objects
        for stage in settled(proposal.plan.stages):
            if stage.one_at_a_time:
                self._make_one_at_a_time(stage)
            else:
                self._make_on_hosts(stage)
            for change in stage.in_cluster:
                server = self._server_for(change, stage)
                if server and to_keep is not None and stage.is_kept:
                    self._keep(to_keep)
                    to_keep = None
                if server and not self._make_in_cluster(change, server):
                    return

    def _make_on_hosts(self, stage: Stage) -> None:
        by_host: dict[str, list[Change]] = {}
        for change in stage.on_hosts:
            if change.host and change.host not in self._outcome.host_troubles:
                by_host.setdefault(change.host, []).append(change)

        def make_all(remote: Remote) -> None:
            for change in by_host[remote.host.name]:
                self._make(change, remote)

        self._outcome.host_troubles |= self._job.fleet.change(self._hold, make_all, list(by_host)).failed

    def _make_one_at_a_time(self, stage: Stage) -> None:
        troubles = self._outcome.host_troubles
        for at, change in enumerate(stage.on_hosts):
            if change.host in troubles:
                continue
            self._make_on_hosts(Stage(stage.name, (change,)))
            if change.host in troubles:
                for rest in stage.on_hosts[at + 1 :]:
                    if rest.host is not None and rest.host not in troubles:
                        troubles[rest.host] = _left_alone(rest.host, rest, change.host)
                return

    def _server_for(self, change: Change, stage: Stage) -> str | None:
        """Return the server through which a change of the cluster is made; None if it cannot be made now."""
        troubles = self._outcome.host_troubles
        if held_by := [host for host in stage.waits_for if host in troubles]:
            self._hold_back(_held_back(change, held_by))
            return None
        server = next((name for name in self._job.servers if name not in troubles), None)
        if server is None:
            self._hold_back(_no_server(change))
        return server

    def _hold_back(self, trouble: Trouble) -> None:
        self._outcome.troubles.append(trouble)
        self._outcome.is_held_back = True

    def _make_in_cluster(self, change: Change, server: str) -> bool:
        """Make it, and say whether what comes after it may be made."""
        made = self._job.fleet.change(self._hold, lambda remote: self._make(change, remote), [server])
        for trouble in made.failed.values():
            if isinstance(trouble, HostTroubles):
                for host, told in trouble.troubles.items():
                    self._outcome.host_troubles.setdefault(host, told)
                return True
            self._hold_back(trouble)
        return not made.failed

    def _keep(self, objects: Sequence[KubeObject]) -> None:
        """Keep what shall stand in the cluster, before it does: what is applied can then be come back to.

        Raises:
            Trouble: there is no room for it, so nothing is applied.
        """
        kept = self._job.fleet.change(self._hold, lambda remote: state.keep(remote, objects), self._job.servers[:1])
        revision = kept.values_or_raise()[self._job.servers[0]]
        cluster = self._job.cluster.name
        rollback = f"inv rollback-ollama --hosts {cluster} --to {revision.before}"
        undo = rollback if revision.before else f"inv remove-ollama --hosts {cluster}"
        self._outcome.undo = "; ".join(filter(None, (undo, self._outcome.undo)))
        self._hold.update(kept=revision.number, undo=self._outcome.undo)

    def _make(self, change: Change, remote: Remote) -> None:
        host = change.host or remote.host.name
        self._hold.update(making=f"{host}: {change.title}")
        with self._reporter.working(host, change.title, quiet=self._quiet):
            change.make(remote)
        with self._noting:
            self._outcome.made.append((change.host or self._job.cluster.name, change.title))
            self._hold.update(made=len(self._outcome.made))


def _left_alone(host: str, change: Change, because_of: str) -> Trouble:
    return Trouble(
        f"left alone: {change.title} was not tried",
        host=host,
        why=f"{because_of} did not come back from it, and one node at a time may be away",
        next=f"mend {because_of} first, then the same command again",
    )


def _held_back(change: Change, held_by: Sequence[str]) -> Trouble:
    return Trouble(
        f"held back: {change.title}",
        why=f"it would replace running pods, and {', '.join(held_by)} is not ready for it",
        next="mend that first, then the same command again; until then everything runs as it did",
    )


def _no_server(change: Change) -> Trouble:
    return Trouble(
        f"not done: {change.title}",
        why="no server of the cluster is left without trouble",
        next="mend one of them, then the same command again",
    )
