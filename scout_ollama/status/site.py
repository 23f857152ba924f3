"""The whole site, judged from one reading. Pure, but for files beside the inventory."""

from __future__ import annotations

from collections.abc import Iterable

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, Host, OllamaCluster, ScoutCluster, Site
from scout_ollama.models import locked
from scout_ollama.open_webui.looking import Looked
from scout_ollama.open_webui.workload import NotThere
from scout_ollama.state import State as Kept
from scout_ollama.status import document, models, runs
from scout_ollama.status.cells import broken, ok, unknown, warn
from scout_ollama.status.document import Cell, ClusterStatus, NodeStatus, ScoutStatus, SiteStatus, worst
from scout_ollama.status.endpoint import Endpoint
from scout_ollama.status.facts import SiteFacts
from scout_ollama.status.node import Judge


def judge(site: Site, selected: Iterable[Host], facts: SiteFacts) -> SiteStatus:
    """Return how the selected hosts and their clusters are.

    Raises:
        Trouble: ``models.lock`` cannot be read.
    """
    hosts = list(selected)
    clusters = [
        _cluster(site, cluster, [host for host in hosts if host.cluster == cluster.name], facts)
        for cluster in site.clusters_of(hosts)
    ]
    return SiteStatus(
        taken=facts.taken,
        seconds=facts.seconds,
        state=worst(cluster.state for cluster in clusters),
        clusters=clusters,
        problems=document.problems(clusters),
    )


def _cluster(site: Site, cluster: Cluster, hosts: Iterable[Host], facts: SiteFacts) -> ClusterStatus:
    endpoint = Endpoint(site, cluster, facts) if isinstance(cluster, OllamaCluster) else None
    nodes = [_node(Judge(site, cluster, host, facts), endpoint) for host in hosts]
    kept = _kept(facts, cluster)
    silent = unknown(f"{cluster.servers[0]} does not answer")
    status = ClusterStatus(
        cluster=cluster.name,
        kind=cluster.kind,
        environment=cluster.environment,
        air_gapped=cluster.air_gapped,
        state="ok",
        nodes=nodes,
        models=models.matrix(facts, cluster, nodes, locked.read(site, cluster.name)),
        endpoint=endpoint.status() if endpoint else None,
        scout=_scout(site, cluster, nodes, facts) if isinstance(cluster, ScoutCluster) else None,
        lock=runs.lock(cluster.name, kept) if kept else silent,
        last_run=runs.last(cluster.name, kept, facts.taken) if kept else silent,
        runs=runs.all_of(kept) if kept else [],
    )
    return status.model_copy(update={"state": worst(cell.state for _, cell in status.cells)})


def _node(judge: Judge, endpoint: Endpoint | None) -> NodeStatus:
    shown = endpoint.on_node(judge.host, judge.k3s()) if endpoint and "gpu" in judge.host.roles else None
    return judge.node(shown)


def _kept(facts: SiteFacts, cluster: Cluster) -> Kept | None:
    """What the cluster's first server keeps; None if it does not answer."""
    server = facts.hosts.get(cluster.servers[0])
    return server.kept if server else None


def _scout(site: Site, scout: ScoutCluster, nodes: Iterable[NodeStatus], facts: SiteFacts) -> ScoutStatus:
    shared = site.ollama_cluster_of(scout)
    looked = facts.open_webuis.get(scout.servers[0])
    return ScoutStatus(
        mode=scout.ollama_mode,
        uses=shared.name if shared else None,
        wanted_url=scout.ollama_host,
        effective_url=", ".join(looked.urls) if isinstance(looked, Looked) else None,
        open_webui=_open_webui(scout, looked),
        works=_works(scout, list(nodes), facts),
    )


def _open_webui(scout: ScoutCluster, looked: Looked | Trouble | None) -> Cell | None:
    """What Open WebUI says itself; None where its host does not answer, which is told elsewhere."""
    next = f"inv connect-scout --hosts {scout.name} --plan"
    match looked:
        case None:
            return None
        case NotThere():
            return warn("not there", looked.what, why=looked.why, next=looked.next)
        case Trouble():
            return broken("cannot be asked", looked.what, why=looked.why, next=looked.next)
    if looked.drift:
        return broken("another Ollama", "Open WebUI uses another Ollama", why="\n".join(looked.drift), next=next)
    if looked.silent:
        return broken("no answer", f"Open WebUI does not reach {scout.ollama_host}", why=looked.silent, next=next)
    return ok(f"{looked.version}, as wanted")


def _works(scout: ScoutCluster, nodes: list[NodeStatus], facts: SiteFacts) -> Cell:
    if scout.ollama_mode == "disabled":
        return ok("no Ollama is wanted")
    if scout.ollama_mode == "deploy":
        serves = any(node.ollama and node.ollama.state in ("ok", "warn") for node in nodes)
        return ok("its own answers") if serves else unknown("its own Ollama does not answer")
    tags = next((facts.endpoints[name]["tags"] for name in scout.hosts if name in facts.endpoints), None)
    if tags is None:
        return unknown(f"{', '.join(scout.hosts)} does not answer")
    if tags.ok:
        return ok("answers")
    look = f"inv check-access --hosts {scout.ollama_cluster}" if scout.ollama_cluster else f"curl -v {scout.ollama_url}"
    what = f"{scout.ollama_url} does not answer this Scout"
    return broken("no answer", what, why=tags.text.strip() or "curl said nothing", next=look)
