"""What serves on a cluster: its nodes, its objects, its pods, their models, and the endpoint in front of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from scout_ollama import asking, certificates, checks, facts, manifests, proof, rollout, seeing
from scout_ollama.access import Matrix
from scout_ollama.access import rows as ways_in
from scout_ollama.checks import Finding
from scout_ollama.doctor.verdicts import Look, finding, not_asked
from scout_ollama.errors import Trouble
from scout_ollama.facts import ClusterFacts
from scout_ollama.inventory import Host, OllamaCluster
from scout_ollama.job import Job, NoServerLeft, Troubles
from scout_ollama.manifests import KubeObject
from scout_ollama.models import locked, matrix
from scout_ollama.models import survey as models_survey
from scout_ollama.models.survey import Found
from scout_ollama.open_webui import notes
from scout_ollama.results import ModelOutput
from scout_ollama.rollout import NodeRollout
from scout_ollama.steps import objects

NODE = ("node", "drained", "taint", "gpu-memory")
POD = ("pod", "version", "seen")


def nodes(job: Job, found: ClusterFacts, *, gpus_are_given: bool) -> Iterator[Look]:
    """Look at the nodes as Kubernetes sees them; at their GPUs too, where no ladder of ours leads to them."""
    hosts = job.ollama_hosts
    names = (*NODE, "gpu-operator") if gpus_are_given and not job.ollama.cpu_only else NODE
    findings = checks.of_cluster(hosts, job.ollama, found, gpus_are_given=gpus_are_given)
    yield Look(names, [host.name for host in hosts], [one for one in findings if one.check in names])


def objects_as_wanted(job: Job, wanted: Sequence[KubeObject], found: ClusterFacts) -> Look:
    """Look whether a deploy would change an object."""
    cluster = job.cluster.name
    next = f"inv deploy-ollama --hosts {cluster} --plan"
    try:
        stages = objects.plan(wanted, found, ())
    except Trouble as trouble:
        return Look(["objects"], [cluster], [finding("objects", None, trouble)])
    titles = [change.title for stage in stages for change in stage.changes]
    return Look(["objects"], [cluster], [Finding("objects", None, f"a deploy would {it}", "", next) for it in titles])


def nothing_left(job: Job, away: Troubles) -> Look:
    """Look whether a Scout that shall not have an Ollama of its own still has one."""
    cluster = job.cluster.name
    try:
        found = job.through_a_server(dict(away), lambda remote: facts.read_cluster(remote, []))
    except NoServerLeft as trouble:
        return Look(["objects"], [cluster], blocked={cluster: trouble.what})
    sets = [obj for obj in objects.leftovers([], found.owned.values()) if obj["kind"] == "DaemonSet"]
    told = [notes.left_behind(cluster, "it", str(manifests.key_of(obj))) for obj in sets]
    return Look(["objects"], [cluster], [replace(finding("objects", None, one), status="warn") for one in told])


def pods(job: Job, found: ClusterFacts, away: Troubles) -> Iterator[Look]:
    """Look at each node's pod, and ask it on its own host."""
    blocked = not_asked(away)
    hosts = [host for host in facts.in_service(job.ollama_hosts, found.nodes) if host.name not in away]
    places = [*(host.name for host in hosts), *(name for name in blocked if name in {h.name for h in job.ollama_hosts})]
    try:
        read = job.through_a_server(dict(away), lambda remote: facts.read_rollout(remote, job.ollama.namespace))
    except NoServerLeft as trouble:
        yield Look(POD, places, blocked=dict.fromkeys(places, trouble.what) | blocked)
        return
    judged = rollout.judge(read, [host.node for host in hosts])
    ready = {host.name: judged[host.node] for host in hosts if judged[host.node].state == "ready"}
    silent = [_not_ready(host, judged[host.node]) for host in hosts if host.name not in ready]
    asked = _asked(job, ready)
    silent += [one for one in asked if one.check == "pod"]
    yield Look(["pod"], places, silent, blocked)
    blocked |= {one.host: "its pod does not serve" for one in silent if one.host}
    names = POD[1:2] if job.ollama.cpu_only else POD[1:]
    yield Look(names, places, [one for one in asked if one.check != "pod"], blocked)


