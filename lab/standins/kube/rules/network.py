"""Services, Ingresses and NetworkPolicies: pkg/apis/core/validation and pkg/apis/networking/validation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from lab.standins.kube.errors import FieldError, Json, duplicate, forbidden_field, invalid_value, required, unsupported
from lab.standins.kube.rules import names, pods

Errors = Iterator[FieldError]


def service(obj: Json) -> Errors:
    """Services."""
    spec = obj["spec"]
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    if spec["type"] not in kinds:
        yield unsupported("spec.type", spec["type"], kinds)
    ports = spec.get("ports") or []
    if not ports and spec["type"] != "ExternalName" and spec.get("clusterIP") != "None":
        yield required("spec.ports")
    if spec["type"] == "ExternalName" and not spec.get("externalName"):
        yield required("spec.externalName")
    given: set[str] = set()
    used: set[tuple[int, str]] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        yield from _service_port(port, path, alone=len(ports) == 1)
        if port.get("name") and port["name"] in given:
            yield duplicate(f"{path}.name", port["name"])
        if (port["port"], port["protocol"]) in used:
            yield duplicate(path, {"port": port["port"], "protocol": port["protocol"]})
        given.add(port.get("name", ""))
        used.add((port["port"], port["protocol"]))
    yield from names.label_map(spec.get("selector") or {}, "spec.selector")
    address = spec.get("clusterIP")
    if address and address != "None" and not _is_address(address):
        text = "must be empty, 'None', or a valid IP address"
        yield invalid_value("spec.clusterIPs[0]", address, text)


def _service_port(port: Json, path: str, *, alone: bool) -> Errors:
    if not port.get("name"):
        if not alone:
            yield required(f"{path}.name")
    else:
        yield from names.dns_label(port["name"], f"{path}.name")
    if not 1 <= port["port"] <= 65535:
        yield invalid_value(f"{path}.port", port["port"], "must be between 1 and 65535, inclusive")
    if port["protocol"] not in ("SCTP", "TCP", "UDP"):
        yield unsupported(f"{path}.protocol", port["protocol"], ("SCTP", "TCP", "UDP"))
    yield from pods.target_port(port["targetPort"], f"{path}.targetPort")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def service_change(new: Json, old: Json) -> Errors:
    """A Service keeps its address."""
    before, after = old["spec"].get("clusterIP"), new["spec"].get("clusterIP")
    if before and before != after and new["spec"]["type"] != "ExternalName" and old["spec"]["type"] != "ExternalName":
        yield invalid_value("spec.clusterIPs[0]", [after] if after else [], "may not change once set")


def ingress(obj: Json) -> Errors:
    """Ingresses."""
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        yield invalid_value("spec", spec, "either `defaultBackend` or `rules` must be specified")
    for index, entry in enumerate(spec.get("tls") or ()):
        for place, host in enumerate(entry.get("hosts") or ()):
            yield from _host(host, f"spec.tls[{index}].hosts[{place}]")
    if spec.get("defaultBackend"):
        yield from _backend(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules") or ()):
        here = f"spec.rules[{index}]"
        if rule.get("host"):
            yield from _host(rule["host"], f"{here}.host")
        paths = (rule.get("http") or {}).get("paths") or ()
        if "http" in rule and not paths:
            yield required(f"{here}.http.paths")
        for place, entry in enumerate(paths):
            yield from _ingress_path(entry, f"{here}.http.paths[{place}]")


def _host(host: str, path: str) -> Errors:
    if _is_address(host):
        yield invalid_value(path, host, "must be a DNS name, not an IP address")
    else:
        yield from names.dns_subdomain(host.removeprefix("*."), path)


def _ingress_path(entry: Json, path: str) -> Errors:
    kinds = ("Exact", "ImplementationSpecific", "Prefix")
    if entry["pathType"] not in kinds:
        yield unsupported(f"{path}.pathType", entry["pathType"], kinds)
    text = entry.get("path", "")
    if entry["pathType"] in ("Exact", "Prefix") or text:
        if not text.startswith("/"):
            yield invalid_value(f"{path}.path", text, "must be an absolute path")
        for bad in ("//", "/./", "/../", "%2f", "%2F"):
            if bad in text and entry["pathType"] != "ImplementationSpecific":
                yield invalid_value(f"{path}.path", text, f"must not contain '{bad}'")
    yield from _backend(entry["backend"], f"{path}.backend")


def _backend(backend: Json, path: str) -> Errors:
    service = backend.get("service")
    if not service and not backend.get("resource"):
        yield required(path, "must specify service or resource backend")
    if service:
        port = service.get("port") or {}
        if not port.get("name") and not port.get("number"):
            yield required(path, "port name or number is required")
        elif port.get("name") and port.get("number"):
            yield invalid_value(f"{path}.service.port", port, "cannot set both port name & port number")
        elif port.get("number") and not 1 <= port["number"] <= 65535:
            text = "must be between 1 and 65535, inclusive"
            yield invalid_value(f"{path}.service.port.number", port["number"], text)


def network_policy(obj: Json) -> Errors:
    """NetworkPolicies."""
    spec = obj["spec"]
    for index, name in enumerate(spec["policyTypes"]):
        if name not in ("Egress", "Ingress"):
            yield unsupported(f"spec.policyTypes[{index}]", name, ("Egress", "Ingress"))
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or ()):
            for place, peer in enumerate(rule.get(peers) or ()):
                path = f"spec.{direction}[{index}].{peers}[{place}]"
                if not peer:
                    yield required(path, "must specify a peer")
                if peer.get("ipBlock") and len(peer) > 1:
                    yield forbidden_field(path, "may not specify both ipBlock and another peer")
                if peer.get("ipBlock"):
                    yield from _block(peer["ipBlock"], f"{path}.ipBlock")
            for place, port in enumerate(rule.get("ports") or ()):
                if "port" in port:
                    yield from pods.target_port(port["port"], f"spec.{direction}[{index}].ports[{place}].port")


def _block(block: Json, path: str) -> Errors:
    cidrs = [("cidr", block["cidr"]), *((f"except[{i}]", cidr) for i, cidr in enumerate(block.get("except") or ()))]
    for name, cidr in cidrs:
        if "/" not in cidr or not _is_network(cidr):
            text = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            yield invalid_value(f"{path}.{name}", cidr, text)


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
