"""Who loses the Ollama that is removed from a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from scout_ollama.errors import Trouble
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.open_webui import facts, workload
from scout_ollama.open_webui.facts import Found
from scout_ollama.open_webui.session import Session
from scout_ollama.remote import Reader


def losing(job: Job, removed: Iterable[KubeObject]) -> Iterator[Trouble]:
    """Say who still uses the Ollama of these objects.

    Of a shared cluster the inventory knows its Scouts; a Scout's own is used by no other, and its Open WebUI is asked.
    """
    if isinstance(job.cluster, OllamaCluster):
        for scout in job.site.scouts_of(job.cluster):
            yield _shared(job.site, scout, job.cluster)
    elif isinstance(job.cluster, ScoutCluster):
        yield from _own(job, job.cluster, [obj["metadata"] for obj in removed if obj["kind"] == "Service"])


def _shared(site: Site, scout: ScoutCluster, cluster: OllamaCluster) -> Trouble:
    return Trouble(
        f"{scout.name} uses this Ollama: its chat loses it",
        why=f"{site.file_of(scout).name} connects it to {cluster.name}",
        next=f"inv connect-scout --hosts {scout.name} --disabled first, or give it another in that file",
    )


def _own(job: Job, scout: ScoutCluster, services: Sequence[KubeObject]) -> Iterator[Trouble]:
    try:
        found = job.on_first_server(lambda remote: _asked(remote, scout))
    except Trouble as trouble:
        yield Trouble(
            f"{scout.name}: it is not known whether Open WebUI uses this Ollama",
            why=str(trouble),
            next=f"inv check --hosts {scout.name}",
        )
        return
    for url, loss in _uses(scout, found):
        if any(workload.is_service(url, service["name"], service["namespace"]) for service in services):
            yield loss


def _asked(remote: Reader, scout: ScoutCluster) -> Found:
    return facts.ask(remote, Session(), facts.read_installed(remote, scout))


def _uses(scout: ScoutCluster, found: Found) -> Iterator[tuple[str, Trouble]]:
    """By which URL Open WebUI does what, and what is told if that goes; with Ollama turned off it may still embed."""
    for url in found.connection.urls if found.connection.enabled else ():
        yield (
            url,
            Trouble(
                f"{scout.name}: Open WebUI chats by this Ollama, and cannot any more",
                why=f"it is connected to {url}",
                next=f"inv connect-scout --hosts {scout.name} --external, or --disabled, first",
            ),
        )
    if found.embedding.uses_ollama:
        yield (
            found.embedding.url,
            Trouble(
                f"{scout.name}: Open WebUI embeds documents by this Ollama, and cannot any more",
                why=f"its settings of documents name {found.embedding.url}",
                next=f"inv connect-scout --hosts {scout.name} --external first, or another engine in those settings",
            ),
        )
