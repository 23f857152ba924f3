"""list-models: the matrix, read from every host at once and shown; nothing is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scout_ollama import report, selection, sizes
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Cluster, Site
from scout_ollama.job import Job
from scout_ollama.models import locked, matrix, survey
from scout_ollama.report import Reporter
from scout_ollama.results import ModelCopyOutput, ModelOutput

if TYPE_CHECKING:
    from rich.table import Table


def command(site: Site, selector: str, *, as_json: bool) -> int:
    """Print the models of the selected clusters; return 1 if a host could not be asked.

    Raises:
        Trouble: the selection names no whole cluster that runs an Ollama.
    """
    clusters = selection.whole_clusters(site, selector, "list-models")
    rows: list[ModelOutput] = []
    troubles: list[Trouble] = []
    for cluster in clusters:
        try:
            found, of_hosts = _of_cluster(site, cluster)
            rows += found
            troubles += of_hosts
        except Trouble as trouble:
            troubles.append(trouble)
    if as_json:
        report.print_json([row.model_dump(mode="json") for row in rows])
    elif rows:
        report.print_text(table(rows), wide=True)
    report.print_troubles(troubles)
    return 1 if troubles else 0


def _of_cluster(site: Site, cluster: Cluster) -> tuple[list[ModelOutput], list[Trouble]]:
    reporter = Reporter(host.name for host in site.hosts)
    with Fleet(site) as fleet:
        found = survey.take(Job(site, cluster, fleet, reporter.say), {})
    return matrix.rows(found, locked.read(site, cluster.name)), list(found.troubles.values())


def table(rows: Sequence[ModelOutput]) -> Table:
    """Return the rows for a terminal: of each copy the start of its digest; ``*`` is in memory, ``?`` not verified."""
    from rich.table import Table
    from rich.text import Text

    hosts = list(dict.fromkeys(host for row in rows for host in row.nodes))
    shown = Table(box=None, pad_edge=False)
    for heading in ("cluster", "model", "size", "staging", *hosts, "lock", ""):
        shown.add_column(heading, overflow="fold")
    for row in rows:
        cells = [row.cluster, row.model, sizes.shown(row.size) if row.size is not None else "", _cell(row.staging)]
        cells += [_cell(row.nodes[host]) if host in row.nodes else "" for host in hosts]
        cells += [row.lock[:7] if row.lock else "-", row.drift or "as it should be"]
        shown.add_row(*map(Text, cells), style="yellow" if row.drift else "")
    return shown


def _cell(copy: ModelCopyOutput) -> str:
    if copy.digest is None:
        return "-" if copy.state == "absent" else copy.state
    marks = {"verified": "", "not verified": "?"}
    memory = ("*" if copy.in_vram else "* partly") if copy.in_memory else ""
    return copy.digest[:7] + marks.get(copy.state, f" {copy.state}") + memory
