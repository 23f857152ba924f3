"""What this lab host is, from /etc/lab/host.json."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST_JSON = Path("/etc/lab/host.json")
PUBLIC_JSON = Path("/var/lib/rancher/k3s/lab-host.json")  # the same without secrets, for users and containers


@dataclass(frozen=True)
class Peer:
    """A host of the same cluster."""

    name: str
    address: str
    node_name: str
    node_index: int
    roles: tuple[str, ...]

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
    return HostInfo(me, peers, k3s["server"], k3s["version"], k3s["token"], data["kind"] != "staging")


def _peer(data: dict[str, Any]) -> Peer:
    return Peer(
        name=data["name"],
        address=data["address"],
        node_name=data["node_name"] or data["name"],
        node_index=int(data["node_index"]),
        roles=tuple(data["roles"]),
    )


def publish() -> None:
    """Write PUBLIC_JSON."""
    data: dict[str, Any] = json.loads(HOST_JSON.read_text())
    public = {**data, "k3s": {key: value for key, value in data["k3s"].items() if key != "token"}}
    PUBLIC_JSON.parent.mkdir(parents=True, exist_ok=True)
    PUBLIC_JSON.write_text(json.dumps(public))


def read_version() -> str:
    """K3s's version, for any user once the service has run. Raises OSError or TypeError when the host has no K3s."""
    path = HOST_JSON if os.access(HOST_JSON, os.R_OK) else PUBLIC_JSON
    data: dict[str, Any] = json.loads(path.read_text())
    return str(data["k3s"]["version"])
