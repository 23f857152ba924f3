"""connect-scout: Open WebUI uses the Ollama that it shall, for good, and the one beside it is retired."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from scout_ollama import deploy, run, survey
from scout_ollama import proving as deploy_proving
from scout_ollama.changes import Expected, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, ScoutCluster, Site
from scout_ollama.inventory.models import OllamaMode
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject
from scout_ollama.open_webui import (
    changes,
    facts,
    needs,
    notes,
    ollama,
    preflight,
    proving,
    record,
    wanting,
)
from scout_ollama.open_webui import target as targets
from scout_ollama.open_webui import workload as workloads
from scout_ollama.open_webui.answers import within
from scout_ollama.open_webui.configuration import Json
from scout_ollama.open_webui.facts import Found
from scout_ollama.open_webui.preflight import Way
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.target import Target
from scout_ollama.open_webui.wanting import Wanted
from scout_ollama.proposal import Proposal, Request
from scout_ollama.remote import Reader, Remote


def mode_of(*, external: bool, deploy: bool, disabled: bool) -> OllamaMode | None:
    """Return the mode that the flags name; None for the inventory's.

    Raises:
        Trouble: they name several.
    """
    flags: dict[OllamaMode, bool] = {"external": external, "deploy": deploy, "disabled": disabled}
    named = [mode for mode, given in flags.items() if given]
    if len(named) > 1:
        raise Trouble(
            f"{' and '.join(f'--{mode}' for mode in named)} exclude each other",
            why="a Scout uses one Ollama",
            next="give one of them, or none for what the inventory says",
        )
    return named[0] if named else None


def command(site: Site, selector: str, request: Request, mode: OllamaMode | None) -> int:
    """Connect the selected Scouts, one after the other; return the exit status."""
    scouts = targets.clusters(site, selector, mode)
    return run.carry_out(site, scouts, request, lambda cluster: prepare(site, cluster, mode))


def prepare(site: Site, cluster: Cluster, mode: OllamaMode | None) -> run.Propose:
    """Return what proposes to connect one Scout.

    Raises:
        Trouble: the inventory does not say to what, or a file is missing.
    """
    assert isinstance(cluster, ScoutCluster)
    scout, meant, target = targets.of(site, cluster, mode)
    beside = deploy.prepare(meant, scout) if target.mode == "deploy" else None
    return lambda job: _Connecting(replace(job, site=meant, cluster=scout), scout, target).propose(cluster, beside)


@dataclass(frozen=True)
class _Connecting:
    """One Scout and the Ollama that it shall use."""

    job: Job
    scout: ScoutCluster
    target: Target
    session: Session = field(default_factory=Session)

    def propose(self, inventoried: ScoutCluster, beside: run.Propose | None) -> Proposal:
        """Propose what is missing; for mode deploy first its own Ollama."""
        ground = beside(self.job) if beside else None
        troubles: Troubles = dict(ground.troubles) if ground else {}
        found = self.job.on_first_server(lambda remote: facts.read(remote, self.session, self.scout))
        first = ground.plan.stages if ground and ground.plan else ()
        stages = (self._later(found, ground),) if ground and first else tuple(self._stages(found))
        plan = Plan((*first, *stages))
        return Proposal(
            plan=plan,
            troubles=troubles,
            warnings=[
                *(ground.warnings if ground else ()),
                *notes.of(self.job.site, inventoried, self.target, found, will_change=bool(plan)),
            ],
            prove=lambda _troubles: proving.prove(
                self.job, self.session, self.scout, wanting.wanted(self.target, found)
            ),
            objects=ground.objects if ground and first else None,
            undo=f"inv disconnect-scout --hosts {self.scout.name}" if any(s.changes for s in stages) else "",
        )

    def _later(self, found: Found, ground: Proposal) -> Stage:
        """What follows when the Scout's own Ollama serves: it cannot be tried before."""
        wanted = wanting.wanted(self.target, found)
        lines = (*found.connection.lines(wanted.connection), *found.embedding.lines(wanted.embedding))
        expected = Expected(None, f"connect Open WebUI to {self.target.url}", lines) if lines else None

        def settle() -> Sequence[Stage]:
            objects, _ = deploy.wanted_objects(self.job.site, self.scout)
            proved = deploy_proving.prove(self.job, objects, survey.take(self.job, objects), ground.troubles)
            for trouble in proved.troubles:
                raise trouble
            return self._stages(found)

        return Stage("connect", (expected,) if expected else (), settle=settle)

    def _stages(self, found: Found) -> Sequence[Stage]:
        """Return what is to be done, in the order in which nothing is ever worse than before."""
        wanted, workload = wanting.wanted(self.target, found), found.workload
        way = self._way(found) if self.target.url else Way()
        made: list[Stage] = [*self._trust(found, way)]
        moves = (found.connection, wanted.connection) if found.connection != wanted.connection else None
        if moves or not found.embedding.same(wanted.embedding):
            switch = changes.Switch(self.session, self.scout, (found.connection, found.embedding), wanted, self.job.say)
            made.append(Stage("connection", (switch,)))
        before, after = changes.changed(workload, self._durable(found, wanted))
        replicas_disagree = len(workload.pods) > 1 and not found.embedding.same(wanted.embedding)
        if after or replicas_disagree:
            why = "each replica asks for embeddings as it did when it started"
            change = changes.ChangeWorkload(self.session, self.scout, workload, before, after, why=why)
            made.append(Stage("environment", (change,)))
        embedded = found.installed.embedded
        if embedded and embedded.replicas and self.target.url and not self._keeps(embedded, wanted):
            check = self._check(wanted)
            made.append(Stage("retire", (changes.Scale(workload.namespace, embedded, 0, check),)))
        kept = found.installed.before
        if made and not (kept and kept.is_for(self.target)):
            before_it = record.of(self.target, workload, embedded, found.connection, found.embedding)
            made.insert(0, Stage("record", (changes.KeepRecord(before_it),)))
        return made

    def _keeps(self, embedded: workloads.Embedded, wanted: Wanted) -> bool:
        """Whether a connection that stays is to the Ollama beside Open WebUI after all."""
        namespace = self.scout.open_webui.namespace
        return any(workloads.is_address_of(url, embedded, namespace) for url in wanted.connection.urls)

    def _check(self, wanted: Wanted) -> Callable[[Remote], object]:
        """What has to hold before the Ollama beside Open WebUI goes: all of the proof, once more."""

        def check(remote: Remote) -> None:
            workload = facts.read_installed(remote, self.scout).workload
            proving.check(remote, self.session, workload, wanted)

        return check

    def _way(self, found: Found) -> Way:
        """Try the Ollama from the node and from the pod, and hold its models against those that this Scout uses.

        Raises:
            Trouble: it cannot be used, or lacks a model.
        """
        url = self.target.url or ""

        def ask(remote: Reader) -> tuple[Way, ollama.Answers, set[str]]:
            answers = ollama.from_node(remote, self.target) if self.target.mode == "external" else None
            probe, verified, tags = self.session.ask(
                remote,
                found.workload,
                {"do": "probe", "url": url, "ca": self.target.ca},
                {"do": "call", "path": "/ollama/verify", "body": {"url": url, "key": ""}},
                {"do": "call", "path": "/api/models"},
            )
            way = preflight.judge(self.target, probe, verified)
            return way, answers or ollama.of_probe(self.target, probe), _others(tags)

        way, answers, others = self.job.on_first_server(ask)
        gaps = [need for need in needs.lacking(found.needs, answers.tags) if need.model not in others]
        if gaps:
            raise notes.gaps(self.scout, self.target, gaps)
        return way

    def _trust(self, found: Found, way: Way) -> list[Stage]:
        """What the pod needs for its way, before the connection is switched."""
        made, wanted = list[changes.KeepAuthorities](), dict[str, KubeObject | None]()
        workload = found.workload
        if way.needs_trust:
            ask = {"do": "trust"}
            trusted = self.job.on_first_server(lambda remote: self.session.ask(remote, workload, ask)[0])
            bundle = f"{trusted['certificates'].strip()}\n{self.target.ca.strip()}\n".lstrip()
            why = f"the authority of {self.target.hostname}"
            made.append(changes.KeepAuthorities(workload.namespace, bundle, why))
            session_file = found.environment.get("AIOHTTP_CLIENT_SESSION_SSL", "").startswith("/")
            name = "AIOHTTP_CLIENT_SESSION_SSL" if session_file else "AIOHTTP_CLIENT_SSL_CERT_FILE"
            wanted |= changes.entries({name: changes.BUNDLE})
        if way.needs_no_proxy:
            # In lowercase it wins over NO_PROXY, which is the chart's.
            known = workload.value("no_proxy") or workload.value("NO_PROXY") or ""
            wanted |= changes.entries({"no_proxy": ",".join(filter(None, (known, self.target.hostname)))})
        before, after = changes.changed(workload, wanted)
        if not after:
            return []
        mounts = True if way.needs_trust else None
        change = changes.ChangeWorkload(self.session, self.scout, workload, before, after, mounts)
        return [Stage("way", (*made, change))]

    def _durable(self, found: Found, wanted: Wanted) -> dict[str, KubeObject | None]:
        """The environment with which a fresh database would be seeded with the same."""
        if self.target.url is None:
            return changes.entries({"ENABLE_OLLAMA_API": "False"})
        values = {"OLLAMA_BASE_URLS": ";".join(wanted.connection.urls)}
        if found.environment.get("ENABLE_OLLAMA_API", "true").lower() != "true":
            values["ENABLE_OLLAMA_API"] = "True"
        if wanted.embedding.uses_ollama:
            values["RAG_OLLAMA_BASE_URL"] = wanted.embedding.url
        return changes.entries(values)


def _others(models: Json) -> set[str]:
    """The models in an answer of ``/api/models`` that are not an Ollama's."""
    listed = within(models, "answer", "data")
    known = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("id")) for one in known if one.get("owned_by") not in ("ollama", None)}