def _asked(job: Job, ready: Mapping[str, NodeRollout]) -> list[Finding]:
    read = job.fleet.read(lambda remote: asking.ask_pod(remote, ready[remote.host.name].address or ""), list(ready))
    findings = [finding("pod", name, trouble) for name, trouble in read.failed.items()]
    for name, answers in read.ok.items():
        findings += proof.of_version(job.cluster.hosts[name], job.ollama, answers)
    if job.ollama.cpu_only:
        return findings
    return findings + seeing.flaws(job, {name: f"{job.ollama.namespace}/{ready[name].pod}" for name in read.ok})


def _not_ready(host: Host, state: NodeRollout) -> Finding:
    what = f"its Ollama pod is not ready: {state.reason}"
    return Finding("pod", host.name, what, "\n".join(state.events), f"inv deploy-ollama --hosts {host.cluster} --plan")


def models(job: Job, away: Troubles) -> Iterator[Look]:
    """Look at every model on staging and on each node, as list-models does."""
    cluster = job.cluster.name
    try:
        found = models_survey.take(job, dict(away))
    except Trouble as trouble:
        yield Look(["models"], [cluster], [finding("models", None, trouble)])
        yield Look(["preload"], [cluster], blocked={cluster: trouble.what})
        return
    rows = matrix.rows(found, locked.read(job.site, cluster))
    yield Look(["models"], [cluster], [_drift(cluster, row) for row in rows if row.drift])
    yield Look(["preload"], [cluster], list(_cold(cluster, found, rows)))


def _drift(cluster: str, row: ModelOutput) -> Finding:
    what = f"{row.model}: {row.drift}"
    if row.wanted:
        return Finding("models", None, what, "", f"inv pull-models --hosts {cluster} --plan")
    return Finding("models", None, what, "", f"inv list-models --hosts {cluster}", "warn")


def _cold(cluster: str, found: Found, rows: Sequence[ModelOutput]) -> Iterator[Finding]:
    preload = {str(model.name) for model in found.wanted if model.preload}
    for row in rows:
        nodes = [name for name, copy in row.nodes.items() if name in found.pods and not copy.in_memory]
        if row.model in preload and nodes:
            what = f"{row.model} is not in memory on {', '.join(nodes)}"
            yield Finding("preload", None, what, "", f"inv pull-models --hosts {cluster}", "warn")


def endpoint(
    job: Job, cluster: OllamaCluster, wanted: Sequence[KubeObject], found: ClusterFacts, away: Troubles
) -> Iterator[Look]:
    """Look at the certificate, here and as it is served, and ask the endpoint from the first Scout that can be."""
    hosts = [host for host in facts.in_service(job.ollama_hosts, found.nodes) if host.name not in away]
    nodes = asking.node_addresses(hosts, found.nodes)
    findings = _of_certificate(cluster)
    blocked = {cluster.name: "no Scout of this site that it admits can be asked"}
    for scout in asking.authorised_scouts(job.site, cluster):
        asked = job.fleet.read(lambda remote: asking.ask_endpoint(remote, cluster.ollama, list(nodes)), [scout.name])
        if asked.ok:
            certificate = manifests.certificate_of(wanted)
            findings += proof.of_endpoint(scout, cluster.ollama, certificate, nodes, asked.ok[scout.name])
            blocked = {}
            break
    yield Look(["certificate"], [cluster.name], [one for one in findings if one.check == "certificate"])
    yield Look(["endpoint"], [cluster.name], [one for one in findings if one.check != "certificate"], blocked)


def _of_certificate(cluster: OllamaCluster) -> list[Finding]:
    flaws = certificates.flaws(cluster.ollama.tls, cluster.ollama.hostname)
    return [
        Finding("certificate", None, flaw.what, flaw.why, flaw.next, "fail" if flaw.fatal else "warn") for flaw in flaws
    ]


def access(job: Job, cluster: OllamaCluster) -> Look:
    """Try every way in, as check-access does."""
    rows = list(ways_in(job, cluster))
    blocked = {row.host: row.seen for row in rows if row.verdict == "could not tell"}
    wrong = Matrix(rows, {}, len(cluster.hosts)).merged(row for row in rows if row.verdict in ("hole", "fault"))
    findings = [finding("access", row.host, row.trouble(row.verdict)) for row in wrong]
    return Look(["access"], list(dict.fromkeys(row.host for row in rows)), findings, blocked)
