"""One cluster examined: each step reads what the commands themselves read, and judges it by the same functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from scout_ollama import checks, facts, manifests, survey
from scout_ollama.checks import Finding
from scout_ollama.doctor import serving
from scout_ollama.doctor.verdicts import Look, Verdict, finding, in_order, not_asked, of_connections
from scout_ollama.errors import Trouble
from scout_ollama.facts import ClusterFacts
from scout_ollama.fleet import Fleet
from scout_ollama.gpu_operator import installing, ladder, release, state
from scout_ollama.gpu_operator.release import Release
from scout_ollama.inventory import Cluster, OllamaCluster, ScoutCluster, Site, StagingCluster
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject
from scout_ollama.models import place, stored
from scout_ollama.models import survey as models_survey
from scout_ollama.open_webui import looking
from scout_ollama.open_webui.facts import read_installed
from scout_ollama.open_webui.looking import Looked
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.workload import NotThere
from scout_ollama.remote import Reader

HOST = ("clock", "disk", "curl", "k3s", "registries")
GPU_HOST = ("gpu", "store")
RUNTIME = {"host": "toolkit", "operator": "drop-ins", "nri": "nri"}
BEHIND_THE_API = ("gpu-operator", "objects", "models", "preload", "endpoint")


def examine(site: Site, cluster: Cluster, fleet: Fleet) -> list[Verdict]:
    """Return a verdict for every check that is about a cluster and its hosts, from the ground up."""
    job = Job(site, cluster, fleet, lambda _host, _line: None)
    return in_order(_looks(job), [*cluster.hosts, cluster.name, *(host.name for host in site.hosts)])


def _looks(job: Job) -> Iterator[Look]:
    site, cluster = job.site, job.cluster
    try:
        site.check_files([cluster])
        wanted = manifests.ollama_objects(site, cluster) if cluster.runs_ollama else []
        operator = release.wanted(site, cluster)
    except Trouble as trouble:
        yield Look(["files"], [cluster.name], [finding("files", None, trouble)])
        return
    yield Look(["files"], [cluster.name])
    away: Troubles = {}
    yield from _hosts(job, away)
    if isinstance(cluster, StagingCluster):
        yield _share(job, cluster, away)
    if isinstance(cluster, ScoutCluster):
        yield _open_webui(job, cluster, away)
        if not cluster.runs_ollama:
            yield serving.nothing_left(job, away)
    if not cluster.runs_ollama:
        return
    try:
        found = job.through_a_server(dict(away), lambda remote: _read(remote, wanted, operator))
    except Trouble as trouble:
        yield from _without_api(job, trouble)
        return
    yield Look(["api"], [cluster.name])
    yield from serving.nodes(job, found, gpus_are_given=operator is None)
    if operator:
        yield _ladder(job, found, operator)
    yield serving.objects_as_wanted(job, wanted, found)
    yield from serving.pods(job, found, away)
    yield from serving.models(job, away)
    if isinstance(cluster, OllamaCluster):
        yield from serving.endpoint(job, cluster, wanted, found, away)
        yield serving.access(job, cluster)


def _read(remote: Reader, wanted: Sequence[KubeObject], operator: Release | None) -> ClusterFacts:
    if operator is None:
        return facts.read_cluster(remote, wanted)
    return facts.read_cluster(remote, [*operator.objects, *wanted], state.SCRIPT)


def _hosts(job: Job, away: Troubles) -> Iterator[Look]:
    """Every host, as a deploy would look at it before it begins; ``away`` gets those that cannot be asked."""
    cluster = job.cluster
    operator = cluster.gpu_operator if isinstance(cluster, OllamaCluster) and not cluster.ollama.cpu_only else None
    read, findings = survey.of_hosts(job, runs_ollama=bool(cluster.runs_ollama), installs_gpus=operator is not None)
    away |= read.failed
    yield from of_connections(list(cluster.hosts), away)
    of_gpus = [host.name for host in manifests.ollama_hosts(cluster)] if cluster.runs_ollama else []
    everywhere = (*HOST, "registry") if job.harbor else HOST
    on_gpus = (*GPU_HOST, "default-runtime", RUNTIME[operator.toolkit]) if operator else GPU_HOST
    for names, places in ((everywhere, list(cluster.hosts)), (on_gpus, of_gpus)):
        yield Look(names, places, [found for found in findings if found.check in names], not_asked(away))


def _share(job: Job, staging: StagingCluster, away: Troubles) -> Look:
    (server, *_) = staging.servers
    if server in away:
        return Look(["share"], [server], blocked=not_asked(away))
    found = job.fleet.read(lambda remote: stored.read(remote, staging.ollama_nfs_path), [server])
    where = place.of_staging(staging)
    troubles = [*found.failed.values()]
    troubles += [models_survey.no_share(where, store.flaw) for store in found.ok.values() if store.flaw]
    return Look(["share"], [server], [finding("share", server, trouble) for trouble in troubles])


def _open_webui(job: Job, scout: ScoutCluster, away: Troubles) -> Look:
    """What Open WebUI says that it uses."""
    server, next = job.servers[0], f"inv connect-scout --hosts {scout.name} --plan"
    if server in away:
        return Look(["open-webui"], [scout.name], blocked={scout.name: not_asked(away)[server]})
    try:
        looked = job.on_first_server(lambda remote: _look(remote, job.site, scout))
    except NotThere as trouble:
        status: checks.Status = "warn"  # Scout may not be deployed yet
        return Look(["open-webui"], [scout.name], [replace(finding("open-webui", None, trouble), status=status)])
    except Trouble as trouble:
        return Look(["open-webui"], [scout.name], [finding("open-webui", None, trouble)])
    findings = [Finding("open-webui", None, "it uses another Ollama", "\n".join(looked.drift), next)]
    silent = [Finding("open-webui", None, f"it does not reach {scout.ollama_host}", looked.silent, next)]
    return Look(["open-webui"], [scout.name], (findings if looked.drift else []) + (silent if looked.silent else []))


def _look(remote: Reader, site: Site, scout: ScoutCluster) -> Looked:
    return looking.look(remote, site, scout, Session(), read_installed(remote, scout))


def _without_api(job: Job, trouble: Trouble) -> Iterator[Look]:
    cluster = job.cluster.name
    yield Look(["api"], [cluster], [finding("api", None, trouble)])
    nodes = [host.name for host in job.ollama_hosts]
    why = f"the API of {cluster} does not answer"
    yield Look((*serving.NODE, *serving.POD), nodes, blocked=dict.fromkeys(nodes, why))
    yield Look(BEHIND_THE_API, [cluster], blocked={cluster: why})


def _ladder(job: Job, found: ClusterFacts, operator: Release) -> Look:
    """How far the GPU operator has come, by the judge that waits for it."""
    cluster, hosts = job.cluster.name, {host.node: host.name for host in job.ollama_hosts}
    current = state.parsed(found.beside, job.cluster.hosts[job.servers[0]])
    rungs = ladder.judge(current, installing.goal_of(job, operator, job.ollama_hosts)).at()
    findings = [_rung(cluster, hosts.get(node), rung) for node, rung in rungs.items()]
    return Look(["gpu-operator"], [cluster], findings)


def _rung(cluster: str, host: str | None, rung: ladder.Rung) -> Finding:
    what = f"the GPU operator stands at {rung.name}: {rung.reason}"
    why = "\n".join([*rung.events, *([rung.said] if rung.said else [])])
    status: checks.Status = "warn" if rung.stand == "moving" else "fail"
    return Finding("gpu-operator", host, what, why, f"inv install-gpu-operator --hosts {cluster}", status)
