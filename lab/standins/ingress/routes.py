"""What Traefik's Kubernetes Ingress provider makes of the objects: routers, in the order they are tried. Pure."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]

ANNOTATION = "traefik.ingress.kubernetes.io/router."
KNOWN_ANNOTATIONS = ("entrypoints", "middlewares", "priority", "tls")
CLASS_ANNOTATION = "kubernetes.io/ingress.class"
CONTROLLER = "traefik.io/ingress-controller"
ENTRY_POINTS = ("web", "websecure")


class RouterError(Exception):
    """A router that Traefik leaves out, with the reason it logs."""


@dataclass(frozen=True)
class AllowList:
    """An ipAllowList middleware: networks, and what others are answered."""

    networks: tuple[str, ...]
    reject_status: int = 403


@dataclass(frozen=True)
class Router:
    """One rule of one Ingress."""

    name: str
    entry_points: tuple[str, ...]
    tls: bool  # answers TLS connections only
    host: str  # "" for every host
    path: str
    exact: bool
    allow: tuple[AllowList, ...]
    servers: tuple[str, ...]  # address:port of ready endpoints; none means 503
    wanted_priority: int = 0

    @property
    def priority(self) -> int:
        """The highest is tried first. Traefik's default is the length of the rule as it writes it."""
        if self.wanted_priority:
            return self.wanted_priority
        parts = [f"Host(`{self.host}`)"] if self.host else []
        parts.append(f"Path(`{self.path}`)" if self.exact else f"PathPrefix(`{self.path}`)")
        return len(" && ".join(parts))

    def serves(self, entry_point: str) -> bool:
        """On `web` there is no TLS, so a router with TLS answers nobody there; `websecure` adds TLS to every router."""
        return entry_point in self.entry_points and not (self.tls and entry_point == "web")


@dataclass
class Cluster:
    """The objects that routing depends on."""

    ingresses: list[Object] = field(default_factory=list)
    ingress_classes: list[Object] = field(default_factory=list)
    middlewares: list[Object] = field(default_factory=list)
    services: list[Object] = field(default_factory=list)
    endpoint_slices: list[Object] = field(default_factory=list)
    secrets: list[Object] = field(default_factory=list)


def routers(cluster: Cluster) -> tuple[list[Router], list[str]]:
    """(routers by falling priority, what Traefik would log about those it left out)."""
    made: list[Router] = []
    problems: list[str] = []
    for ingress in cluster.ingresses:
        if not _is_ours(ingress, cluster.ingress_classes):
            continue
        for number, (host, path) in enumerate(_paths(ingress)):
            try:
                made.append(_router(ingress, number, host, path, cluster))
            except RouterError as error:
                problems.append(f"{_key(ingress)}: {error}")
    made.sort(key=lambda r: (-r.priority, r.name))
    return made, problems


def _router(ingress: Object, number: int, host: str, path: Mapping[str, Any], cluster: Cluster) -> Router:
    annotations = ingress["metadata"].get("annotations") or {}
    _check_annotations(annotations)
    if not (host + (path.get("path") or "")).isprintable():
        raise RouterError("error parsing rule: not printable")
    return Router(
        name=f"{_key(ingress).replace('/', '_')}_{number}",
        entry_points=_entry_points(annotations),
        tls=_truth(annotations.get(ANNOTATION + "tls", "")),
        host=host.lower(),
        path=path.get("path") or "/",
        exact=path.get("pathType") == "Exact",
        allow=tuple(_allow_lists(annotations.get(ANNOTATION + "middlewares", ""), cluster.middlewares)),
        servers=_servers(ingress["metadata"]["namespace"], path["backend"], cluster),
        wanted_priority=_priority(annotations),
    )


def _is_ours(ingress: Object, classes: Iterable[Object]) -> bool:
    wanted = ingress["spec"].get("ingressClassName")
    if wanted is None:
        return (ingress["metadata"].get("annotations") or {}).get(CLASS_ANNOTATION, "") in ("", "traefik")
    return any(c["metadata"]["name"] == wanted and c["spec"].get("controller") == CONTROLLER for c in classes)


def _paths(ingress: Object) -> Iterable[tuple[str, Mapping[str, Any]]]:
    spec = ingress["spec"]
    if "defaultBackend" in spec:
        yield "", {"path": "/", "pathType": "Prefix", "backend": spec["defaultBackend"]}
    for rule in spec.get("rules") or []:
        for path in (rule.get("http") or {}).get("paths") or []:
            yield rule.get("host", ""), path


