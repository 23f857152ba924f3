"""Which clusters, and which of their hosts, a command is about."""

from __future__ import annotations

from collections.abc import Sequence

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, Host, OllamaCluster, ScoutCluster, Site


def whole_clusters(site: Site, selector: str, command: str, *, also_left: bool = False) -> list[Cluster]:
    """Return the selected clusters that run an Ollama, for a command that is about a cluster as a whole.

    With ``also_left`` a Scout whose ``ollama_mode`` is another by now counts too: what was deployed may be left there.

    Raises:
        Trouble: none does, or the selector leaves out hosts of one.
    """
    hosts = site.select(selector)
    chosen = site.clusters_of(hosts)
    clusters = [one for one in chosen if one.runs_ollama or (also_left and isinstance(one, ScoutCluster))]
    _require_whole(clusters, hosts, selector, command)
    if not clusters:
        raise _runs_none(site, selector, command)
    return clusters


def shared_clusters(site: Site, selector: str, command: str) -> list[OllamaCluster]:
    """Return the selected shared Ollama clusters, for a command that is about their endpoint.

    Raises:
        Trouble: there is none, or the selector leaves out hosts of one.
    """
    hosts = site.select(selector)
    clusters = [cluster for cluster in site.clusters_of(hosts) if isinstance(cluster, OllamaCluster)]
    _require_whole(clusters, hosts, selector, command)
    if not clusters:
        raise _no_endpoint(site, selector, command)
    return clusters


def gpu_hosts(site: Site, selector: str, command: str) -> list[Host]:
    """Return the selected hosts that run an Ollama pod, for a command that may be about some of a cluster's hosts.

    Raises:
        Trouble: none does.
    """
    hosts = site.select(selector)
    running = [host for host in hosts if site.clusters[host.cluster].runs_ollama and "gpu" in host.roles]
    if not running:
        raise _runs_none(site, selector, command)
    return running


def _require_whole(clusters: Sequence[Cluster], hosts: Sequence[Host], selector: str, command: str) -> None:
    for cluster in clusters:
        left_out = [name for name in cluster.hosts if name not in {host.name for host in hosts}]
        if left_out:
            raise Trouble(
                f"{selector} leaves out {', '.join(left_out)}",
                why=f"inv {command} is for a whole cluster: its hosts are one thing to whoever uses it",
                next=f"inv {command} --hosts {cluster.name}",
            )


def _no_endpoint(site: Site, selector: str, command: str) -> Trouble:
    scouts = [cluster for cluster in site.clusters_of(site.select(selector)) if isinstance(cluster, ScoutCluster)]
    scout = scouts[0] if scouts else None
    what = f"no cluster in {selector} has an endpoint"
    if scout and (owner := site.ollama_cluster_of(scout)):
        why = f"{scout.name} uses the Ollama of {owner.name}"
        return Trouble(what, why=why, next=f"inv {command} --hosts {owner.name}")
    if scout and scout.runs_ollama:
        why = f"the Ollama of {scout.name} is reached inside its cluster only"
    elif scout:
        why = f"the ollama_mode of {scout.name} is {scout.ollama_mode}"
    else:
        why = "only a shared Ollama has one"
    return Trouble(what, why=why, next="inv list-hosts --hosts ollama")


def _runs_none(site: Site, selector: str, command: str) -> Trouble:
    """Say who owns the Ollama that the selected clusters use, if they use one."""
    chosen = site.clusters_of(site.select(selector))
    scout = next((cluster for cluster in chosen if isinstance(cluster, ScoutCluster)), None)
    what = f"no cluster in {selector} runs an Ollama of its own"
    if scout is None:
        why = "shared clusters do, and Scouts whose ollama_mode is deploy"
        return Trouble(what, why=why, next="inv list-hosts --hosts ollama")
    owner: OllamaCluster | None = site.ollama_cluster_of(scout)
    if owner:
        why = f"{scout.name} uses the Ollama of {owner.name}, which owns its version and its models"
        return Trouble(what, why=why, next=f"inv {command} --hosts {owner.name}")
    used = f", the Ollama at {scout.ollama_url}" if scout.ollama_url else ""
    return Trouble(
        what,
        why=f"its ollama_mode is {scout.ollama_mode}{used}",
        next=f"edit {scout.name}.yaml: ollama_mode: deploy, if it shall have one",
    )
