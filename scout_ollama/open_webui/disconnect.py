"""disconnect-scout: what was there before a Scout was connected is there again; and the end of what it left behind."""

from __future__ import annotations

from dataclasses import dataclass, field

from scout_ollama import run
from scout_ollama.changes import Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, ScoutCluster, Site
from scout_ollama.job import Job
from scout_ollama.open_webui import changes, configuration, facts, proving
from scout_ollama.open_webui import target as targets
from scout_ollama.open_webui import workload as workloads
from scout_ollama.open_webui.configuration import Connection, Embedding
from scout_ollama.open_webui.facts import Found
from scout_ollama.open_webui.record import Before
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.wanting import Wanted
from scout_ollama.open_webui.workload import Embedded
from scout_ollama.proposal import Proposal, Request
from scout_ollama.remote import Remote


def command(site: Site, selector: str, request: Request) -> int:
    """Disconnect the selected Scouts, one after the other; return the exit status."""
    if not selector:
        site.select(selector)  # refuses, and says what there is
    return run.carry_out(site, targets.clusters(site, selector, None), request, prepare)


def prepare(cluster: Cluster) -> run.Propose:
    """Return what proposes to bring back what was there."""
    assert isinstance(cluster, ScoutCluster)
    scout = cluster
    return lambda job: _Disconnecting(job, scout).propose()


START_SECONDS = 120
"""What the Ollama beside Open WebUI may take to answer once it has a pod again."""


@dataclass(frozen=True)
class _Disconnecting:
    job: Job
    scout: ScoutCluster
    session: Session = field(default_factory=Session)

    def propose(self) -> Proposal:
        """Propose what brings back the newest record; nothing, where there is none."""
        found = self.job.on_first_server(lambda remote: facts.read(remote, self.session, self.scout))
        before = found.installed.before
        if before is None:
            return Proposal(plan=Plan(()), warnings=[self._no_record()])
        wanted = self._wanted(found, before)
        return Proposal(
            plan=Plan(tuple(self._stages(found, before, wanted))),
            prove=lambda _troubles: proving.prove(self.job, self.session, self.scout, wanted),
            undo=f"inv connect-scout --{before.mode} --hosts {self.scout.name}",
        )

    def _wanted(self, found: Found, before: Before) -> Wanted:
        """The connection as it was; its Ollama is the one that was replaced then."""
        old = Connection.of(before.connection)
        connection = configuration.restored(found.connection, old, before.url)
        installed = found.installed
        in_use = [
            url
            for url, settings in zip(old.urls, old.settings, strict=True)
            if old.enabled and settings.get("enable", True)
        ]
        replaced = [url for url in in_use if url not in found.connection.urls]
        own = [url for url in in_use if workloads.is_address_of(url, installed.embedded, installed.workload.namespace)]
        url = next(iter([*replaced, *own]), None)
        embedding = Embedding({**found.embedding.answer, **before.embedding})
        return Wanted(targets.named(self.job.site, url), connection, embedding, found.needs)

    def _stages(self, found: Found, before: Before, wanted: Wanted) -> list[Stage]:
        workload, embedded = found.workload, found.installed.embedded
        made: list[Stage] = []
        if embedded and embedded.workload == before.embedded and embedded.replicas < before.replicas:
            _require_volumes(embedded, before)
            scale = changes.Scale(workload.namespace, embedded, before.replicas, _nothing)
            made.append(Stage("embedded", (scale,)))
        if found.connection != wanted.connection or not found.embedding.same(wanted.embedding):
            now = (found.connection, found.embedding)
            made.append(
                Stage(
                    "connection", (changes.Switch(self.session, self.scout, now, wanted, self.job.say, START_SECONDS),)
                )
            )
        old, new = changes.changed(workload, before.environment)
        if new:
            mounted = changes.AUTHORITIES in workload.volumes
            was_used = any((entry or {}).get("value") == changes.BUNDLE for entry in old.values())
            mounts = False if mounted and was_used else None
            change = changes.ChangeWorkload(self.session, self.scout, workload, old, new, mounts)
            made.append(Stage("environment", (change,)))
        return [*made, Stage("record", (changes.ForgetRecord(),))]

    def _no_record(self) -> Trouble:
        return Trouble(
            f"{self.scout.name} was not connected from here: there is nothing to bring back",
            why="no record of what was there before is kept on its first server",
            next=f"inv connect-scout --hosts {self.scout.name}",
        )


def _require_volumes(embedded: Embedded, before: Before) -> None:
    gone = sorted({*before.claims} - {claim.name for claim in embedded.claims})
    if gone:
        raise Trouble(
            f"{embedded.workload} has no volume any more: {', '.join(gone)}",
            why="inv remove-embedded-ollama, or somebody else, removed it with its models",
            next="bring it back by Scout's own deploy, then the same command again",
        )


def _nothing(_: Remote) -> None:
    """Nothing has to hold first."""