def _entry_points(annotations: Mapping[str, str]) -> tuple[str, ...]:
    names = _list(annotations.get(ANNOTATION + "entrypoints", "")) or list(ENTRY_POINTS)
    unknown = [name for name in names if name not in ENTRY_POINTS]
    if len(unknown) == len(names):
        raise RouterError(f"EntryPoint doesn't exist entryPointName={unknown[0]}")
    return tuple(name for name in names if name in ENTRY_POINTS)


def _priority(annotations: Mapping[str, str]) -> int:
    text = annotations.get(ANNOTATION + "priority", "0")
    try:
        return int(text)
    except ValueError:
        raise RouterError(f'router.priority: "{text}" is not a number') from None


def _check_annotations(annotations: Mapping[str, str]) -> None:
    for name in annotations:
        if name.startswith(ANNOTATION) and name.removeprefix(ANNOTATION) not in KNOWN_ANNOTATIONS:
            raise RouterError(f"this stand-in does not know the annotation {name}")


def _truth(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "t")


def _list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _allow_lists(annotation: str, middlewares: Iterable[Object]) -> Iterable[AllowList]:
    known = {f"{m['metadata']['namespace']}-{m['metadata']['name']}@kubernetescrd": m for m in middlewares}
    for name in _list(annotation):
        if name not in known:
            raise RouterError(f'middleware "{name}" does not exist')
        yield from _expand(name, known[name], known)


def _expand(name: str, middleware: Object, known: Mapping[str, Object]) -> Iterable[AllowList]:
    spec = middleware.get("spec") or {}
    if list(spec) == ["chain"]:
        namespace = middleware["metadata"]["namespace"]
        for link in spec["chain"].get("middlewares") or []:
            inner = f"{link.get('namespace') or namespace}-{link['name']}@kubernetescrd"
            if inner not in known or inner == name:
                raise RouterError(f'middleware "{inner}" does not exist')
            yield from _expand(inner, known[inner], known)
        return
    if list(spec) != ["ipAllowList"]:
        kinds = ", ".join(spec) or "none"
        known_here = f"this stand-in knows ipAllowList and chain, found {kinds}"
        raise RouterError(f'invalid middleware "{name}" configuration: invalid middleware type ({known_here})')
    yield _allow_list(name, spec["ipAllowList"])


def _allow_list(name: str, spec: Mapping[str, Any]) -> AllowList:
    unknown = sorted(set(spec) - {"sourceRange", "rejectStatusCode"})
    if unknown:
        raise RouterError(f'middleware "{name}": this stand-in does not know ipAllowList.{unknown[0]}')
    ranges = spec.get("sourceRange") or []
    if not ranges:
        raise RouterError(f'middleware "{name}": sourceRange is empty, IPAllowLister not created')
    try:
        networks = tuple(str(ipaddress.ip_network(text, strict=False)) for text in ranges)
    except ValueError as error:
        raise RouterError(f'middleware "{name}": cannot parse CIDRs {ranges}: {error}') from error
    return AllowList(networks, int(spec.get("rejectStatusCode") or 403))


def _servers(namespace: str, backend: Mapping[str, Any], cluster: Cluster) -> tuple[str, ...]:
    wanted = backend.get("service")
    if not wanted:
        raise RouterError("resource backends are not supported")
    name = wanted["name"]
    service = next((s for s in cluster.services if _key(s) == f"{namespace}/{name}"), None)
    if service is None:
        raise RouterError(f"Cannot create service error=kubernetes service not found: {namespace}/{name}")
    port = _service_port(service, wanted.get("port") or {})
    found: list[str] = []
    for slice_ in cluster.endpoint_slices:
        labels = slice_["metadata"].get("labels") or {}
        if slice_["metadata"]["namespace"] != namespace or labels.get("kubernetes.io/service-name") != name:
            continue
        numbers = [p["port"] for p in slice_.get("ports") or [] if (p.get("name") or "") == (port.get("name") or "")]
        for endpoint in slice_.get("endpoints") or []:
            if (endpoint.get("conditions") or {}).get("ready", True):
                found += [f"{address}:{number}" for address in endpoint["addresses"] for number in numbers]
    return tuple(sorted(found))


def _service_port(service: Object, wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    for port in service["spec"].get("ports") or []:
        if wanted.get("number") == port["port"] or (wanted.get("name") and wanted["name"] == port.get("name")):
            matched: Mapping[str, Any] = port
            return matched
    raise RouterError(f"Cannot create service error=service port not found: {_key(service)} {dict(wanted)}")


def _key(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"
