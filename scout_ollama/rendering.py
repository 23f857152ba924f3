"""What ``inv render`` prints: all that is applied to a cluster, for eyes; nothing is contacted."""

from __future__ import annotations

from collections.abc import Iterable

from scout_ollama import manifests
from scout_ollama.gpu_operator.objects import objects as operator_objects
from scout_ollama.inventory import Cluster, OllamaCluster, Site, StagingCluster
from scout_ollama.manifests import KubeObject


def rendered(site: Site, clusters: Iterable[Cluster]) -> str:
    """Return the manifests of all these clusters that can run an Ollama, as YAML, without secrets and charts.

    Raises:
        Trouble: as manifests.ollama_objects does.
    """
    shown = [cluster for cluster in clusters if not isinstance(cluster, StagingCluster)]
    return "".join(manifests.to_yaml(objects(site, cluster)) for cluster in shown)


def objects(site: Site, cluster: Cluster) -> list[KubeObject]:
    """Return the objects of one cluster in the order in which they are applied: what GPUs need, then Ollama."""
    operated = isinstance(cluster, OllamaCluster) and not cluster.ollama.cpu_only
    below = operator_objects(site, cluster, None) if isinstance(cluster, OllamaCluster) and operated else []
    return below + manifests.ollama_objects(site, cluster, with_secrets=False)
