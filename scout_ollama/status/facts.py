"""How a site is now: every host asked at once by one script, then every Ollama, endpoint and Open WebUI by another."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from scout_ollama import asking, audit, manifests, state
from scout_ollama.errors import Trouble
from scout_ollama.facts import ABSENT, Section, Sections, Space, facts_script, parse_sections, space_of
from scout_ollama.fleet import Fleet, Outcomes, run_on
from scout_ollama.inventory import Cluster, Host, OllamaCluster, ScoutCluster, Site, StagingCluster
from scout_ollama.kube_json import objects_in
from scout_ollama.lock import STATE
from scout_ollama.manifests import KubeObject
from scout_ollama.open_webui import looking
from scout_ollama.open_webui.facts import Installed, installed_of
from scout_ollama.open_webui.looking import Looked
from scout_ollama.open_webui.record import RECORDS
from scout_ollama.open_webui.session import Session
from scout_ollama.outside import understood, whole
from scout_ollama.pods import is_running, on_node
from scout_ollama.remote import Reader
from scout_ollama.rollout import is_ollama
from scout_ollama.state import State

RUNS = 30
"""How many of the last runs are read."""
_HOST_SECONDS = 20
_SCOUT_SECONDS = 60  # where Open WebUI is looked for as well, whose kubectl waits longer for an API that hangs
_ASKERS = 2  # Scout hosts that are read for a cluster's sake: the second one in case the first is away
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class HostNow:
    """One host. ``api`` is what its Kubernetes API said, ``objects`` what was in it; None where not asked, or failed.

    ``gpu_memory`` has the bytes in use and in all of each GPU that the driver shows.
    """

    k3s: Section = ABSENT
    api: Section | None = None
    objects: tuple[KubeObject, ...] | None = field(default=None, repr=False)
    store: Space | None = None
    gpus: Section | None = None
    gpu_memory: tuple[tuple[int, int], ...] = ()
    kept: State = field(default_factory=lambda: State(None, [], []))
    open_webui: Installed | Trouble | None = None


@dataclass(frozen=True)
class SiteFacts:
    """One reading. ``ollamas`` are the answers of pods by host, ``endpoints`` those to the Scout host that asked.

    ``open_webuis`` is what each Scout's Open WebUI says itself, by the Scout's first server.

    A host in ``troubles`` did not answer, and is nowhere else.
    """

    taken: datetime
    seconds: float
    hosts: Mapping[str, HostNow]
    troubles: Mapping[str, Trouble]
    ollamas: Mapping[str, Sections] = field(default_factory=dict)
    endpoints: Mapping[str, Sections] = field(default_factory=dict)
    open_webuis: Mapping[str, Looked | Trouble] = field(default_factory=dict)

    def objects_of(self, cluster: Cluster) -> tuple[KubeObject, ...] | None:
        """Return the objects of a cluster by the first of its servers that has them; None if none has."""
        return _objects_of(cluster, self.hosts)

    def addresses_of(self, cluster: Cluster) -> dict[str, str]:
        """Return the names of a cluster's hosts that answer, by the address at which their node serves."""
        nodes = [obj for obj in self.objects_of(cluster) or () if obj["kind"] == "Node"]
        return asking.node_addresses((host for host in cluster.hosts.values() if host.name in self.hosts), nodes)

    def pod_of(self, host: Host, cluster: Cluster) -> KubeObject | None:
        """Return the Ollama pod on a host's node."""
        ours = (obj for obj in self.objects_of(cluster) or () if obj["kind"] == "Pod" and is_ollama(obj))
        return on_node(host.node, [pod for pod in ours if _is_in(cluster, pod)])


def read(site: Site, selected: Iterable[Host], fleet: Fleet, sessions: Mapping[str, Session]) -> SiteFacts:
    """Read the selected hosts, and those that it takes to tell about their clusters.

    ``sessions`` are the conversations with the Open WebUI of each Scout: it lets nobody sign in for every reading.
    """
    taken, began = audit.now(), time.monotonic()
    clusters = site.clusters_of(selected := list(selected))
    names = dict.fromkeys([host.name for host in selected] + [cluster.servers[0] for cluster in clusters])
    askers = {cluster.name: _authorised(site, cluster) for cluster in clusters}
    names |= dict.fromkeys(host for hosts in askers.values() for host in hosts[:_ASKERS])
    asked = _read_hosts(site, fleet, names, clusters)
    facts = SiteFacts(taken, 0, asked.ok, asked.failed)

    questions = {name: _questions(site, facts, name, askers, sessions) for name in asked.ok}
    answers = fleet.read(lambda remote: _ask(remote, questions[remote.host.name]), filter(questions.get, questions))
    return SiteFacts(
        taken,
        round(time.monotonic() - began, 3),
        {name: host for name, host in asked.ok.items() if name not in answers.failed},
        {**asked.failed, **answers.failed},
        {name: answer.pod for name, answer in answers.ok.items() if answer.pod is not None},
        {name: answer.endpoint for name, answer in answers.ok.items() if answer.endpoint is not None},
        {
            **{name: host.open_webui for name, host in asked.ok.items() if isinstance(host.open_webui, Trouble)},
            **{name: answer.open_webui for name, answer in answers.ok.items() if answer.open_webui is not None},
        },
    )


