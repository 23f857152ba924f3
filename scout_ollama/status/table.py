"""The site on one screen of 100 columns: what there is cluster by cluster, then what is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from scout_ollama.audit import local
from scout_ollama.errors import Trouble, printable
from scout_ollama.secrets import masked
from scout_ollama.sizes import counted
from scout_ollama.status.document import Cell, ClusterStatus, ModelStatus, NodeStatus, Problem, SiteStatus, State, worst
from scout_ollama.status.words import KINDS, headline

MARKS: dict[State, str] = {"ok": "✓", "warn": "!", "unknown": "?", "broken": "✗"}
STYLES: dict[State, str] = {"ok": "green", "warn": "yellow", "unknown": "magenta", "broken": "bold red"}
NODE_HEADINGS = ("", "K3s", "GPUs", "Ollama", "in memory", "store", "endpoint")


def of(status: SiteStatus) -> Group:
    """Return what there is, for a terminal."""
    parts: list[RenderableType] = [_title(status), ""]
    for cluster in status.clusters:
        if cluster.kind != "scout" or any(node.ollama for node in cluster.nodes):
            parts += [
                _heading(cluster),
                Padding(Group(*_about(cluster), _nodes(cluster.nodes)), (0, 0, 1, 2), expand=False),
            ]
    if scouts := [cluster for cluster in status.clusters if cluster.scout]:
        parts += [Text("Scouts", style="bold"), Padding(_scouts(scouts), (0, 0, 1, 2), expand=False)]
    return Group(*parts)


def problems(status: SiteStatus) -> Text:
    """Return what is not as it should be, as trouble is told everywhere; to be printed without breaking lines."""
    return Text("\n").join(map(_problem, status.problems))


def _title(status: SiteStatus) -> Text:
    when = f"read in {status.seconds:.1f} s at {local(status.taken)}"
    return Text.assemble((headline(status), f"bold {STYLES[status.state]}"), f"  {when}")


def _heading(cluster: ClusterStatus) -> Text:
    air_gap = ", air-gapped" if cluster.air_gapped else ""
    return Text.assemble((cluster.cluster, "bold"), f"  {KINDS[cluster.kind]}, {cluster.environment}{air_gap}")


def _about(cluster: ClusterStatus) -> Iterator[RenderableType]:
    """What is not about a single host."""
    if endpoint := cluster.endpoint:
        url = Text(f"{endpoint.url} ")
        yield Text.assemble(_cell(endpoint.answers, url), "   ", _cell(endpoint.certificate, Text("certificate: ")))
    if cluster.runs or cluster.lock.state != "ok":
        yield Text.assemble(_cell(cluster.last_run), "   ", _cell(cluster.lock, Text("lock: ")))
    if cluster.models:
        yield _models(cluster.models)


def _models(models: Sequence[ModelStatus]) -> Text:
    """Models that are everywhere in one word, the others by name."""
    good = [model for model in models if model.wanted and worst(c.state for c in model.nodes.values()) == "ok"]
    parts = [_marked("ok", f"{counted(len(good), 'model')} on every node")] if good else []
    for model in models:
        if model not in good and model.wanted:
            bad = [f"{host} {cell.text}" for host, cell in model.nodes.items() if cell.state != "ok"]
            state = worst(cell.state for cell in model.nodes.values())
            parts.append(_marked(state, f"{model.model} ({', '.join(bad)})"))
    more = sum(not model.wanted for model in models)
    parts += [Text(f"{more} more that the inventory does not name")] if more else []
    return Text("   ").join(parts)


def _nodes(nodes: Sequence[NodeStatus]) -> Table:
    rows = [
        (
            _marked(node.state, node.host),
            _cell(node.k3s if node.ssh.state == "ok" else node.ssh),
            *(_cell(cell) for cell in (node.gpus, node.ollama, node.memory, node.store, node.endpoint)),
        )
        for node in nodes
    ]
    shown = [place for place in range(len(NODE_HEADINGS)) if any(row[place].plain for row in rows)]
    return _table([NODE_HEADINGS[place] for place in shown], ([row[place] for place in shown] for row in rows))


def _scouts(clusters: Sequence[ClusterStatus]) -> Table:
    rows = []
    for cluster in clusters:
        if scout := cluster.scout:
            nodes = Text("\n").join(
                Text.assemble(_marked(node.state, node.host), f" {_version(node)}") for node in cluster.nodes
            )
            url = Text(printable(scout.effective_url or scout.wanted_url or "none"))
            name = _marked(cluster.state, cluster.cluster)
            rows.append((name, nodes, Text(scout.mode), url, _cell(scout.worst)))
    return _table(("", "hosts", "mode", "Ollama at", "works"), rows)


def _version(node: NodeStatus) -> str:
    return _short((node.k3s if node.ssh.state == "ok" else node.ssh).text)


def _table(headings: Sequence[str], rows: Iterable[Sequence[Text]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _cell(cell: Cell | None, before: Text | None = None) -> Text:
    if cell is None:
        return Text("")
    text = "" if cell.state == "unknown" and before is None else _short(cell.text)
    return Text.assemble(_marked(cell.state, ""), before or "", (printable(masked(text)), _style(cell.state)))


def _marked(state: State, text: str) -> Text:
    return Text.assemble((f"{MARKS[state]} ", STYLES[state]), (printable(masked(text)), _style(state)))


def _style(state: State) -> str:
    return "" if state == "ok" else STYLES[state]


def _short(text: str) -> str:
    """The text without what every version of K3s ends in, and without what the heading says."""
    return text.replace("+k3s1", "").removesuffix(" in use")


def _problem(problem: Problem) -> Text:
    where = ", ".join(problem.where)
    told = str(Trouble(f"{MARKS[problem.state]} {problem.what}", host=where, why=problem.why, next=problem.next))
    return Text(masked(told), style=STYLES[problem.state])
