"""Which Ollama a Scout's Open WebUI shall use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from scout_ollama.errors import Trouble
from scout_ollama.inventory import OllamaCluster, ScoutCluster, Site
from scout_ollama.inventory.models import OllamaMode


@dataclass(frozen=True)
class Target:
    """The Ollama of one mode.

    ``url`` is what Open WebUI connects to, None for none; ``cluster`` the shared cluster of this site behind it, if it
    is one; ``ca`` the authority to verify it with, PEM, empty for a public one; ``known_urls`` are those of the site's
    Ollamas: a connection to one of them is replaced, any other was made by hand and stays.
    """

    mode: OllamaMode
    url: str | None
    cluster: OllamaCluster | None = None
    ca: str = ""
    known_urls: tuple[str, ...] = ()

    @property
    def endpoint(self) -> str:
        """``HOST:PORT`` of the URL."""
        parts = urlsplit(self.url or "")
        return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"

    @property
    def hostname(self) -> str:
        """The host of the URL."""
        return urlsplit(self.url or "").hostname or ""

    def __str__(self) -> str:
        return f"{self.mode} ({self.url})" if self.url else self.mode


def of(site: Site, scout: ScoutCluster, mode: OllamaMode | None) -> tuple[ScoutCluster, Site, Target]:
    """Return the Scout and its site as the mode would have them, and the Ollama that is meant; None: the inventory's.

    Raises:
        Trouble: the inventory does not say which Ollama that would be, or its files are not there.
    """
    wanted = mode or scout.ollama_mode
    file = site.file_of(scout).name
    if wanted == "deploy" and scout.ollama is None:
        raise Trouble(
            f"{scout.name} has no Ollama of its own to deploy",
            why="its inventory file has no ollama section, which would say which models it serves",
            next=f"add ollama: to {file}; hosts/example.yaml shows what can stand there",
        )
    if wanted == "external" and not (scout.ollama_url or scout.ollama_cluster):
        raise Trouble(
            f"it is not known which shared Ollama {scout.name} shall use",
            why="its inventory file has neither ollama_cluster nor ollama_url",
            next=f"add ollama_cluster: NAME, or ollama_url: https://…, to {file}",
        )
    scout = scout.model_copy(update={"ollama_mode": wanted})
    site = replace(site, clusters={**site.clusters, scout.name: scout})
    shared = site.ollama_cluster_of(scout)
    if shared and scout.ollama_url is None:
        scout = scout.model_copy(update={"ollama_url": shared.url})
        site = replace(site, clusters={**site.clusters, scout.name: scout})
    known = [cluster.url for cluster in site.clusters.values() if isinstance(cluster, OllamaCluster)]
    own = f"http://ollama.{scout.ollama.namespace}:11434" if scout.ollama else ""
    authority = shared.ollama.tls.ca if shared else None
    if authority and not authority.is_file():
        raise Trouble(
            f"{authority} is not there",
            why=f"it is the authority that clients verify {shared.name if shared else 'it'} with",
            next="give it there, or correct ollama.tls.ca",
        )
    return (
        scout,
        site,
        Target(
            mode=wanted,
            url=scout.ollama_host,
            cluster=shared,
            ca=authority.read_text() if authority else "",
            known_urls=tuple(url for url in (*known, own) if url),
        ),
    )


def named(site: Site, url: str | None) -> Target:
    """Return the target that a URL is: a shared cluster of the site, else one that is asked from Open WebUI's pod."""
    if url is None:
        return Target("disabled", None)
    for cluster in site.clusters.values():
        if isinstance(cluster, OllamaCluster) and cluster.url == url:
            ca = cluster.ollama.tls.ca
            return Target("external", url, cluster, ca.read_text() if ca else "")
    return Target("deploy", url)


def clusters(site: Site, selector: str, mode: OllamaMode | None) -> Sequence[ScoutCluster]:
    """Return the selected Scouts; without a selector those whose inventory says which shared Ollama they use.

    Raises:
        Trouble: there is none.
    """
    scouts = [cluster for cluster in site.clusters.values() if isinstance(cluster, ScoutCluster)]
    if selector:
        chosen = {cluster.name for cluster in site.clusters_of(site.select(selector))}
        scouts = [scout for scout in scouts if scout.name in chosen]
    elif mode in (None, "external"):
        scouts = [scout for scout in scouts if scout.ollama_url or scout.ollama_cluster]
    else:
        raise Trouble(
            "no Scout is named",
            why=f"--{mode} is for the Scouts that you name: most of a site's use a shared Ollama",
            next=f"inv connect-scout --{mode} --hosts NAME",
        )
    if not scouts:
        raise Trouble(
            f"no Scout in {selector or 'this site'} can be connected",
            why="there is none" if selector else "none names a shared Ollama in its inventory file",
            next="inv list-hosts --hosts scout",
        )
    return scouts
