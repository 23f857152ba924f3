"""Server-side printing: the Table that `kubectl get` shows, with the columns of pkg/printers/internalversion."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lab.standins.kube.errors import Json
from lab.standins.kube.resources import Resource

Row = list[Any]
# Column names; those in brackets are for `-o wide`.
COLUMNS: dict[str, str] = {
    "Pod": "Name Ready Status Restarts Age [IP] [Node] [Nominated-Node] [Readiness-Gates]",
    "Node": "Name Status Roles Age Version [Internal-IP] [External-IP] [OS-Image] [Kernel-Version] [Container-Runtime]",
    "Namespace": "Name Status Age",
    "Service": "Name Type Cluster-IP External-IP Port(s) Age [Selector]",
    "Endpoints": "Name Endpoints Age",
    "Secret": "Name Type Data Age",
    "ConfigMap": "Name Data Age",
    "ServiceAccount": "Name Secrets Age",
    "Event": "Last-Seen Type Reason Object [Subobject] [Source] Message [First-Seen] [Count] [Name]",
    "DaemonSet": "Name Desired Current Ready Up-to-date Available Node-Selector Age [Containers] [Images] [Selector]",
    "Deployment": "Name Ready Up-to-date Available Age [Containers] [Images] [Selector]",
    "ReplicaSet": "Name Desired Current Ready Age [Containers] [Images] [Selector]",
    "StatefulSet": "Name Ready Age [Containers] [Images]",
    "Job": "Name Status Completions Duration Age [Containers] [Images] [Selector]",
    "Ingress": "Name Class Hosts Address Ports Age",
    "IngressClass": "Name Controller Parameters Age",
    "NetworkPolicy": "Name Pod-Selector Age",
    "RuntimeClass": "Name Handler Age",
    "PriorityClass": "Name Value Global-Default Age PreemptionPolicy",
    "Lease": "Name Holder Age",
    "CustomResourceDefinition": "Name Created-At",
}


def age(since: str | None) -> str:
    """How long ago a time was, as kubectl writes durations: 45s, 3m12s, 5h, 12d."""
    if not since:
        return "<unknown>"
    then = datetime.fromisoformat(since.replace("Z", "+00:00"))
    return _duration(int((datetime.now(UTC) - then).total_seconds()))


def _duration(seconds: int) -> str:
    seconds = max(seconds, 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m" + (f"{seconds % 60}s" if seconds % 60 else "")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h" + (f"{minutes % 60}m" if minutes % 60 else "")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d" + (f"{hours % 24}h" if hours % 24 else "")
    return f"{days}d"


def table(resource: Resource, objects: list[Json], metadata: Json, include: str, *, header: bool = True) -> Json:
    """The Table of some objects; `include` is what each row carries of its object: None, Metadata or Object."""
    columns, cells = _printer(resource)
    rows = [{"cells": cells(obj), **_carried(obj, include)} for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns if header else None,
        "rows": rows,
    }


def partial(obj: Json) -> Json:
    """An object's PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def _carried(obj: Json, include: str) -> Json:
    if include == "None":
        return {}
    return {"object": obj if include == "Object" else partial(obj)}


