"""How a site is, as a value: what ``inv status --json`` prints, and what table and page are made from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from scout_ollama.audit import Record

State = Literal["ok", "warn", "unknown", "broken"]
STATES: tuple[State, ...] = ("ok", "warn", "unknown", "broken")
"""From good to bad."""


def worst(states: Iterable[State]) -> State:
    """Return the worst of some states; ``ok`` if there is none."""
    return max(states, key=STATES.index, default="ok")


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True)


class Cell(_Document):
    """One thing that was looked at. ``what`` is empty where nothing need be done, or where another cell tells it."""

    state: State = Field(description="ok, warn, broken, or unknown where nobody could tell.")
    text: str = Field(description="How it is, in a few words.")
    what: str = Field("", description="What is not as it should be, in a sentence.")
    why: str = Field("", description="Why, as far as is known.")
    next: str = Field("", description="What to type next.")


class LoadedStatus(_Document):
    """A model in memory."""

    model: str = Field(description="Its name, with the tag.")
    size: int = Field(description="Bytes that it takes.")
    vram: int = Field(description="Bytes of them that are in the memory of GPUs.")


class NodeStatus(_Document):
    """One host. What it does not have by the inventory is null."""

    host: str = Field(description="Name of the host.")
    ssh: Cell = Field(description="Whether it answers.")
    k3s: Cell = Field(description="K3s and its node; the text is the version.")
    gpus: Cell | None = Field(description="GPUs: how many Kubernetes can give out, how many are in use.")
    ollama: Cell | None = Field(description="Its Ollama; the text is the version that it says.")
    memory: Cell | None = Field(description="What its Ollama has in memory.")
    loaded: list[LoadedStatus] = Field(description="The models in memory.")
    store: Cell | None = Field(description="Space in the store of models.")
    endpoint: Cell | None = Field(description="Whether the endpoint answers on this node, asked from a Scout.")
    gpus_allocatable: int | None = Field(description="GPUs that Kubernetes can give out; null if unknown.")
    gpus_used: int | None = Field(description="GPUs that pods have; null if unknown.")
    gpu_memory_used: int | None = Field(description="Bytes in use on all its GPUs; null if unknown.")
    gpu_memory_total: int | None = Field(description="Bytes on all its GPUs; null if unknown.")
    store_free: int | None = Field(description="Bytes free in the store; null if unknown.")
    store_total: int | None = Field(description="Bytes of the store's file system; null if unknown.")

    @property
    def cells(self) -> list[Cell]:
        """What was looked at."""
        cells = (self.ssh, self.k3s, self.gpus, self.ollama, self.memory, self.store, self.endpoint)
        return [cell for cell in cells if cell]

    @property
    def state(self) -> State:
        """The worst of its cells."""
        return worst(cell.state for cell in self.cells)


class ModelStatus(_Document):
    """A model and where it is."""

    model: str = Field(description="Its name, with the tag.")
    wanted: bool = Field(description="Whether the inventory wants it.")
    nodes: dict[str, Cell] = Field(description="By host name.")


class EndpointStatus(_Document):
    """What Scouts connect to."""

    url: str = Field(description="Its URL.")
    asked_from: str | None = Field(description="The Scout host that asked; null if none could.")
    answers: Cell = Field(description="Whether it answers by its name.")
    certificate: Cell = Field(description="The certificate that is served.")
    certificate_ends: datetime | None = Field(description="When that expires; null if unknown.")


class ScoutStatus(_Document):
    """What a Scout has of Ollama."""

    mode: str = Field(description="Its ollama_mode.")
    uses: str | None = Field(description="Name of the shared cluster that it uses; null if it is none of this site.")
    wanted_url: str | None = Field(description="URL that Open WebUI shall connect to; null if disabled.")
    effective_url: str | None = Field(description="URL that Open WebUI itself says it uses; null if not asked.")
    open_webui: Cell | None = Field(description="What Open WebUI says; null if not asked.")
    works: Cell = Field(description="Whether that Ollama answers this Scout.")

    @property
    def cells(self) -> list[Cell]:
        """What was looked at."""
        return [cell for cell in (self.works, self.open_webui) if cell]

    @property
    def worst(self) -> Cell:
        """The cell that says most about whether people can use it."""
        return max(self.cells, key=lambda cell: STATES.index(cell.state))


class ClusterStatus(_Document):
    """One cluster."""

    cluster: str = Field(description="Its name.")
    kind: str = Field(description="ollama, scout or staging.")
    environment: str = Field(description="phi or non-phi.")
    air_gapped: bool = Field(description="Whether it is.")
    state: State = Field(description="The worst of everything about it.")
    nodes: list[NodeStatus] = Field(description="The selected hosts, in the order of the inventory.")
    models: list[ModelStatus] = Field(description="Models that are wanted or served, where it runs an Ollama.")
    endpoint: EndpointStatus | None = Field(description="The endpoint of a shared cluster.")
    scout: ScoutStatus | None = Field(description="What a Scout has of Ollama.")
    lock: Cell = Field(description="Whether somebody is at work on it.")
    last_run: Cell = Field(description="How the last run ended.")
    runs: list[Record] = Field(description="The last runs by the audit, oldest first.")

    @property
    def cells(self) -> Iterator[tuple[str, Cell]]:
        """Everything that was looked at, each with its host, or the cluster where it has none."""
        for node in self.nodes:
            yield from ((node.host, cell) for cell in node.cells)
        for model in self.models:
            yield from model.nodes.items()
        if self.endpoint:
            yield from ((self.cluster, cell) for cell in (self.endpoint.answers, self.endpoint.certificate))
        if self.scout:
            yield from ((self.cluster, cell) for cell in self.scout.cells)
        yield from ((self.cluster, cell) for cell in (self.lock, self.last_run))


class Problem(_Document):
    """Something that is not as it should be, told once for all hosts that have it."""

    state: State = Field(description="broken, warn, or unknown.")
    where: list[str] = Field(description="Hosts, or the cluster.")
    what: str = Field(description="What it is.")
    why: str = Field(description="Why, as far as is known.")
    next: str = Field(description="What to type next.")


class SiteStatus(_Document):
    """The site, or what was selected of it."""

    taken: datetime = Field(description="When it was read (UTC).")
    seconds: float = Field(description="How long that took.")
    state: State = Field(description="The worst of its clusters.")
    clusters: list[ClusterStatus] = Field(description="The selected clusters, in the order of the inventory.")
    problems: list[Problem] = Field(description="What is not as it should be, the worst first.")


def problems(clusters: Iterable[ClusterStatus]) -> list[Problem]:
    """Return what the cells tell, the worst first; what several hosts have in common once."""
    same: dict[tuple[State, str, str], tuple[list[str], str]] = {}
    for cluster in clusters:
        for where, cell in cluster.cells:
            if cell.what:
                places, _ = same.setdefault((cell.state, cell.what, cell.why), ([], cell.next))
                if where not in places:
                    places.append(where)
    found = [
        Problem(state=state, where=places, what=what, why=why, next=then)
        for (state, what, why), (places, then) in same.items()
    ]
    return sorted(found, key=lambda problem: -STATES.index(problem.state))
