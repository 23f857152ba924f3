"""The end of every deploy: the rollout awaited, then asked from the side of whoever uses it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from scout_ollama import asking, facts, manifests, proof, rollout
from scout_ollama.errors import Trouble
from scout_ollama.facts import read_rollout
from scout_ollama.hints import on
from scout_ollama.inventory import Host, OllamaCluster
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proved
from scout_ollama.remote import Script
from scout_ollama.rollout import NodeRollout
from scout_ollama.seeing import prove_seen
from scout_ollama.survey import Survey
from scout_ollama.watching import POLL_SECONDS, watch

# Helm's job has to run, and Traefik to become a DaemonSet.
ENDPOINT_SECONDS = 180
LOG_LINES = "10"


def prove(job: Job, wanted: Iterable[KubeObject], survey: Survey, troubles: Troubles) -> Proved:
    """Await the rollout on the hosts without trouble, ask each one's pod, then the endpoint from a Scout host."""
    proved = Proved(job.say)
    ready, stuck = await_rollout(job, facts.in_service(job.ollama_hosts, survey.cluster.nodes), troubles)
    proved.troubles += stuck.values()
    _prove_pods(job, ready, proved)
    if isinstance(job.cluster, OllamaCluster) and ready:
        nodes = asking.node_addresses([job.cluster.hosts[name] for name in ready], survey.cluster.nodes)
        _prove_endpoint(job, job.cluster, manifests.certificate_of(wanted), nodes, proved)
    return proved


def prove_serving(job: Job, hosts: Sequence[Host], troubles: Troubles) -> Proved:
    """Await the pods of some hosts, and ask each one for its version."""
    proved = Proved(job.say)
    ready, stuck = await_rollout(job, hosts, troubles)
    proved.troubles += stuck.values()
    _prove_pods(job, ready, proved)
    return proved


def await_rollout(job: Job, among: Sequence[Host], troubles: Troubles) -> tuple[dict[str, NodeRollout], Troubles]:
    """Return where each host without trouble is whose wanted pod is ready, and the others' trouble, with logs."""
    hosts = {host.node: host for host in among if host.name not in troubles}

    def read() -> list[KubeObject]:
        # On a copy: a server that is silent for a moment is not in trouble for good.
        return job.through_a_server(dict(troubles), lambda remote: read_rollout(remote, job.ollama.namespace))

    def tell(node: str, place: str) -> None:
        job.say(hosts[node].name, place)

    ready: dict[str, NodeRollout] = {}
    stuck: Troubles = {}
    judged = watch(lambda: rollout.judge(read(), list(hosts)), tell, patience=rollout.STUCK_SECONDS)
    for node, state in judged.items():
        if state.state == "ready":
            ready[hosts[node].name] = state
        else:
            stuck[hosts[node].name] = _not_ready(job, hosts[node], state, troubles)
    return ready, stuck


def _not_ready(job: Job, host: Host, state: NodeRollout, troubles: Troubles) -> Trouble:
    namespace, pod = job.ollama.namespace, state.pod
    logs = ""
    if pod:
        script = Script.load("pod-logs")
        logs = job.through_a_server(
            troubles, lambda remote: remote.read(script, namespace, pod, LOG_LINES, sudo=True, check=False).stdout
        )
    return Trouble(
        f"its Ollama pod is not ready: {state.reason}",
        host=host.name,
        why="\n".join([*state.events, *(f"log: {line}" for line in logs.splitlines())]),
        next=on(host, f"sudo k3s kubectl describe pods -n {namespace}"),
    )


def _prove_pods(job: Job, ready: Mapping[str, NodeRollout], proved: Proved) -> None:
    asked = job.fleet.read(lambda remote: asking.ask_pod(remote, ready[remote.host.name].address or ""), list(ready))
    proved.troubles += asked.failed.values()
    findings = {
        name: proof.of_version(job.cluster.hosts[name], job.ollama, answers) for name, answers in asked.ok.items()
    }
    for name, found in findings.items():
        proved.add(found, name, f"Ollama {job.ollama.version} answers")
    if not job.ollama.cpu_only:
        good = [name for name, found in findings.items() if not found]
        prove_seen(job, {name: f"{job.ollama.namespace}/{ready[name].pod}" for name in good}, proved)


def _prove_endpoint(
    job: Job, cluster: OllamaCluster, certificate: str, nodes: Mapping[str, str], proved: Proved
) -> None:
    """Ask from the first authorised Scout host that can be reached, for a while: Traefik takes a moment to follow."""
    url = f"https://{cluster.ollama.hostname}"
    where = ", ".join(nodes.values())
    unreachable: list[Trouble] = []
    for scout in asking.authorised_scouts(job.site, cluster):
        deadline = time.monotonic() + ENDPOINT_SECONDS
        while True:
            asked = job.fleet.read(
                lambda remote: asking.ask_endpoint(remote, cluster.ollama, list(nodes)), [scout.name]
            )
            if asked.failed:
                unreachable += asked.failed.values()
                break
            findings = proof.of_endpoint(scout, cluster.ollama, certificate, nodes, asked.ok[scout.name])
            if not findings or time.monotonic() > deadline:
                proved.add(findings, scout.name, f"{url} answers over TLS with its certificate, on {where}")
                return
            time.sleep(POLL_SECONDS)
    proved.troubles.append(
        Trouble(
            f"{url}: could not tell whether it works",
            why="\n".join(map(str, unreachable)) or "no Scout of this site uses it from an address that it admits",
            next="name the cluster in a Scout's ollama_cluster, and that Scout's address in ollama.allowed_clients",
        )
    )
