"""What a cluster's objects open to whom: the routes to Ollama, the ways past them, and what should not be there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scout_ollama.manifests import OWNED, KubeObject, ObjectKey, key_of

OLLAMA_PORT = 11434
ROUTER = "traefik.ingress.kubernetes.io/router."
EVERY_ENTRY_POINT = ("web", "websecure")
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")
# mcpo makes an OpenAPI server of an MCP server.
MCP = re.compile(r"(?<![a-z0-9])mcpo?(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Route:
    """One path of an Ingress that leads to Ollama; ``admitted`` are its allow-list's networks, None if it has none."""

    ingress: ObjectKey
    ours: bool
    path: str
    exact: bool
    entry_points: tuple[str, ...]
    admitted: tuple[str, ...] | None

    def leads_from(self, path: str) -> bool:
        """Whether a request for ``path`` takes this route."""
        return path == self.path if self.exact else path.startswith(self.path)


@dataclass(frozen=True)
class Exposure:
    """A cluster's objects, as far as they decide who can reach Ollama; none if the cluster could not be asked."""

    objects: Sequence[KubeObject] = ()

    def routes(self, hostname: str) -> list[Route]:
        """Return every way by which the ingress controller leads to Ollama under a name."""
        networks = dict(self._allow_lists())
        return [
            _route(ingress, path, networks)
            for ingress in self.of_kind("Ingress")
            for path in _paths(ingress["spec"], hostname)
            if self._is_ollama(ingress["metadata"]["namespace"], path["backend"].get("service", {}).get("name"))
        ]

    def hides_clients(self) -> bool:
        """Whether Traefik sees a node's address instead of its client's."""
        return any(
            service["spec"].get("externalTrafficPolicy") != "Local"
            for service in self.of_kind("Service")
            if (service["metadata"]["namespace"], service["metadata"]["name"]) == ("kube-system", "traefik")
        )

    def bypasses(self) -> list[ObjectKey]:
        """Return what exposes Ollama's port on nodes, past the ingress and its allow-list."""
        services = [
            key_of(service)
            for service in self.of_kind("Service")
            if service["spec"].get("type") in ("NodePort", "LoadBalancer") or service["spec"].get("externalIPs")
            if self._leads_to_ollama(service)
        ]
        return _once([*services, *(_owner(pod) for pod in self.of_kind("Pod") if _is_on_its_node(pod["spec"]))])

    def mcp(self) -> list[ObjectKey]:
        """Return what its name, a label or an image says is an MCP server."""
        named = [obj for obj in self.of_kind("Service", *WORKLOADS, "Pod") if any(map(MCP.search, _words(obj)))]
        return _once(_owner(obj) if obj["kind"] == "Pod" else key_of(obj) for obj in named)

    def of_kind(self, *kinds: str) -> Iterator[KubeObject]:
        """Return the objects of some kinds."""
        return (obj for obj in self.objects if obj["kind"] in kinds)

    def _allow_lists(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Each allow-list's networks, under the name that an Ingress calls it by."""
        for middleware in self.of_kind("Middleware"):
            metadata, spec = middleware["metadata"], middleware.get("spec", {})
            if "ipAllowList" in spec:
                name = f"{metadata['namespace']}-{metadata['name']}@kubernetescrd"
                yield name, tuple(spec["ipAllowList"].get("sourceRange") or ())

    def _is_ollama(self, namespace: str, name: str | None) -> bool:
        return any(
            self._leads_to_ollama(service)
            for service in self.of_kind("Service")
            if (service["metadata"]["namespace"], service["metadata"]["name"]) == (namespace, name)
        )

    def _leads_to_ollama(self, service: KubeObject) -> bool:
        """By its ports, or because it selects a pod that serves Ollama."""
        ports = service["spec"].get("ports") or []
        if any(OLLAMA_PORT in (port.get("port"), port.get("targetPort")) for port in ports):
            return True
        selector = (service["spec"].get("selector") or {}).items()
        return bool(selector) and any(
            selector <= (pod["metadata"].get("labels") or {}).items() and _serves_ollama(pod["spec"])
            for pod in self.of_kind("Pod")
            if pod["metadata"]["namespace"] == service["metadata"]["namespace"]
        )


def _paths(spec: Mapping[str, Any], hostname: str) -> Iterator[Mapping[str, Any]]:
    if "defaultBackend" in spec:
        yield {"backend": spec["defaultBackend"]}
    for rule in spec.get("rules") or []:
        if rule.get("host", hostname) == hostname:
            yield from (rule.get("http") or {}).get("paths") or []


def _route(ingress: KubeObject, path: Mapping[str, Any], networks: Mapping[str, tuple[str, ...]]) -> Route:
    annotations = ingress["metadata"].get("annotations") or {}
    lists = [networks[name] for name in _listed(annotations.get(f"{ROUTER}middlewares", "")) if name in networks]
    return Route(
        ingress=key_of(ingress),
        ours=OWNED.items() <= (ingress["metadata"].get("labels") or {}).items(),
        path=path.get("path") or "/",
        exact=path.get("pathType") == "Exact",
        entry_points=tuple(_listed(annotations.get(f"{ROUTER}entrypoints", ""))) or EVERY_ENTRY_POINT,
        admitted=tuple(network for allowed in lists for network in allowed) if lists else None,
    )


def _listed(annotation: str) -> list[str]:
    return [item.strip() for item in annotation.split(",") if item.strip()]


def _containers(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def _ports(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [port for container in _containers(spec) for port in container.get("ports") or []]


def _serves_ollama(spec: Mapping[str, Any]) -> bool:
    images = [
        re.split("[:@]", str(container.get("image", "")).rpartition("/")[2])[0] for container in _containers(spec)
    ]
    return "ollama" in images or any(port.get("containerPort") == OLLAMA_PORT for port in _ports(spec))


def _is_on_its_node(spec: Mapping[str, Any]) -> bool:
    """Whether a pod's Ollama is at its node's own address: in the node's network, or by a port of the node."""
    if spec.get("hostNetwork"):
        return _serves_ollama(spec)
    return any(
        port.get("hostPort") and OLLAMA_PORT in (port["hostPort"], port.get("containerPort")) for port in _ports(spec)
    )


def _owner(pod: KubeObject) -> ObjectKey:
    """What makes the pod: a ReplicaSet is its Deployment's, under whose name a person knows it."""
    owner = next(iter(pod["metadata"].get("ownerReferences") or []), None)
    if owner is None:
        return key_of(pod)
    kind, name = owner["kind"], owner["name"]
    if kind == "ReplicaSet":
        kind, name = "Deployment", name.rpartition("-")[0]
    return key_of({**pod, **owner, "kind": kind, "metadata": {**pod["metadata"], "name": name}})


def _words(obj: KubeObject) -> Iterator[str]:
    """Where an object says what it is: its name, its labels and its images."""
    template = obj["spec"].get("template", {})
    labels = [obj["metadata"].get("labels") or {}, template.get("metadata", {}).get("labels") or {}]
    yield obj["metadata"]["name"]
    for label in labels:
        yield from (text for item in label.items() for text in item)
    yield from (str(container.get("image", "")) for container in _containers(template.get("spec", obj["spec"])))


def _once(keys: Iterable[ObjectKey]) -> list[ObjectKey]:
    return list(dict.fromkeys(keys))
