"""EndpointSlices and Endpoints of Services with a selector, from their ready pods. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.controllers.pods import is_finished, is_ready
from lab.standins.k3s.objects import Object, is_deleted, labels_of, name_of, namespace_of, owner_reference, uid_of
from lab.standins.k3s.probes import port_number
from lab.standins.k3s.selectors import matches
from lab.standins.k3s.writes import Create, Patch, Write

SLICES = "discovery.k8s.io/v1/endpointslices"
SERVICE_NAME = "kubernetes.io/service-name"


def reconcile(
    service: Object, pods: Iterable[Object], slices: Iterable[Object], endpoints: Iterable[Object]
) -> list[Write]:
    """One slice and one Endpoints object for the service."""
    selector = service["spec"].get("selector")
    if not selector or is_deleted(service) or service["spec"].get("type") == "ExternalName":
        return []
    chosen = sorted(
        (
            p
            for p in pods
            if namespace_of(p) == namespace_of(service)
            and matches({"matchLabels": selector}, labels_of(p))
            and (p.get("status") or {}).get("podIP")
            and not is_finished(p)
        ),
        key=name_of,
    )
    wanted_slice = _slice(service, chosen)
    mine = next((s for s in slices if _belongs(s, service)), None)
    writes = _write(SLICES, wanted_slice, mine, ("endpoints", "ports"))
    key = (namespace_of(service), name_of(service))
    current = next((e for e in endpoints if (namespace_of(e), name_of(e)) == key), None)
    return writes + _write("v1/endpoints", _endpoints(service, chosen), current, ("subsets",))


def _belongs(slice_: Object, service: Object) -> bool:
    return namespace_of(slice_) == namespace_of(service) and labels_of(slice_).get(SERVICE_NAME) == name_of(service)


def _write(collection: str, wanted: Object, current: Object | None, fields: tuple[str, ...]) -> list[Write]:
    if current is None:
        return [Create(collection, wanted)]
    changed = {f: wanted[f] for f in fields if (current.get(f) or []) != wanted[f]}
    return [Patch(collection, current, changed)] if changed else []


def _slice(service: Object, pods: list[Object]) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name_of(service)}-{uid_of(service)[:5]}",
            "namespace": namespace_of(service),
            "labels": {
                **labels_of(service),
                SERVICE_NAME: name_of(service),
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
            },
            "ownerReferences": [owner_reference(service)],
        },
        "addressType": "IPv4",
        "endpoints": [_endpoint(pod, service) for pod in pods],
        "ports": _ports(service, pods),
    }


def _endpoint(pod: Object, service: Object) -> Object:
    ready = is_ready(pod) or bool(service["spec"].get("publishNotReadyAddresses"))
    serving = any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or [])
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": is_deleted(pod)},
        "nodeName": pod["spec"].get("nodeName", ""),
        "targetRef": {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)},
    }


def _ports(service: Object, pods: list[Object]) -> list[Object]:
    found = []
    for port in service["spec"].get("ports") or []:
        number = _target(port, pods)
        if number:
            found.append({"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")})
    return found


def _target(port: Object, pods: list[Object]) -> int:
    """The pods' port; one named in the Service is looked up in the first pod that has the name."""
    target: int | str = port["targetPort"] if "targetPort" in port else port["port"]
    if isinstance(target, int):
        return target
    containers = [c for pod in pods for c in pod["spec"]["containers"]]
    return next((n for n in (port_number(target, c) for c in containers) if n), 0)


def _endpoints(service: Object, pods: list[Object]) -> Object:
    by_readiness: dict[str, list[Object]] = {"addresses": [], "notReadyAddresses": []}
    for pod in pods:
        if is_deleted(pod):
            continue
        address = {"ip": pod["status"]["podIP"], "nodeName": pod["spec"].get("nodeName", "")}
        address["targetRef"] = {"kind": "Pod", "namespace": namespace_of(pod), "name": name_of(pod), "uid": uid_of(pod)}
        by_readiness["addresses" if is_ready(pod) else "notReadyAddresses"].append(address)
    filled = {key: addresses for key, addresses in by_readiness.items() if addresses}
    ports = [{k: v for k, v in p.items() if v} for p in _ports(service, pods)]
    return {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": name_of(service), "namespace": namespace_of(service), "labels": labels_of(service)},
        "subsets": [{**filled, "ports": ports}] if filled else [],
    }
