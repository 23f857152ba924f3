"""Pod specs: pkg/apis/core/validation/validation.go."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lab.standins.kube import quantity
from lab.standins.kube.errors import (
    FieldError,
    Json,
    duplicate,
    field_not_found,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from lab.standins.kube.rules import names

Errors = Iterator[FieldError]
HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
PORT_RANGE = "must be between 1 and 65535, inclusive"
HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
MUTABLE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
    "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
    "(allow it to be set to 1 if it was previously negative)"
)


def pod_spec(spec: Json, path: str) -> Errors:
    """The spec of a pod or of a workload's template."""
    volumes = spec.get("volumes") or []
    yield from _volumes(volumes, f"{path}.volumes")
    mountable = {volume["name"] for volume in volumes}
    containers = spec.get("containers") or []
    if not containers:
        yield required(f"{path}.containers")
    seen: set[str] = set()
    ports: set[tuple[Any, ...]] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or ()):
            here = f"{path}.{group}[{index}]"
            if container["name"] in seen:
                yield duplicate(f"{here}.name", container["name"])
            seen.add(container["name"])
            yield from _container(container, here, mountable, init=group == "initContainers")
            yield from _host_ports(container, here, ports, host_network=bool(spec.get("hostNetwork")))
    policies = ("Always", "OnFailure", "Never")
    if spec.get("restartPolicy") not in policies:
        yield unsupported(f"{path}.restartPolicy", spec.get("restartPolicy"), policies)
    if spec.get("dnsPolicy") not in ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"):
        choices = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
        yield unsupported(f"{path}.dnsPolicy", spec.get("dnsPolicy"), choices)
    if spec.get("terminationGracePeriodSeconds", 0) < 0:
        text = "must be greater than or equal to 0"
        yield invalid_value(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"], text)
    yield from names.label_map(spec.get("nodeSelector") or {}, f"{path}.nodeSelector")
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        yield from _toleration(toleration, f"{path}.tolerations[{index}]")
    for name in ("runtimeClassName", "serviceAccountName", "priorityClassName"):
        if spec.get(name):
            yield from names.dns_subdomain(spec[name], f"{path}.{name}")


def _volumes(volumes: list[Json], path: str) -> Errors:
    seen: set[str] = set()
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        yield from names.dns_label(volume["name"], f"{here}.name")
        if volume["name"] in seen:
            yield duplicate(f"{here}.name", volume["name"])
        seen.add(volume["name"])
        sources = [name for name in volume if name != "name"]
        for name in sources[1:]:
            yield forbidden_field(f"{here}.{name}", "may not specify more than 1 volume type")
        if sources:
            yield from _volume_source(sources[0], volume[sources[0]], f"{here}.{sources[0]}")


def _volume_source(kind: str, source: Json, path: str) -> Errors:
    if kind == "hostPath":
        if ".." in source["path"].split("/"):
            yield invalid_value(f"{path}.path", source["path"], "must not contain '..'")
        if source.get("type") not in HOST_PATH_TYPES:
            yield unsupported(f"{path}.type", source["type"], HOST_PATH_TYPES)
    elif kind == "secret" and not source.get("secretName"):
        yield required(f"{path}.secretName")
    elif kind == "configMap" and not source.get("name"):
        yield required(f"{path}.name")
    elif kind == "nfs" and not source["path"].startswith("/"):
        yield invalid_value(f"{path}.path", source["path"], "must be an absolute path")
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        text = "must be a number between 0 and 0777 (octal), both inclusive"
        yield invalid_value(f"{path}.defaultMode", mode, text)


def _container(container: Json, path: str, mountable: set[str], *, init: bool) -> Errors:
    yield from names.dns_label(container["name"], f"{path}.name")
    if not container.get("image"):
        yield required(f"{path}.image")
    elif container["image"] != container["image"].strip():
        yield invalid_value(f"{path}.image", container["image"], "must not have leading or trailing whitespace")
    if container.get("imagePullPolicy") not in ("Always", "IfNotPresent", "Never"):
        yield unsupported(
            f"{path}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never")
        )
    yield from _ports(container.get("ports") or [], f"{path}.ports")
    for index, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{path}.env[{index}]")
    yield from _mounts(container.get("volumeMounts") or [], f"{path}.volumeMounts", mountable)
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            if init and container.get("restartPolicy") != "Always":
                yield forbidden_field(
                    f"{path}.{name}", "may not be set for init containers without restartPolicy=Always"
                )
            yield from _probe(container[name], f"{path}.{name}", once=name != "readinessProbe")
    for hook, handler in (container.get("lifecycle") or {}).items():
        if isinstance(handler, dict):
            yield from _handler(handler, f"{path}.lifecycle.{hook}")


