"""Model by node: what each node's Ollama lists, against what the inventory wants. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from scout_ollama import manifests, proof
from scout_ollama.inventory import Cluster
from scout_ollama.models import wanted
from scout_ollama.sizes import shown
from scout_ollama.status.cells import broken, ok, unknown, warn
from scout_ollama.status.document import Cell, ModelStatus, NodeStatus
from scout_ollama.status.facts import SiteFacts
from scout_ollama.store import ModelName, short

Digests = Mapping[ModelName, str]


def matrix(facts: SiteFacts, cluster: Cluster, nodes: Iterable[NodeStatus], locked: Digests) -> list[ModelStatus]:
    """Return a row for each model that is wanted or listed somewhere; ``locked`` are those of ``models.lock``."""
    if cluster.runs_ollama is None:
        return []
    nodes = [node for node in nodes if node.ollama]
    listed = {node.host: _listed(facts, node.host) for node in nodes}
    names = [model.name for model in wanted.of(manifests.settings(cluster))]
    others = {name for of_node in listed.values() for name in of_node or ()}
    more = sorted(name for name in others if not any(name.matches(known) for known in names))
    return list(_rows(_Matrix(cluster.name, nodes, listed, locked), names, more))


@dataclass(frozen=True)
class _Matrix:
    cluster: str
    nodes: list[NodeStatus]
    listed: Mapping[str, Digests | None]
    locked: Digests

    def row(self, name: ModelName, *, is_wanted: bool) -> ModelStatus:
        found = {host: _digest(name, of_node) for host, of_node in self.listed.items() if of_node is not None}
        differ = len({digest for digest in found.values() if digest}) > 1
        cells = {node.host: self._cell(name, node, found, is_wanted, differ) for node in self.nodes}
        return ModelStatus(model=str(name), wanted=is_wanted, nodes=cells)

    def _cell(self, name: ModelName, node: NodeStatus, found: Mapping[str, str], is_wanted: bool, differ: bool) -> Cell:
        if node.host not in found and node.ollama and node.ollama.text == "drained":
            return Cell(state="warn", text="drained")
        if node.host not in found:
            return unknown((node.ollama and (node.ollama.what or node.ollama.why)) or "its Ollama does not answer")
        digest, look = found[node.host], f"inv list-models --hosts {self.cluster}"
        if not digest and is_wanted:
            return broken("absent", f"it does not have {name}", next=f"inv pull-models --hosts {self.cluster}")
        if not digest:
            return ok("-")
        text = short(digest)[:7] + _in_memory(name, node)
        if differ:
            return warn(text, f"the nodes have different versions of {name}", next=look)
        if (locked := _digest(name, self.locked)) and locked != digest:
            return warn(text, f"{name} is not the version that models.lock has", next=look)
        return ok(text)


def _rows(matrix: _Matrix, names: Iterable[ModelName], more: Iterable[ModelName]) -> Iterator[ModelStatus]:
    yield from (matrix.row(name, is_wanted=True) for name in names)
    yield from (matrix.row(name, is_wanted=False) for name in more)


def _listed(facts: SiteFacts, host: str) -> Digests | None:
    """The models that a node's Ollama lists; None if it does not answer."""
    tags = facts.ollamas[host]["tags"] if host in facts.ollamas else None
    return proof.digests(tags.text) if tags and tags.ok else None


def _in_memory(name: ModelName, node: NodeStatus) -> str:
    loaded = (entry for entry in node.loaded if name.matches(ModelName.parse(entry.model)))
    return next((f", {shown(entry.vram)} in memory" for entry in loaded), "")


def _digest(name: ModelName, digests: Digests | None) -> str:
    return next((digest for other, digest in (digests or {}).items() if other.matches(name)), "")
