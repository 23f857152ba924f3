"""Services, hostPorts and the pods' way out as nft rules: kube-proxy, klipper-lb and portmap in one table. Pure.

A LoadBalancer Service is served on every node's own address (servicelb). With externalTrafficPolicy Cluster every node
answers and hides the client's address behind its own; with Local only nodes with a ready endpoint answer, and the
client's address is kept.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.standins.k3s.objects import Object, labels_of, name_of, namespace_of
from lab.standins.k3s.placement import host_ports

TABLE = "table ip k3s_proxy"
PODS = "10.42.0.0/16"
SERVICES = "10.43.0.0/16"
OWN_ADDRESS = "fib daddr type local ip daddr != 127.0.0.0/8"


@dataclass(frozen=True)
class Target:
    """One ready endpoint: where it listens and on which node it runs."""

    address: str
    port: int
    node: str


@dataclass(frozen=True)
class Node:
    """What the rules need to know of this node: its name and its own address in the pod network."""

    name: str
    gateway: str


def render(services: list[Object], slices: list[Object], pods: list[Object], node: Node) -> str:
    """An nft script that replaces this node's proxy table as a whole."""
    nat: list[str] = []
    masked: list[str] = []
    refused: list[str] = []
    for service in sorted(services, key=lambda s: (namespace_of(s), name_of(s))):
        for port in service["spec"].get("ports") or []:
            targets = _targets(service, port, slices)
            rule = _cluster_ip(service, port, targets)
            (nat if targets else refused).extend(rule)
            if service["spec"].get("type") == "LoadBalancer":
                _load_balancer(service, port, targets, node, (nat, masked, refused))
    for pod in pods:
        nat += _host_ports(pod, node)
    return _script(nat, masked, refused, node)


def _targets(service: Object, port: Object, slices: Iterable[Object]) -> list[Target]:
    found = []
    for slice_ in slices:
        if namespace_of(slice_) != namespace_of(service):
            continue
        if labels_of(slice_).get("kubernetes.io/service-name") != name_of(service):
            continue
        numbers = [p["port"] for p in slice_.get("ports") or [] if (p.get("name") or "") == (port.get("name") or "")]
        for endpoint in slice_.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready", True):
                node = endpoint.get("nodeName", "")
                found += [Target(a, n, node) for a in endpoint["addresses"] for n in numbers]
    return sorted(found, key=lambda t: t.address)


def _cluster_ip(service: Object, port: Object, targets: list[Target]) -> list[str]:
    address = service["spec"].get("clusterIP")
    if not address or address == "None":
        return []
    match = f"ip daddr {address} {_protocol(port)} dport {port['port']}"
    return [f"{match} {_dnat(targets) if targets else 'reject'}"]


def _load_balancer(
    service: Object, port: Object, targets: list[Target], node: Node, chains: tuple[list[str], list[str], list[str]]
) -> None:
    nat, masked, refused = chains
    local = service["spec"].get("externalTrafficPolicy") == "Local"
    if local:
        targets = [t for t in targets if t.node == node.name]
    match = f"{_protocol(port)} dport {port['port']}"
    if not targets:
        # Without an endpoint of its own a node keeps silent under Local, and says no under Cluster.
        refused.append(f"{OWN_ADDRESS} {match} {'drop' if local else 'reject'}")
        return
    nat.append(f"{OWN_ADDRESS} {match} {_dnat(targets)}")
    if not local:
        from_outside = f"ct status dnat ct original ip daddr != {SERVICES}"
        masked.append(f"{from_outside} meta l4proto {_protocol(port)} ct original proto-dst {port['port']}")


def _dnat(targets: list[Target]) -> str:
    if len(targets) == 1:
        return f"dnat to {targets[0].address}:{targets[0].port}"
    choices = ", ".join(f"{i} : {t.address} . {t.port}" for i, t in enumerate(targets))
    return f"dnat ip to numgen random mod {len(targets)} map {{ {choices} }}"


def _host_ports(pod: Object, node: Node) -> Iterable[str]:
    address = (pod.get("status") or {}).get("podIP")
    if not address or pod["spec"].get("nodeName") != node.name or not host_ports(pod["spec"]):
        return
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            if port.get("hostPort"):
                own = f"ip daddr {port['hostIP']}" if port.get("hostIP") else OWN_ADDRESS
                match = f"{_protocol(port)} dport {port['hostPort']}"
                yield f"{own} {match} dnat to {address}:{port['containerPort']}"


def _protocol(port: Object) -> str:
    return str(port.get("protocol", "TCP")).lower()


def _script(nat: list[str], masked: list[str], refused: list[str], node: Node) -> str:
    def chain(name: str, hook: str, rules: list[str]) -> str:
        return "\n".join(
            [f"  chain {name} {{", *([f"    {hook}"] if hook else []), *(f"    {r}" for r in rules), "  }"]
        )

    outward = f"ip saddr {PODS} ip daddr != {PODS} masquerade"
    chains = [
        chain("services", "", nat),
        chain("refused", "", refused),
        chain("prerouting", "type nat hook prerouting priority dstnat;", ["jump services"]),
        chain("output", "type nat hook output priority -100;", ["jump services"]),
        chain("input_refused", "type filter hook input priority -10;", ["ct state new jump refused"]),
        chain("forward_refused", "type filter hook forward priority -10;", ["ct state new jump refused"]),
        chain("output_refused", "type filter hook output priority -10;", ["ct state new jump refused"]),
        chain(
            "postrouting",
            "type nat hook postrouting priority srcnat;",
            [*(f"{m} snat to {node.gateway}" for m in masked), outward],
        ),
    ]
    return "\n".join([f"{TABLE} {{}}", f"delete {TABLE}", f"{TABLE} {{", *chains, "}", ""])
