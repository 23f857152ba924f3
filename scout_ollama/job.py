"""What every command about one cluster works on: the inventory's wishes and the connections to its hosts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from scout_ollama import manifests
from scout_ollama.changes import Say
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Cluster, Harbor, Host, Ollama, Site
from scout_ollama.progress import Progress, Show
from scout_ollama.remote import Reader


def _hidden(host: str, progress: Progress) -> None:
    """Where nobody looks on."""


T = TypeVar("T")
Troubles = dict[str, Trouble]


class NoServerLeft(Trouble):
    """No server of a cluster can be asked: each has trouble of its own, in ``troubles`` by host."""

    def __init__(self, cluster: str, troubles: Mapping[str, Trouble]) -> None:
        super().__init__(
            f"{cluster}: no server of the cluster is left to work through",
            why="each has trouble of its own",
            next="mend one of them, then the same command again",
        )
        self.troubles = troubles


@dataclass(frozen=True)
class Job:
    """One cluster, and one connection to each of its hosts for the whole run."""

    site: Site
    cluster: Cluster
    fleet: Fleet
    say: Say
    selected: tuple[str, ...] = ()
    """The hosts that were selected, where a command is for some of a cluster's; none means all of them."""
    show: Show = _hidden

    @property
    def ollama(self) -> Ollama:
        """The Ollama that shall run there."""
        return manifests.settings(self.cluster)

    @property
    def ollama_hosts(self) -> list[Host]:
        """The hosts that shall run an Ollama pod."""
        return manifests.ollama_hosts(self.cluster)

    @property
    def harbor(self) -> Harbor | None:
        """The registry through which an air-gapped cluster gets its images."""
        return self.site.harbor_of(self.cluster)

    @property
    def servers(self) -> list[str]:
        """The hosts through which the cluster can be asked and changed, in the order of the inventory."""
        return self.cluster.servers

    @property
    def hosts(self) -> list[Host]:
        """The hosts that the command is for."""
        return [host for name, host in self.cluster.hosts.items() if name in self.selected or not self.selected]

    def on_first_server(self, ask: Callable[[Reader], T]) -> T:
        """Ask the server that keeps the lock, the audit and the revisions.

        Raises:
            Trouble: it does not answer, or has another answer than one.
        """
        return self.fleet.read(ask, self.servers[:1]).values_or_raise()[self.servers[0]]

    def through_a_server(self, troubles: Troubles, ask: Callable[[Reader], T]) -> T:
        """Ask the first server that has no trouble; one that does not answer is added to ``troubles``.

        Raises:
            NoServerLeft: none of them answers.
        """
        for name in self.servers:
            if name not in troubles:
                outcomes = self.fleet.read(ask, [name])
                troubles |= outcomes.failed
                if name in outcomes.ok:
                    return outcomes.ok[name]
        raise NoServerLeft(self.cluster.name, troubles)
