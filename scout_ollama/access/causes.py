"""Why something is open, or shut, that should not be: the likeliest cause that the cluster's objects show."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from scout_ollama.access.exposure import Exposure, Route
from scout_ollama.hints import on
from scout_ollama.inventory import Host, OllamaCluster
from scout_ollama.manifests import ObjectKey

VERSION_PATH = "/api/version"


class Cause(NamedTuple):
    """A likely cause, and the next command to type."""

    why: str
    next: str


@dataclass(frozen=True)
class Causes:
    """What to think of first, on one cluster."""

    cluster: OllamaCluster
    exposure: Exposure

    def open_to_a_stranger(self, host: Host, path: str) -> Cause:
        """A host that is not on the allow-list gets through over HTTPS."""
        allowed = {str(network) for network in self.cluster.ollama.allowed_clients}
        for route in self._leading_from(path):
            if route.admitted is None:
                return Cause(f"{route.ingress} has no allow-list{self._no_firewall}", self._mend(route))
            if more := sorted(set(route.admitted) - allowed):
                why = f"the allow-list of {route.ingress} also admits {', '.join(more)}, not in ollama.allowed_clients"
                return Cause(why + self._no_firewall, self._mend(route))
        if admitting := _admitting(host.address, self.cluster.ollama.allowed_clients):
            why = f"ollama.allowed_clients admits {', '.join(admitting)}, and {host.name} is {host.address}"
            return Cause(why + self._no_firewall, f"edit {self.cluster.name}.yaml: ollama.allowed_clients")
        if self.exposure.hides_clients():
            return self._hidden_clients()
        why = f"Traefik sees an address that the allow-list admits: is there NAT between {host.name} and it?"
        return self._otherwise(why, self.look("ingresses,middlewares.traefik.io --all-namespaces -o yaml"))

    def shut_to_a_scout(self, host: Host) -> Cause:
        """A Scout's host gets 403."""
        allowed = self.cluster.ollama.allowed_clients
        if _is_address(host.address) and not _admitting(host.address, allowed):
            why = f"ollama.allowed_clients does not admit {host.address}"
            return Cause(why, f"edit {self.cluster.name}.yaml: ollama.allowed_clients, then {self.deploy}")
        for route in self._leading_from(VERSION_PATH):
            if lacking := sorted({str(network) for network in allowed} - set(route.admitted or ())):
                return Cause(f"the allow-list of {route.ingress} lacks {', '.join(lacking)}", self._mend(route))
        if self.exposure.hides_clients():
            return self._hidden_clients()
        why = f"Traefik sees another address than {host.address}: is there NAT between {host.name} and it?"
        return self._otherwise(why, f"edit {self.cluster.name}.yaml: ollama.allowed_clients")

    def open_without_tls(self) -> Cause:
        """Ollama answers plain HTTP."""
        for route in self._leading_from(VERSION_PATH):
            if "web" in route.entry_points:
                return Cause(f"{route.ingress} also serves Traefik's entrypoint web", self._mend(route))
        return self._otherwise("no Ingress says so: something else listens on port 80", self.listeners(80))

    def open_port(self, node: str) -> Cause:
        """Something answers on Ollama's own port at a node's address."""
        if bypasses := self.exposure.bypasses():
            return Cause(f"past the ingress by {_named(bypasses)}", self.describe(bypasses[0]))
        why = "a process of the node itself listens there or forwards it, and no firewall is in front"
        return self._otherwise(why, self.listeners(11434, node))

    def open_path(self, path: str) -> Cause:
        """A path that changes models is let through."""
        for route in self._leading_from(path):
            return Cause(f"{route.ingress} routes {route.path} to Ollama", self._mend(route))
        look = self.look("ingresses --all-namespaces -o yaml")
        return self._otherwise("no Ingress says so: something else answers under the name", look)

    @property
    def deploy(self) -> str:
        """The command that puts back what is ours."""
        return f"inv deploy-ollama --hosts {self.cluster.name}"

    def look(self, what: str) -> str:
        """The command that shows objects."""
        return on(self._server, f"sudo k3s kubectl get {what}")

    def describe(self, key: ObjectKey) -> str:
        """The command that shows one object."""
        return on(self._server, f"sudo k3s kubectl describe {key.kind.lower()} -n {key.namespace} {key.name}")

    def listeners(self, port: int, node: str = "") -> str:
        """The command that shows who listens on a port of a node."""
        host = self.cluster.hosts[node] if node else self._server
        return on(host, f"sudo ss -ltnp sport = :{port}; sudo nft list ruleset | grep -w {port}")

    @property
    def _no_firewall(self) -> str:
        return ";\nthe firewall in front of the cluster lets it through as well"

    @property
    def _server(self) -> Host:
        return self.cluster.hosts[self.cluster.servers[0]]

    def _leading_from(self, path: str) -> list[Route]:
        return [route for route in self.exposure.routes(self.cluster.ollama.hostname) if route.leads_from(path)]

    def _mend(self, route: Route) -> str:
        return self.deploy if route.ours else self.describe(route.ingress)

    def _otherwise(self, why: str, next: str) -> Cause:
        """What is left when no object is the cause, if the objects are known."""
        return Cause(why if self.exposure.objects else "the objects that would say why could not be read", next)

    def _hidden_clients(self) -> Cause:
        why = "Service kube-system/traefik lacks externalTrafficPolicy Local, so the allow-list judges a node's address"
        return Cause(why, self.deploy)


def _named(keys: Iterable[ObjectKey]) -> str:
    return ", ".join(map(str, keys))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _admitting(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[str]:
    """The networks that an address is in; none for a DNS name, of which nobody knows."""
    if not _is_address(address):
        return []
    return [str(network) for network in networks if ipaddress.ip_address(address) in network]
