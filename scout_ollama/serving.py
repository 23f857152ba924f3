"""drain-host, undrain-host and restart-ollama: a node stops serving and serves again, while the others go on."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scout_ollama import audit, pods, proving, rollout, watching
from scout_ollama.changes import Change, DeleteObjects, Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.facts import drained, in_service, read_rollout
from scout_ollama.hints import on
from scout_ollama.inventory import Host
from scout_ollama.job import Job, Troubles
from scout_ollama.manifests import DRAINED, KubeObject, to_stdin
from scout_ollama.proposal import Proposal, Proved, Request
from scout_ollama.remote import Remote, Script

MANAGER = "scout-ollama-drain"
"""Field manager of the mark on a node: apart from that of the objects, so that a deploy never takes it away."""

LEAVE_SECONDS = 180.0


@dataclass(frozen=True)
class MarkNode:
    """Mark a node as drained, so that its Ollama pod leaves and nothing new is placed there; or take the mark away."""

    host: str
    node: str
    note: str | None

    @property
    def title(self) -> str:
        """``drain`` or ``undrain``."""
        return "drain" if self.note else "undrain"

    def difference(self) -> list[str]:
        """The label, the note and the cordon."""
        sign = "+" if self.note else "-"
        note = f": {self.note}" if self.note else ""
        return [f"{sign} label {DRAINED}{note}", f"{sign} unschedulable"]

    def make(self, remote: Remote) -> None:
        """Apply what is marked of the node, server-side: a manager that names nothing gives everything back."""
        node: KubeObject = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}}
        if self.note:
            node["metadata"] |= {"labels": {DRAINED: "true"}, "annotations": {DRAINED: self.note}}
            node["spec"] = {"unschedulable": True}
        remote.run(Script.load("apply-objects"), MANAGER, stdin=to_stdin([node]), sudo=True, timeout=120)


@dataclass(frozen=True)
class RestartPod:
    """Delete a node's Ollama pod and wait until its successor is ready."""

    job: Job
    host: str
    pod: str

    @property
    def title(self) -> str:
        """``restart Ollama``."""
        return "restart Ollama"

    def difference(self) -> list[str]:
        """The pod that goes, and what is lost with it."""
        return [f"~ pod {self.pod} → a new one; answers in progress are cut off, models are loaded anew"]

    def make(self, remote: Remote) -> None:
        """Delete it and wait, as for a rollout: Kubernetes makes the next one, whether anybody waits for it or not."""
        metadata = {"name": self.pod, "namespace": self.job.ollama.namespace}
        DeleteObjects(({"apiVersion": "v1", "kind": "Pod", "metadata": metadata},)).make(remote)
        _, stuck = proving.await_rollout(self.job, [self.job.cluster.hosts[self.host]], {})
        for trouble in stuck.values():
            raise trouble


def drain(job: Job, request: Request, *, allow_outage: bool) -> Proposal:
    """Propose to take the selected hosts out of service, with a note on each node by whom, when and why.

    Raises:
        Trouble: no node would be left that serves, and that is not allowed.
    """
    objects = _read(job)
    note = f"{getpass.getuser()}@{socket.gethostname()} {audit.local(audit.now())}: {request.reason}"
    hosts = in_service(_selected(job), objects)
    if not allow_outage:
        _require_others(job, objects, hosts, "draining")
    return Proposal(
        plan=_through_server("drain", [MarkNode(host.name, host.node, note) for host in hosts]),
        prove=lambda _: _prove_left(job),
        undo=_command("undrain-host", hosts),
        destructive=True,
    )


def undrain(job: Job) -> Proposal:
    """Propose to take the selected hosts back into service."""
    objects = _read(job)
    out = drained(objects)
    hosts = [host for host in _selected(job) if host.node in out]
    return Proposal(
        plan=_through_server("undrain", [MarkNode(host.name, host.node, None) for host in hosts]),
        prove=lambda troubles: proving.prove_serving(job, _selected(job), troubles),
        undo=_command("drain-host", hosts),
    )


def restart(job: Job, *, allow_outage: bool) -> Proposal:
    """Propose to restart Ollama on the selected hosts that are in service, one at a time.

    Raises:
        Trouble: no other node would serve meanwhile, and that is not allowed; or a node has no pod to restart.
    """
    objects = _read(job)
    hosts = in_service(_selected(job), objects)
    judged = rollout.judge(objects, [host.node for host in hosts])
    restarts = [_restart(job, host, judged[host.node]) for host in hosts]
    if not allow_outage:
        for host in hosts:
            _require_others(job, objects, [host], "restarting")
    return Proposal(
        plan=_through_server("restart", restarts),
        prove=lambda troubles: proving.prove_serving(job, hosts, troubles),
        destructive=True,
    )


def _restart(job: Job, host: Host, state: rollout.NodeRollout) -> RestartPod:
    if state.pod is None:
        raise Trouble(
            "has no Ollama pod to restart",
            host=host.name,
            why=state.reason,
            next=f"inv deploy-ollama --hosts {job.cluster.name}",
        )
    return RestartPod(job, host.name, state.pod)


def _through_server(name: str, changes: Sequence[Change]) -> Plan:
    return Plan((Stage(name, tuple(changes), one_at_a_time=True, through_server=True),))


def _selected(job: Job) -> list[Host]:
    return [host for host in job.hosts if "gpu" in host.roles]


def _command(name: str, hosts: Sequence[Host]) -> str:
    return f"inv {name} --hosts {','.join(host.name for host in hosts)} --reason '…'"


def _read(job: Job) -> list[KubeObject]:
    troubles: Troubles = {}
    return job.through_a_server(troubles, lambda remote: read_rollout(remote, job.ollama.namespace))


def _pods(objects: Iterable[KubeObject]) -> list[KubeObject]:
    return [obj for obj in objects if obj["kind"] == "Pod" and rollout.is_ollama(obj)]


def _require_others(job: Job, objects: Sequence[KubeObject], going: Sequence[Host], doing: str) -> None:
    serving = {pod["spec"].get("nodeName", "") for pod in _pods(objects) if pods.is_ready(pod)}
    nodes = {host.node for host in going}
    if serving & nodes and not serving - nodes:
        raise Trouble(
            f"{job.cluster.name}: {doing} {', '.join(sorted(nodes))} would leave no node that serves",
            why=f"only {', '.join(sorted(serving))} serves now: every Scout would lose its chat",
            next="bring another node into service first; or the same command with --allow-outage",
        )


def _prove_left(job: Job) -> Proved:
    """Wait until the pods have left the drained nodes."""
    proved = Proved(job.say)
    deadline = time.monotonic() + LEAVE_SECONDS
    waiting = {host.node: host for host in _selected(job)}
    while waiting and time.monotonic() < deadline:
        there = {pod["spec"].get("nodeName") for pod in _pods(_read(job))}
        for node in [node for node in waiting if node not in there]:
            proved.add([], waiting.pop(node).name, "no Ollama runs on it any more; it takes nothing new")
        if waiting:
            time.sleep(watching.POLL_SECONDS)
    for host in waiting.values():
        proved.troubles.append(
            Trouble(
                "its Ollama pod does not leave",
                host=host.name,
                why=f"it was asked to {LEAVE_SECONDS:.0f} s ago",
                next=on(host, f"sudo k3s kubectl describe pods -n {job.ollama.namespace}"),
            )
        )
    return proved