def netloc_of(scout: ScoutCluster) -> str:
    """Return ``host[:port]`` of the endpoint that a Scout in mode external uses; empty in other modes."""
    return urlsplit(scout.ollama_url or "").netloc if scout.ollama_mode == "external" else ""


def _authorised(site: Site, cluster: Cluster) -> list[str]:
    """The Scout hosts that may use a cluster's endpoint, in the order of the inventory."""
    return [host.name for host in asking.authorised_scouts(site, cluster)] if isinstance(cluster, OllamaCluster) else []


def _read_hosts(site: Site, fleet: Fleet, names: Iterable[str], clusters: Iterable[Cluster]) -> Outcomes[HostNow]:
    """Read the hosts; the objects of a cluster by its first server, or by the next one that answers."""
    tried = {cluster.servers[0] for cluster in clusters}
    asked = fleet.read(lambda remote: _read_host(site, remote, objects=remote.host.name in tried), names)
    while others := set(_next_servers(clusters, asked.ok, tried)):
        asked.update(fleet.read(lambda remote: _read_host(site, remote, objects=True), others))
        tried |= others
    return asked


def _next_servers(clusters: Iterable[Cluster], hosts: Mapping[str, HostNow], tried: Container[str]) -> Iterator[str]:
    for cluster in clusters:
        if _objects_of(cluster, hosts) is None:
            yield from [name for name in cluster.servers if name in hosts and name not in tried][:1]


def _objects_of(cluster: Cluster, hosts: Mapping[str, HostNow]) -> tuple[KubeObject, ...] | None:
    found = (hosts[name].objects for name in cluster.servers if name in hosts)
    return next((objects for objects in found if objects is not None), None)


def _read_host(site: Site, remote: Reader, *, objects: bool) -> HostNow:
    host = remote.host
    cluster = site.clusters[host.cluster]
    wanted = ("nodes,pods" if cluster.runs_ollama else "nodes") if objects else "ready"
    kinds = wanted if "server" in host.roles else ""
    arguments = [STATE, str(RUNS), _store_of(site, cluster, host), kinds, "gpus" if host.gpus else ""]
    scripts = ["read-state", "status-host"]
    if scout := _scout_of(cluster, host):
        arguments = [scout.open_webui.namespace, RECORDS, "", *arguments]
        scripts = ["open-webui-facts", *scripts]
    script = facts_script("together", "k3s", *scripts)
    seconds = _SCOUT_SECONDS if scout else _HOST_SECONDS
    said = remote.read(script, *arguments, sudo=True, timeout=seconds).stdout
    with understood(host.name, script.name):
        sections = parse_sections(said)
        now = _parsed(sections, objects=objects)
    return replace(now, open_webui=_installed(sections, scout, host)) if scout else now


def _scout_of(cluster: Cluster, host: Host) -> ScoutCluster | None:
    """The Scout whose Open WebUI is asked through a host, if there is one."""
    return cluster if isinstance(cluster, ScoutCluster) and host.name == cluster.servers[0] else None


def _installed(sections: Sections, scout: ScoutCluster, host: Host) -> Installed | Trouble:
    try:
        return installed_of(sections, scout.open_webui.namespace, host)
    except Trouble as trouble:
        return trouble


def _store_of(site: Site, cluster: Cluster, host: Host) -> str:
    if isinstance(cluster, StagingCluster):
        return cluster.ollama_nfs_path
    return manifests.store_path(site, cluster) if cluster.runs_ollama and "gpu" in host.roles else ""


def _parsed(sections: Sections, *, objects: bool) -> HostNow:
    api = sections.get("api")
    gpus = sections.get("gpus")
    return HostNow(
        k3s=sections["k3s"],
        api=api,
        objects=tuple(objects_in(api.text)) if objects and api and api.ok else None,
        store=space_of(sections["store"]),
        gpus=gpus,
        gpu_memory=_gpu_memory(gpus.text) if gpus and gpus.ok else (),
        kept=state.parse(sections),
    )


