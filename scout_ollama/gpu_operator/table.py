"""The ladder as a table: a line for the cluster, then one for each host, on which each column rests on those before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scout_ollama.facts import Runtime
from scout_ollama.gpu_operator.ladder import OF_NODE, Ladder, Rung, RungName
from scout_ollama.inventory import Host

_HEADINGS: dict[RungName, str] = {
    "node": "node",
    "labels": "label",
    "plugin": "GPUs",
    "features": "described",
    "validator": "validated",
}
_DONE = {"labels": "yes", "features": "yes", "validator": "yes"}
_NOT_YET = "-"


def lines(
    ladder: Ladder, cluster: str, version: str, hosts: Sequence[Host], runtimes: Mapping[str, Runtime]
) -> list[tuple[str, str]]:
    """Return the table, as (host or cluster, line). A host that is not on the ladder has trouble of its own."""
    rows = [["driver", "toolkit", *(_HEADINGS[name] for name in OF_NODE)]]
    rows += [_row(host, ladder, runtimes.get(host.name)) for host in hosts]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    names = [cluster, *(host.name for host in hosts)]
    return [(cluster, _of_cluster(ladder, version)), *zip(names, texts, strict=True)]


def _of_cluster(ladder: Ladder, version: str) -> str:
    return f"GPU operator {version}; " + "; ".join(f"{rung.name}: {rung.reason}" for rung in ladder.cluster)


def _row(host: Host, ladder: Ladder, runtime: Runtime | None) -> list[str]:
    rungs = {rung.name: rung for rung in ladder.nodes.get(host.node, ())}
    ground = [(runtime.driver or "none") if runtime else _NOT_YET, _toolkit(runtime)]
    return [*ground, *(_cell(rungs.get(name)) for name in OF_NODE)]


def _toolkit(runtime: Runtime | None) -> str:
    if runtime is None:
        return _NOT_YET
    if runtime.toolkit is None:
        return "none"
    return "loaded" if runtime.loaded else "not loaded"


def _cell(rung: Rung | None) -> str:
    if rung is None:
        return _NOT_YET
    if rung.is_done:
        return _DONE.get(rung.name, rung.reason)
    return "coming" if rung.stand == "moving" else "no"