def _ports(ports: list[Json], path: str) -> Errors:
    seen: set[str] = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        if port.get("name"):
            yield from names.port_name(port["name"], f"{here}.name")
            if port["name"] in seen:
                yield duplicate(f"{here}.name", port["name"])
            seen.add(port["name"])
        for name in ("containerPort", "hostPort"):
            number = port.get(name, 0)
            if (number or name == "containerPort") and not 1 <= number <= 65535:
                yield invalid_value(f"{here}.{name}", number, PORT_RANGE)
        if port.get("protocol") not in ("SCTP", "TCP", "UDP"):
            yield unsupported(f"{here}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))


def _host_ports(container: Json, path: str, used: set[tuple[Any, ...]], *, host_network: bool) -> Errors:
    for index, port in enumerate(container.get("ports") or ()):
        number = port.get("hostPort", 0)
        if host_network and number != port.get("containerPort"):
            text = "must match `hostPort` when `hostNetwork` is true"
            yield invalid_value(f"{path}.ports[{index}].containerPort", port.get("containerPort"), text)
        taken = (port.get("protocol"), port.get("hostIP", ""), number)
        if number and taken in used:
            yield duplicate(f"{path}.ports[{index}].hostPort", f"{taken[0]}/{taken[1]}/{number}")
        used.add(taken)


def _variable(variable: Json, path: str) -> Errors:
    name = variable["name"]
    if not re.fullmatch(r"[^=\x00-\x1f\x7f]+", name):
        yield invalid_value(f"{path}.name", name, "must consist only of printable ASCII characters other than '='")
    source = variable.get("valueFrom")
    if source is not None:
        if variable.get("value"):
            yield invalid_value(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
        if len(source) != 1:
            text = "may not have more than one field specified at a time"
            yield invalid_value(f"{path}.valueFrom", "", text if source else "must specify one of the sources")


def _mounts(mounts: list[Json], path: str, mountable: set[str]) -> Errors:
    seen: set[str] = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        if mount["name"] not in mountable:
            yield field_not_found(f"{here}.name", mount["name"])
        if mount["mountPath"] in seen:
            yield invalid_value(f"{here}.mountPath", mount["mountPath"], "must be unique")
        seen.add(mount["mountPath"])
        below = mount.get("subPath", "")
        if below.startswith("/") or ".." in below.split("/"):
            text = "must be a relative path" if below.startswith("/") else "must not contain '..'"
            yield invalid_value(f"{here}.subPath", below, text)


def _resources(resources: Json, path: str) -> Errors:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for group, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            here = f"{path}.{group}[{name}]"
            if quantity.parse(amount) < 0:
                yield invalid_value(here, amount, "must be greater than or equal to 0")
            if "/" in name:
                if quantity.parse(amount) % 1:
                    yield invalid_value(here, amount, "must be an integer")
            elif name not in ("cpu", "memory", "ephemeral-storage") and not name.startswith("hugepages-"):
                yield invalid_value(here, name, "must be a standard resource for containers")
    for name, amount in requests.items():
        here = f"{path}.requests"
        if name in limits and "/" in name and quantity.parse(amount) != quantity.parse(limits[name]):
            yield invalid_value(here, amount, f"must be equal to {name} limit of {limits[name]}")
        elif name in limits and quantity.parse(amount) > quantity.parse(limits[name]):
            yield invalid_value(here, amount, f"must be less than or equal to {name} limit of {limits[name]}")
        elif name not in limits and "/" in name:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")


def _probe(probe: Json, path: str, *, once: bool) -> Errors:
    yield from _handler(probe, path)
    for name, least in (
        ("initialDelaySeconds", 0),
        ("timeoutSeconds", 1),
        ("periodSeconds", 1),
        ("failureThreshold", 1),
    ):
        if probe.get(name, least) < least:
            yield invalid_value(f"{path}.{name}", probe[name], f"must be greater than or equal to {least}")
    if once and probe.get("successThreshold", 1) != 1:
        yield invalid_value(f"{path}.successThreshold", probe["successThreshold"], "must be 1")


def _handler(handler: Json, path: str) -> Errors:
    given = [name for name in HANDLERS if handler.get(name) is not None]
    if not given:
        yield required(path, "must specify a handler type")
    for name in given[1:]:
        yield forbidden_field(f"{path}.{name}", "may not specify more than 1 handler type")
    if given and given[0] == "exec" and not handler["exec"].get("command"):
        yield required(f"{path}.exec.command")
    if given and given[0] in ("httpGet", "tcpSocket"):
        yield from target_port(handler[given[0]]["port"], f"{path}.{given[0]}.port")
    if given and given[0] == "httpGet" and handler["httpGet"].get("scheme") not in ("HTTP", "HTTPS"):
        yield unsupported(f"{path}.httpGet.scheme", handler["httpGet"].get("scheme"), ("HTTP", "HTTPS"))


def target_port(port: Any, path: str) -> Errors:
    """A port given by number or by name."""
    if isinstance(port, int) and not 1 <= port <= 65535:
        yield invalid_value(path, port, PORT_RANGE)
    elif isinstance(port, str):
        yield from names.port_name(port, path)


def _toleration(toleration: Json, path: str) -> Errors:
    operator = toleration.get("operator", "Equal")
    if operator not in ("Equal", "Exists"):
        yield unsupported(f"{path}.operator", operator, ("Equal", "Exists"))
    if not toleration.get("key") and operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        yield invalid_value(f"{path}.operator", operator, text)
    if operator == "Exists" and toleration.get("value"):
        text = "value must be empty when `operator` is 'Exists'"
        yield invalid_value(f"{path}.operator", toleration, text)
    if toleration.get("effect") and toleration["effect"] not in EFFECTS:
        yield unsupported(f"{path}.effect", toleration["effect"], EFFECTS)
    if "tolerationSeconds" in toleration and toleration.get("effect") != "NoExecute":
        text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield invalid_value(f"{path}.effect", toleration.get("effect", ""), text)


def pod_update(new: Json, old: Json) -> Errors:
    """What may change in a pod that exists: images, deadlines and more tolerations."""

    def fixed(pod: Json) -> Json:
        spec = {
            key: value
            for key, value in pod["spec"].items()
            if key not in ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds")
        }
        for group in ("containers", "initContainers"):
            if group in spec:
                spec[group] = [{**container, "image": ""} for container in spec[group]]
        return spec

    kept = [json.dumps(toleration, sort_keys=True) for toleration in new["spec"].get("tolerations") or ()]
    if any(json.dumps(toleration, sort_keys=True) not in kept for toleration in old["spec"].get("tolerations") or ()):
        yield forbidden_field(
            "spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"
        )
    if fixed(new) != fixed(old):
        yield forbidden_field("spec", f"pod updates may not change fields other than {MUTABLE}")
