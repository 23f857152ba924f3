"""Waiting for GPUs, up the ladder, on all nodes at once: what moves is told, and a stall says on which rung and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scout_ollama.changes import Say
from scout_ollama.errors import HostTroubles, Trouble
from scout_ollama.gpu_operator import causes, state
from scout_ollama.gpu_operator.ladder import Ladder, Rung, RungName, Wanted, judge
from scout_ollama.hints import on
from scout_ollama.inventory import Host
from scout_ollama.remote import Reader, Remote, Script
from scout_ollama.watching import watch

PATIENCE_SECONDS = 120
# A look asks the API a dozen questions, and what it waits for takes minutes.
POLL_SECONDS = 3.0
LOG_LINES = "8"


@dataclass(frozen=True)
class Climb:
    """A ladder that is climbed; what is told of it goes by the cluster's name and its hosts'."""

    ladder: Ladder
    cluster: str
    hosts: Mapping[str, Host] = field(repr=False)

    @property
    def places(self) -> dict[str, str]:
        """Where it stands: the cluster, or each host, below their rungs that are not done."""
        return {self._name(node): f"{rung.name}: {rung.reason}" for node, rung in self.ladder.at().items()}

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for: every rung is done, or one has failed for good."""
        return self.ladder.is_done or any(rung.is_final for rung in self.ladder.at().values())

    @property
    def is_stuck(self) -> bool:
        """Whether nothing is being pulled or started."""
        return all(rung.stand == "stuck" for rung in self.ladder.at().values())

    def _name(self, node: str) -> str:
        return self.hosts[node].name if node else self.cluster


@dataclass(frozen=True)
class AwaitGpus:
    """Wait until every node gives out its GPUs; ``hosts`` by node, ``before`` is how the ladder stood.

    ``troubles`` are those that hosts have when it comes to this: they are not waited for. ``patience`` is in seconds:
    for so long nothing may move before it is called a stall.
    """

    cluster: str
    hosts: Mapping[str, Host] = field(repr=False)
    wanted: Wanted = field(repr=False)
    before: Ladder = field(repr=False)
    say: Say = field(repr=False)
    troubles: Mapping[str, Trouble] = field(default_factory=dict, repr=False)
    patience: float = PATIENCE_SECONDS
    host: str | None = None

    @property
    def title(self) -> str:
        """How many GPUs on how many nodes."""
        return f"wait until Kubernetes gives out {sum(self.wanted.gpus.values())} GPUs on {len(self.hosts)} nodes"

    def difference(self) -> list[str]:
        """Where it stands now."""
        there = Climb(self.before, self.cluster, self.hosts)
        return [f"~ {name}: {place} → every rung done" for name, place in there.places.items()] or ["~ once more"]

    def make(self, remote: Remote) -> None:
        """Wait.

        Raises:
            HostTroubles: some nodes do not get there.
            Trouble: the operator itself does not, so no node can.
        """
        said: dict[RungName, str] = {}
        wanted = self._still_wanted()

        def look() -> Climb:
            climb = Climb(judge(state.read(remote), wanted), self.cluster, self.hosts)
            said.update({rung.name: rung.said for rung in climb.ladder.at().values() if rung.said})
            return climb

        climb = watch(look, self.say, patience=self.patience, poll_seconds=POLL_SECONDS)
        stalls = {
            node: _stall(remote, climb, node, rung, said.get(rung.name, "")) for node, rung in climb.ladder.at().items()
        }
        if "" in stalls:
            raise stalls[""]
        if stalls:
            raise HostTroubles({self.hosts[node].name: trouble for node, trouble in stalls.items()})

    def _still_wanted(self) -> Wanted:
        gpus = {node: count for node, count in self.wanted.gpus.items() if self.hosts[node].name not in self.troubles}
        return replace(self.wanted, gpus=gpus, whole=self.wanted.whole and len(gpus) == len(self.wanted.gpus))


def _stall(remote: Reader, climb: Climb, node: str, rung: Rung, said: str) -> Trouble:
    """Say on which rung, with the events and the log of the pod that it waits for, and the usual cause.

    ``said`` are the last words that were heard there: a Job that gives up takes its pod and log away.
    """
    host = climb.hosts.get(node)
    log = _log(remote, rung) if rung.pod else []
    told = [f"log: {line}" for line in log] or [f"it said: {said}"] * bool(said)
    looking = f"sudo k3s kubectl describe pods -n {rung.namespace}"
    return Trouble(
        f"{'' if host else climb.cluster + ': '}no GPUs: it stands at {rung.name}: {rung.reason}",
        host=host.name if host else None,
        why="\n".join([*rung.events, *told, causes.usual(rung)]),
        next=on(remote.host, looking),
    )


def _log(remote: Reader, rung: Rung) -> list[str]:
    words = [rung.namespace, rung.pod, LOG_LINES, *filter(None, [rung.container])]
    return remote.read(Script.load("pod-logs"), *words, sudo=True, check=False).stdout.splitlines()


@dataclass(frozen=True)
class AwaitToolkit:
    """Wait until the operator has put its container toolkit onto a host."""

    host: str

    @property
    def title(self) -> str:
        """What is awaited."""
        return "wait for the operator's container toolkit"

    def difference(self) -> list[str]:
        """What comes onto the host."""
        return ["+ /usr/local/nvidia/toolkit/nvidia-container-runtime, and a drop-in of containerd's"]

    def make(self, remote: Remote) -> None:
        """Wait, for ten minutes at the most: its image has to be pulled."""
        remote.run(Script.load("await-toolkit"), "600", sudo=True, timeout=660)
