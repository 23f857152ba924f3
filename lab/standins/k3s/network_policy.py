"""NetworkPolicy as nft rules for the pods of one node, in the way of kube-router, which K3s embeds. Pure.

A pod that a policy selects refuses what no policy allows. Only forwarded packets are looked at: the node itself always
reaches its own pods, as the kubelet's probes must.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from lab.standins.k3s.objects import Object, labels_of, name_of, namespace_of
from lab.standins.k3s.selectors import matches

TABLE = "table inet k3s_network_policy"


def render(policies: list[Object], pods: list[Object], namespaces: list[Object], node_name: str) -> str:
    """An nft script that replaces this node's policy table as a whole."""
    reachable = [p for p in pods if pod_ip(p) and not p["spec"].get("hostNetwork")]
    chains: list[str] = []
    jumps: list[str] = []
    for pod in sorted(reachable, key=pod_ip):
        if pod["spec"].get("nodeName") != node_name:
            continue
        for direction, match in (("Ingress", "daddr"), ("Egress", "saddr")):
            selecting = [p for p in policies if _applies(p, pod, direction)]
            if selecting:
                chain = f"{direction.lower()}_{pod_ip(pod).replace('.', '_')}"
                jumps.append(f"    ip {match} {pod_ip(pod)} jump {chain}")
                chains.append(_chain(chain, selecting, pod, direction, _Peers(reachable, namespaces)))
    # A jump needs its chain to be there before it.
    forward = "\n".join(
        [
            "  chain forward {",
            "    type filter hook forward priority filter; policy accept;",
            "    ct state established,related accept",
            *jumps,
            "  }",
        ]
    )
    return "\n".join([f"{TABLE} {{}}", f"delete {TABLE}", f"{TABLE} {{", *chains, forward, "}", ""])


def pod_ip(pod: Object) -> str:
    """The pod's address while it may run, else nothing."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        return ""
    return str(status.get("podIP") or "")


def _applies(policy: Object, pod: Object, direction: str) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if "egress" in spec else ["Ingress"])
    same = namespace_of(policy) == namespace_of(pod)
    return same and direction in types and matches(spec.get("podSelector") or {}, labels_of(pod))


class _Peers:
    """The addresses that a policy's peers stand for."""

    def __init__(self, pods: list[Object], namespaces: list[Object]) -> None:
        self._pods = pods
        self._namespaces = {name_of(n): labels_of(n) for n in namespaces}

    def pods(self, peer: Mapping[str, Any], own_namespace: str) -> list[Object]:
        selector = peer.get("namespaceSelector")
        spaces = {
            name
            for name, labels in self._namespaces.items()
            if (name == own_namespace if selector is None else matches(selector, labels))
        }
        wanted = peer.get("podSelector") or {}
        return [p for p in self._pods if namespace_of(p) in spaces and matches(wanted, labels_of(p))]


def _chain(name: str, policies: Iterable[Object], pod: Object, direction: str, peers: _Peers) -> str:
    ingress = direction == "Ingress"
    rules_key, peers_key, match = ("ingress", "from", "saddr") if ingress else ("egress", "to", "daddr")
    lines = [f"  chain {name} {{"]
    for policy in policies:
        for rule in policy["spec"].get(rules_key) or []:
            sources = _addresses(rule.get(peers_key) or [], namespace_of(policy), peers)
            for port in _ports(rule.get("ports") or [], pod if ingress else None):
                lines += [f"    {s}{port}accept" for s in _matches(sources, match)]
    return "\n".join([*lines, "    reject", "  }"])


def _addresses(rule_peers: list[Object], namespace: str, peers: _Peers) -> list[tuple[str, list[str]]] | None:
    """(CIDR, exceptions) pairs, or None for everybody."""
    if not rule_peers:
        return None
    found: list[tuple[str, list[str]]] = []
    for peer in rule_peers:
        if "ipBlock" in peer:
            found.append((peer["ipBlock"]["cidr"], peer["ipBlock"].get("except") or []))
        else:
            found += [(pod_ip(pod), []) for pod in peers.pods(peer, namespace)]
    return found


def _matches(addresses: list[tuple[str, list[str]]] | None, match: str) -> Iterable[str]:
    if addresses is None:
        yield ""
        return
    for cidr, exceptions in addresses:
        family = "ip6" if ":" in cidr else "ip"
        without = f"{family} {match} != {{ {', '.join(exceptions)} }} " if exceptions else ""
        yield f"{family} {match} {cidr} {without}"


def _ports(ports: list[Object], pod: Object | None) -> Iterable[str]:
    if not ports:
        yield ""
    for port in ports:
        protocol = port.get("protocol", "TCP").lower()
        wanted = port.get("port")
        if wanted is None:
            yield f"meta l4proto {protocol} "
            continue
        number = _named_port(wanted, pod) if isinstance(wanted, str) else wanted
        if number is not None:
            yield f"{protocol} dport {number}{'-' + str(port['endPort']) if 'endPort' in port else ''} "


def _named_port(name: str, pod: Object | None) -> int | None:
    containers = pod["spec"]["containers"] if pod else []
    ports = [p for c in containers for p in c.get("ports") or []]
    return next((int(p["containerPort"]) for p in ports if p.get("name") == name), None)
