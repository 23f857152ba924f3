"""Cluster addresses and node ports of Services."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from lab.standins.kube.errors import ApiError, Json, invalid, invalid_value

SERVICE_NETWORK = ipaddress.ip_network("10.43.0.0/16")
NODE_PORTS = range(30000, 32768)


def allocate(new: Json, old: Json | None, services: Iterable[Json]) -> None:
    """Gives a Service what it lacks: its old addresses and ports, else free ones, as its type wants.

    Raises ApiError 422 for an address or node port that another Service has or that is out of range.
    """
    spec = new["spec"]
    before: Json = old["spec"] if old else {}
    others = [service["spec"] for service in services if service["metadata"]["uid"] != new["metadata"]["uid"]]
    if spec["type"] == "ExternalName":
        return
    if not spec.get("clusterIP"):
        spec["clusterIP"] = before.get("clusterIP") or _free_address(others)
    elif spec["clusterIP"] != "None" and spec["clusterIP"] != before.get("clusterIP"):
        _check_address(new, others)
    spec["clusterIPs"] = [spec["clusterIP"]]
    spec.setdefault("ipFamilies", ["IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _node_ports(new, before, others)


def _free_address(others: list[Json]) -> str:
    taken = {spec.get("clusterIP") for spec in others}
    # The first ten stay free for the addresses K3s hands out itself: .1 kubernetes, .10 kube-dns.
    for number in range(11, SERVICE_NETWORK.num_addresses - 1):
        address = str(SERVICE_NETWORK[number])
        if address not in taken:
            return address
    raise ApiError(500, "InternalError", "failed to allocate a serviceIP: range is full")


def _check_address(service: Json, others: list[Json]) -> None:
    address = service["spec"]["clusterIP"]
    try:
        inside = ipaddress.ip_address(address) in SERVICE_NETWORK
    except ValueError:
        return  # the rules say it better
    text = "" if inside else f"failed to allocate IP {address}: the provided IP is not in the valid range"
    if address in {spec.get("clusterIP") for spec in others}:
        text = f"failed to allocate IP {address}: provided IP is already allocated"
    if text:
        cause = invalid_value("spec.clusterIPs", [address], text)
        raise invalid("Service", "", service["metadata"]["name"], [cause])


def _node_ports(service: Json, before: Json, others: list[Json]) -> None:
    old = {(port["port"], port["protocol"]): port.get("nodePort") for port in before.get("ports") or ()}
    taken = {port.get("nodePort") for spec in others for port in spec.get("ports") or ()}
    for index, port in enumerate(service["spec"].get("ports") or ()):
        given = port.get("nodePort")
        if not given:
            port["nodePort"] = old.get((port["port"], port["protocol"])) or next(
                n for n in NODE_PORTS if n not in taken
            )
        elif given in taken or given not in NODE_PORTS:
            text = "provided port is already allocated"
            if given not in NODE_PORTS:
                text = "provided port is not in the valid range. The range of valid ports is 30000-32767"
            cause = invalid_value(f"spec.ports[{index}].nodePort", given, text)
            raise invalid("Service", "", service["metadata"]["name"], [cause])
        taken.add(port["nodePort"])