def _gpu_memory(text: str) -> tuple[tuple[int, int], ...]:
    """Parse ``USED, TOTAL`` in MiB, a GPU a line; one whose memory is not told (a slice of a GPU) counts with 0."""
    rows = [line.split(",") for line in text.splitlines() if line.count(",") == 1]
    return tuple((_mebibytes(used), _mebibytes(total)) for used, total in rows)


def _mebibytes(text: str) -> int:
    return whole(text.strip()) * _MEBIBYTE if text.strip().isdecimal() else 0


Question = Callable[[Reader], Sections]
Look = Callable[[Reader], Looked]


@dataclass(frozen=True)
class _Answer:
    """What a host said of its Ollama pod, of the endpoint that it uses, and of its Open WebUI; None if not asked."""

    pod: Sections | None
    endpoint: Sections | None
    open_webui: Looked | Trouble | None


def _questions(
    site: Site, facts: SiteFacts, name: str, askers: Mapping[str, list[str]], sessions: Mapping[str, Session]
) -> dict[str, Question | Look]:
    questions = {
        "pod": _about_pod(site, facts, name),
        "endpoint": _about_endpoint(site, facts, name, askers),
        "open-webui": _about_open_webui(site, facts, name, sessions),
    }
    return {what: question for what, question in questions.items() if question}


def _ask(remote: Reader, questions: Mapping[str, Callable[[Reader], Any]]) -> _Answer:
    """Ask a host all at once: where an endpoint is away, Open WebUI waits for it as well."""
    said = run_on(questions, lambda what: questions[what](remote))
    answers, troubles = said.ok, said.failed
    silent = troubles.pop("open-webui", None)
    for trouble in troubles.values():
        raise trouble
    return _Answer(answers.get("pod"), answers.get("endpoint"), answers.get("open-webui", silent))


def _about_pod(site: Site, facts: SiteFacts, name: str) -> Question | None:
    """What to ask a host about its Ollama pod, if it has one that runs."""
    host, cluster = _find(site, name)
    if not cluster.runs_ollama or "gpu" not in host.roles:
        return None
    status = (facts.pod_of(host, cluster) or {}).get("status", {})
    if not status.get("podIP") or not is_running(status):
        return None
    return functools.partial(_ask_pod, address=f"{asking.bracketed(status['podIP'])}:11434")


def _about_open_webui(site: Site, facts: SiteFacts, name: str, sessions: Mapping[str, Session]) -> Look | None:
    """What to ask a Scout's Open WebUI through its first server."""
    installed, scout = facts.hosts[name].open_webui, _find(site, name)[1]
    if not isinstance(installed, Installed) or not isinstance(scout, ScoutCluster):
        return None
    return functools.partial(looking.look, site=site, scout=scout, session=sessions[scout.name], installed=installed)


def _ask_pod(remote: Reader, address: str) -> Sections:
    script = facts_script("together", "status-pod")
    return parse_sections(remote.read(script, address, timeout=_HOST_SECONDS).stdout)


def _about_endpoint(site: Site, facts: SiteFacts, name: str, askers: Mapping[str, list[str]]) -> Question | None:
    """What to ask a Scout host about the endpoint that it uses: the first of a cluster's that answers asks every node.

    Nodes whose host does not answer are left out: they would cost another time to wait.
    """
    scout = _find(site, name)[1]
    if not isinstance(scout, ScoutCluster) or not (netloc := netloc_of(scout)):
        return None
    cluster = site.ollama_cluster_of(scout)
    if cluster is None:
        return functools.partial(_ask_elsewhere, netloc=netloc)
    first = next((host for host in askers.get(cluster.name, []) if host in facts.hosts), None)
    addresses = list(facts.addresses_of(cluster)) if name == first else []
    return functools.partial(asking.ask_endpoint, ollama=cluster.ollama, addresses=addresses)


def _ask_elsewhere(remote: Reader, netloc: str) -> Sections:
    script = facts_script("together", "endpoint", "ask-endpoint")
    return parse_sections(remote.read(script, netloc, timeout=_HOST_SECONDS).stdout)


def _find(site: Site, name: str) -> tuple[Host, Cluster]:
    return next((c.hosts[name], c) for c in site.clusters.values() if name in c.hosts)


def _is_in(cluster: Cluster, pod: KubeObject) -> bool:
    return bool(pod["metadata"]["namespace"] == manifests.settings(cluster).namespace)