def _printer(resource: Resource) -> tuple[list[Json], Callable[[Json], Row]]:
    if resource.kind in CELLS and not resource.custom:
        names, cells = COLUMNS[resource.kind].split(), CELLS[resource.kind]
        columns = [_column(name.strip("[]").replace("-", " "), 1 if name.startswith("[") else 0) for name in names]
        for column, name in zip(columns, names, strict=True):
            if name in ("Cluster-IP", "External-IP", "Up-to-date", "Internal-IP"):
                column["name"] = name
        return columns, cells
    if resource.columns:
        columns = [_column("Name", 0)] + [_column(c.name, c.priority) for c in resource.columns]
        return columns, lambda obj: [obj["metadata"]["name"], *(_at(obj, c.path, c.type) for c in resource.columns)]
    columns = [_column("Name", 0), _column("Created At" if not resource.custom else "Age", 0)]
    if resource.custom:
        return columns, lambda obj: [obj["metadata"]["name"], age(obj["metadata"].get("creationTimestamp"))]
    return columns, lambda obj: [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")]


def _column(name: str, priority: int) -> Json:
    form = "name" if name == "Name" else ""
    return {"name": name, "type": "string", "format": form, "description": "", "priority": priority}


def _at(obj: Json, path: str, kind: str) -> Any:
    """The value at a simple JSON path: .spec.a.b[0].c, or a filter [?(@.type=="Ready")]."""
    value: Any = obj
    for step in re.findall(r'\.([\w-]+)|\[(\d+)\]|\[\?\(@\.(\w+)\s*==\s*"([^"]*)"\)\]', path):
        name, index, key, wanted = step
        if name:
            value = value.get(name) if isinstance(value, dict) else None
        elif not isinstance(value, list):
            value = None
        elif index:
            value = value[int(index)] if int(index) < len(value) else None
        else:
            value = next((item for item in value if item.get(key) == wanted), None)
    if kind == "date":
        return age(value)
    return json.dumps(value) if isinstance(value, dict | list) else value


def _aged(obj: Json) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _name(obj: Json) -> str:
    return str(obj["metadata"]["name"])


def _selector(selector: Json | None) -> str:
    labels = (selector or {}).get("matchLabels") or {}
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "<none>"


def _containers(template: Json) -> tuple[str, str]:
    found = template.get("spec", {}).get("containers") or []
    return ",".join(c["name"] for c in found), ",".join(c.get("image", "") for c in found)


def _pod_state(pod: Json) -> str:
    """The STATUS column: the phase, unless a container or a deletion says more."""
    status = pod.get("status", {})
    state = status.get("reason") or status.get("phase", "Pending")
    for container in status.get("initContainerStatuses") or ():
        waiting, ended = (container.get("state", {}).get(name) for name in ("waiting", "terminated"))
        if ended and ended.get("exitCode"):
            return f"Init:{ended.get('reason') or 'Error'}"
        if waiting and waiting.get("reason") not in (None, "PodInitializing"):
            return f"Init:{waiting['reason']}"
    for container in reversed(status.get("containerStatuses") or ()):
        for name in ("waiting", "terminated"):
            reason = container.get("state", {}).get(name, {}).get("reason")
            if reason:
                state = reason
    return "Terminating" if pod["metadata"].get("deletionTimestamp") else state


def _pod(pod: Json) -> Row:
    status, containers = pod.get("status", {}), pod["spec"]["containers"]
    found = status.get("containerStatuses") or []
    ready = sum(bool(container.get("ready")) for container in found)
    restarts = sum(container.get("restartCount", 0) for container in found)
    ends = [c.get("lastState", {}).get("terminated", {}).get("finishedAt") for c in found]
    last = max(filter(None, ends), default=None)
    shown = f"{restarts} ({age(last)} ago)" if restarts and last else str(restarts)
    row: Row = [_name(pod), f"{ready}/{len(containers)}", _pod_state(pod), shown, _aged(pod)]
    return [*row, status.get("podIP", "<none>"), pod["spec"].get("nodeName", "<none>"), "<none>", "<none>"]


def _node(node: Json) -> Row:
    status, labels = node.get("status", {}), node["metadata"].get("labels") or {}
    ready = next((c["status"] for c in status.get("conditions") or () if c["type"] == "Ready"), "Unknown")
    state = {"True": "Ready", "False": "NotReady"}.get(ready, "NotReady" if status.get("conditions") else "Unknown")
    if node["spec"].get("unschedulable"):
        state += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or "<none>"
    info = status.get("nodeInfo", {})
    found = {a["type"]: a["address"] for a in status.get("addresses") or ()}
    wide = [found.get("InternalIP", "<none>"), found.get("ExternalIP", "<none>"), info.get("osImage", "<unknown>")]
    wide += [info.get("kernelVersion", "<unknown>"), info.get("containerRuntimeVersion", "<unknown>")]
    return [_name(node), state, roles, _aged(node), info.get("kubeletVersion", ""), *wide]


def _service(service: Json) -> Row:
    spec = service["spec"]
    ports = [
        f"{p['port']}:{p['nodePort']}/{p['protocol']}" if p.get("nodePort") else f"{p['port']}/{p['protocol']}"
        for p in spec.get("ports") or ()
    ]
    found = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    external = ",".join(i.get("ip") or i.get("hostname", "") for i in found) or "<none>"
    if spec["type"] == "LoadBalancer" and not found:
        external = "<pending>"
    pairs = ",".join(f"{k}={v}" for k, v in sorted((spec.get("selector") or {}).items())) or "<none>"
    return [
        _name(service),
        spec["type"],
        spec.get("clusterIP", "<none>"),
        external,
        ",".join(ports) or "<none>",
        _aged(service),
        pairs,
    ]


def _endpoints(obj: Json) -> Row:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for address in subset.get("addresses") or ()
        for port in subset.get("ports") or ()
    ]
    return [
        _name(obj),
        ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "") or "<none>",
        _aged(obj),
    ]


