"""What this lab host is, from /etc/lab/host.json, and its cluster's token, which is root's alone."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST_JSON = Path("/etc/lab/host.json")
KUBELET_KUBECONFIG = Path("/var/lib/rancher/k3s/agent/kubelet.kubeconfig")


@dataclass(frozen=True)
class Peer:
    """A host of the same cluster."""

    name: str
    address: str
    node_name: str
    node_index: int
    roles: tuple[str, ...]
    gpus: int

    @property
    def pod_cidr(self) -> str:
        return f"10.42.{self.node_index}.0/24"

    @property
    def pod_gateway(self) -> str:
        """The node's own address in the pod network."""
        return f"10.42.{self.node_index}.1"


@dataclass(frozen=True)
class HostInfo:
    """This host, its K3s settings and its cluster."""

    me: Peer
    peers: tuple[Peer, ...]  # all hosts of the cluster, this one too
    server: str  # address of the cluster's first server
    version: str
    token: str
    has_traefik: bool  # not where something else serves the node's ports 80 and 443

    @property
    def is_first_server(self) -> bool:
        return self.me.address == self.server

    @property
    def is_server(self) -> bool:
        return "server" in self.me.roles


def read(path: Path = HOST_JSON) -> HostInfo:
    """Raises OSError or KeyError when the host is not one of the lab's with K3s."""
    data: dict[str, Any] = json.loads(path.read_text())
    peers = tuple(_peer(p) for p in data["peers"])
    me = next(p for p in peers if p.name == data["name"])
    k3s = data["k3s"]
    token = path.with_name("token").read_text()
    return HostInfo(me, peers, k3s["server"], k3s["version"], token, data["kind"] != "staging")


def _peer(data: dict[str, Any]) -> Peer:
    return Peer(
        name=data["name"],
        address=data["address"],
        node_name=data["node_name"] or data["name"],
        node_index=int(data["node_index"]),
        roles=tuple(data["roles"]),
        gpus=int(data.get("gpus") or 0),
    )


def read_version() -> str:
    """K3s's version. Raises OSError or TypeError when the host has no K3s."""
    data: dict[str, Any] = json.loads(HOST_JSON.read_text())
    return str(data["k3s"]["version"])
