"""The addresses of LoadBalancer Services, as K3s's servicelb publishes them. Pure."""

from collections.abc import Iterable

from lab.standins.k3s.objects import Object, is_true, labels_of, name_of, namespace_of
from lab.standins.k3s.writes import Write, status


def reconcile(service: Object, nodes: Iterable[Object], slices: Iterable[Object]) -> list[Write]:
    """All ready nodes; with externalTrafficPolicy Local those with a ready endpoint."""
    if service["spec"].get("type") != "LoadBalancer":
        return []
    ready = {name_of(n): n for n in nodes if is_true(n, "Ready")}
    with_endpoint = {
        endpoint.get("nodeName")
        for s in slices
        if namespace_of(s) == namespace_of(service)
        and labels_of(s).get("kubernetes.io/service-name") == name_of(service)
        for endpoint in s.get("endpoints") or []
        if endpoint["conditions"]["ready"]
    }
    local = service["spec"].get("externalTrafficPolicy") == "Local"
    names = sorted(name for name in ready if not local or name in with_endpoint)
    ingress = [{"ip": _address(ready[name]), "ipMode": "VIP"} for name in names]
    return status("v1/services", service, {"loadBalancer": {"ingress": ingress} if ingress else {}})


def _address(node: Object) -> str:
    addresses = node["status"].get("addresses") or []
    return next((str(a["address"]) for a in addresses if a["type"] == "InternalIP"), "")
