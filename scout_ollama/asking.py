"""What an Ollama is asked from outside: its pod from its node, the endpoint from a Scout host; and who may ask."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from scout_ollama.facts import Sections, facts_script, parse_sections
from scout_ollama.inventory import Host, Ollama, OllamaCluster, Site
from scout_ollama.manifests import KubeObject
from scout_ollama.remote import Reader


def ask_pod(remote: Reader, address: str) -> Sections:
    """Ask the Ollama pod on a host, by its pod IP, for its version.

    From its own node, because the network policy lets nothing else but the ingress controller in.
    """
    script = facts_script("ask-pod")
    return parse_sections(remote.read(script, f"{bracketed(address)}:11434", timeout=90).stdout)


def ask_endpoint(remote: Reader, ollama: Ollama, addresses: Sequence[str]) -> Sections:
    """Ask the shared endpoint from a Scout host: by its name, then each of its nodes in turn."""
    script = facts_script("together", "endpoint", "ask-endpoint")
    result = remote.read(script, ollama.hostname or "", *addresses, stdin=authority_of(ollama))
    return parse_sections(result.stdout)


def authority_of(ollama: Ollama) -> bytes:
    """Return the certificate of the CA to verify an endpoint with, PEM; empty for a public one."""
    return ollama.tls.ca.read_bytes() if ollama.tls and ollama.tls.ca else b""


def bracketed(address: str) -> str:
    """Return an IP address as it stands in front of a port: with brackets around IPv6."""
    return f"[{address}]" if ":" in address else address


def node_addresses(hosts: Iterable[Host], nodes: Iterable[KubeObject]) -> dict[str, str]:
    """Return host names by the address at which their node serves, which need not be the one that SSH goes to."""
    listed = {node["metadata"]["name"]: node["status"].get("addresses", []) for node in nodes}
    addresses: dict[str, str] = {}
    for host in hosts:
        of_node = listed.get(host.node, [])
        internal = [entry["address"] for entry in of_node if entry["type"] == "InternalIP"]
        addresses[bracketed(internal[0] if internal else host.address)] = host.name
    return addresses


def authorised_scouts(site: Site, cluster: OllamaCluster) -> list[Host]:
    """Return the hosts of Scouts that use the cluster and whose address the allow-list admits."""
    hosts = [host for scout in site.scouts_of(cluster) for host in scout.hosts.values()]
    return [host for host in hosts if _admits(cluster.ollama, host.address)]


def _admits(ollama: Ollama, address: str) -> bool:
    try:
        return any(ipaddress.ip_address(address) in network for network in ollama.allowed_clients)
    except ValueError:
        return True  # a DNS name: only the endpoint itself can tell
