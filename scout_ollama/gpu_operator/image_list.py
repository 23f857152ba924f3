"""list-images: what a cluster pulls, for whom, and where an air gap gets it; from the inventory and the chart alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from scout_ollama import manifests, report, selection
from scout_ollama.gpu_operator.images import users
from scout_ollama.gpu_operator.locked import verified
from scout_ollama.gpu_operator.mirrored import in_harbor
from scout_ollama.gpu_operator.values import values
from scout_ollama.inventory import Cluster, OllamaCluster, Site
from scout_ollama.results import ImageOutput

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

# What K3s adds. Their tags are K3s's choice, and only the hosts know which K3s they have.
HELM_JOB = ("docker.io/rancher/klipper-helm", "to install the chart")
PAUSE = ("docker.io/rancher/mirrored-pause", "below every pod")
TRAEFIK = ("docker.io/rancher/mirrored-library-traefik", "for the endpoint")


def command(site: Site, selector: str, *, as_json: bool) -> None:
    """Print the images of every selected cluster.

    Raises:
        Trouble: the selection names no whole cluster that runs an Ollama, or the chart is not there or not the one
            that was accepted.
    """
    clusters = selection.whole_clusters(site, selector, "list-images")
    rows = [row for cluster in clusters for row in of_cluster(site, cluster)]
    if as_json:
        report.print_json([row.model_dump() for row in rows])
    else:
        report.print_text(table(site, rows), wide=True)


def of_cluster(site: Site, cluster: Cluster) -> list[ImageOutput]:
    """Return the images of one cluster: the operator's where it installs one, K3s's for that, and Ollama's."""
    harbor = site.harbor_of(cluster)
    return [
        ImageOutput(cluster=cluster.name, image=image, needed_by=needed_by, harbor=harbor and in_harbor(image, harbor))
        for image, needed_by in _needed(site, cluster)
    ]


def table(site: Site, rows: Sequence[ImageOutput]) -> Group:
    """Return the rows for a terminal: an image a line, below it who needs it and where an air gap gets it."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    parts: list[Text | Padding] = []
    for name, of_one in groupby(rows, key=lambda row: row.cluster):
        air_gapped = site.clusters[name].air_gapped
        parts.append(Text(f"{name}:{' through Harbor' if air_gapped else ''}", style="bold"))
        for row in of_one:
            parts += [
                Padding(Text(row.image), (0, 0, 0, 2)),
                Padding(Text(f"for {', '.join(row.needed_by)}", style="dim"), (0, 0, 0, 6)),
            ]
            if air_gapped:
                parts.append(Padding(_place(row), (0, 0, 0, 6)))
    return Group(*parts)


def _place(row: ImageOutput) -> Text:
    from rich.text import Text

    registry = row.image.partition("/")[0]
    missing = f"not in Harbor: harbor.projects has none for {registry}"
    return Text(f"from {row.harbor}", style="dim") if row.harbor else Text(missing, style="red")


def _needed(site: Site, cluster: Cluster) -> Iterator[tuple[str, list[str]]]:
    if isinstance(cluster, OllamaCluster) and not cluster.ollama.cpu_only:
        yield from users(verified(site, cluster), values(cluster)).items()
        yield _by_k3s(*HELM_JOB)
    if isinstance(cluster, OllamaCluster):
        yield _by_k3s(*TRAEFIK)
    yield _by_k3s(*PAUSE)
    ollama = manifests.settings(cluster)
    yield f"{ollama.image}:{ollama.version}", ["Ollama"]


def _by_k3s(image: str, use: str) -> tuple[str, list[str]]:
    return image, [f"K3s, {use}; its tag is that of the hosts' K3s, whose air-gap archive has it"]
