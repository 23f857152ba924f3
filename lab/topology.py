"""Which hosts a lab has, and what it tells the inventory about them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ollama", "scout", "staging"]
GpuOperator = Literal["preinstalled", "absent"]
GPU_OPERATOR: GpuOperator = "absent"
"""Whether clusters have their GPUs in Kubernetes from the start, or only once somebody installs the operator."""


@dataclass(frozen=True)
class HostSpec:
    """One host of a cluster; ``node_name`` where its K3s node is to be named differently."""

    name: str
    roles: tuple[str, ...] = ("server",)
    gpus: int = 0
    gpu_memory_gib: int | None = None
    node_name: str | None = None


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster, as its inventory file describes it.

    With ``open_webui`` its hosts see the real Open WebUI that is installed on this machine (``lab/open_webui.py``).
    """

    name: str
    kind: Kind
    hosts: tuple[HostSpec, ...]
    environment: str = "phi"
    air_gapped: bool = False
    staging: str | None = None
    ollama_cluster: str | None = None
    models: tuple[str, ...] = ()
    gpu_operator: GpuOperator = GPU_OPERATOR
    open_webui: bool = False

    @property
    def service(self) -> str | None:
        """The DNS name of what the cluster serves: Ollama, or Harbor."""
        service = {"ollama": "ollama", "staging": "harbor"}.get(self.kind)
        return service and f"{service}.{self.name}.example.edu"


Topology = tuple[ClusterSpec, ...]


def gpu_hosts(cluster: str, count: int) -> tuple[HostSpec, ...]:
    """``count`` servers with one GPU of 80 GiB each: ``phi-gpu-1``, ``phi-gpu-2``…"""
    return tuple(
        HostSpec(f"{cluster}-gpu-{number}", roles=("server", "gpu"), gpus=1, gpu_memory_gib=80)
        for number in range(1, count + 1)
    )


def ssh_hosts(count: int) -> Topology:
    """``count`` hosts, ``node-1``…, for tests that need no cluster."""
    return (ClusterSpec("nodes", "scout", tuple(HostSpec(f"node-{number}") for number in range(1, count + 1))),)


DEFAULT_TOPOLOGY: Topology = (
    ClusterSpec(
        "phi",
        "ollama",
        gpu_hosts("phi", 3),
        air_gapped=True,
        staging="staging",
        models=("tiny:latest",),
    ),
    ClusterSpec("staging", "staging", (HostSpec("staging-1"),)),
    ClusterSpec("scout-prod", "scout", (HostSpec("scout-prod-1"),), air_gapped=True, ollama_cluster="phi"),
    ClusterSpec("scout-preprod", "scout", (HostSpec("scout-preprod-1"),), air_gapped=True, ollama_cluster="phi"),
)


def placed(topology: Topology) -> Iterator[tuple[ClusterSpec, HostSpec]]:
    """Every host with its cluster, in order."""
    for cluster in topology:
        for host in cluster.hosts:
            yield cluster, host