def _event(event: Json) -> Row:
    about = event["involvedObject"]
    last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    place = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    source = (event.get("source") or {}).get("component", "") or event.get("reportingComponent", "")
    row: Row = [age(last), event.get("type", ""), event.get("reason", ""), place, about.get("fieldPath", ""), source]
    return [
        *row,
        event.get("message", "").strip(),
        age(event.get("firstTimestamp")),
        event.get("count", 1),
        _name(event),
    ]


def _daemon_set(obj: Json) -> Row:
    status, spec = obj.get("status", {}), obj["spec"]
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    nodes = (spec["template"].get("spec") or {}).get("nodeSelector") or {}
    pairs = ",".join(f"{key}={value}" for key, value in sorted(nodes.items())) or "<none>"
    wide = [*_containers(spec["template"]), _selector(spec.get("selector"))]
    return [_name(obj), *(status.get(name, 0) for name in counts), pairs, _aged(obj), *wide]


def _deployment(obj: Json) -> Row:
    status, spec = obj.get("status", {}), obj["spec"]
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    row: Row = [_name(obj), ready, status.get("updatedReplicas", 0), status.get("availableReplicas", 0), _aged(obj)]
    return [*row, *_containers(spec["template"]), _selector(spec.get("selector"))]


def _replica_set(obj: Json) -> Row:
    status, spec = obj.get("status", {}), obj["spec"]
    row: Row = [
        _name(obj),
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _aged(obj),
    ]
    return [*row, *_containers(spec.get("template") or {}), _selector(spec.get("selector"))]


def _stateful_set(obj: Json) -> Row:
    ready = f"{obj.get('status', {}).get('readyReplicas', 0)}/{obj['spec'].get('replicas', 0)}"
    return [_name(obj), ready, _aged(obj), *_containers(obj["spec"]["template"])]


def _job(obj: Json) -> Row:
    status, spec = obj.get("status", {}), obj["spec"]
    conditions = {c["type"] for c in status.get("conditions") or () if c["status"] == "True"}
    state = next((name for name in ("Complete", "Failed", "Suspended") if name in conditions), "Running")
    completions = f"{status.get('succeeded', 0)}/{spec.get('completions') or spec.get('parallelism', 1)}"
    taken = ""
    if status.get("startTime"):
        end = status.get("completionTime")
        until = datetime.fromisoformat(end.replace("Z", "+00:00")) if end else datetime.now(UTC)
        start = datetime.fromisoformat(status["startTime"].replace("Z", "+00:00"))
        taken = _duration(int((until - start).total_seconds()))
    row: Row = [_name(obj), state, completions, taken, _aged(obj)]
    return [*row, *_containers(spec["template"]), _selector(spec.get("selector"))]


def _ingress(obj: Json) -> Row:
    spec = obj["spec"]
    hosts = ",".join(rule["host"] for rule in spec.get("rules") or () if rule.get("host")) or "*"
    found = obj.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    address = ",".join(i.get("ip") or i.get("hostname", "") for i in found)
    ports = "80, 443" if spec.get("tls") else "80"
    return [_name(obj), spec.get("ingressClassName", "<none>"), hosts, address, ports, _aged(obj)]


CELLS: dict[str, Callable[[Json], Row]] = {
    "Pod": _pod,
    "Node": _node,
    "Namespace": lambda obj: [_name(obj), obj.get("status", {}).get("phase", ""), _aged(obj)],
    "Service": _service,
    "Endpoints": _endpoints,
    "Secret": lambda obj: [_name(obj), obj.get("type", ""), len(obj.get("data") or {}), _aged(obj)],
    "ConfigMap": lambda obj: [
        _name(obj),
        len({**(obj.get("data") or {}), **(obj.get("binaryData") or {})}),
        _aged(obj),
    ],
    "ServiceAccount": lambda obj: [_name(obj), len(obj.get("secrets") or ()), _aged(obj)],
    "Event": _event,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "ReplicaSet": _replica_set,
    "StatefulSet": _stateful_set,
    "Job": _job,
    "Ingress": _ingress,
    "IngressClass": lambda obj: [_name(obj), obj.get("spec", {}).get("controller", ""), "<none>", _aged(obj)],
    "NetworkPolicy": lambda obj: [_name(obj), _selector(obj["spec"].get("podSelector")), _aged(obj)],
    "RuntimeClass": lambda obj: [_name(obj), obj["handler"], _aged(obj)],
    "PriorityClass": lambda obj: [
        _name(obj),
        obj.get("value", 0),
        obj.get("globalDefault", False),
        _aged(obj),
        obj.get("preemptionPolicy", ""),
    ],
    "Lease": lambda obj: [_name(obj), obj.get("spec", {}).get("holderIdentity", ""), _aged(obj)],
    "CustomResourceDefinition": lambda obj: [_name(obj), obj["metadata"].get("creationTimestamp")],
}
