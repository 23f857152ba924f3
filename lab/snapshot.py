"""What a whole lab looks like, for tests that nothing changed: all files of its hosts, all objects of its clusters."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from lab.lab import Lab
from lab.labhost import LabHost

_LIST_FILES = ("python3", "-I", "-B", "/opt/lab/src/lab/host/list_files.py")
# Paths, with what is below them, that change by themselves or are not the host's own.
_STORE = "/var/lib/rancher/k3s/server/objects.sqlite"
_CONTROL_PLANE = "/var/lib/rancher/k3s/server/control-plane"
_LEFT_OUT = {
    "/proc": "the kernel's",
    "/sys": "the kernel's",
    "/dev/pts": "terminals of sessions",
    "/opt/lab/nfs": "what other hosts export; a host's own exports are in /srv/nfs",
    "/opt/lab/src/lab": "this checkout, read-only",
    "/root/.kube": "kubectl's cache of what the API offers",
    "/run/motd.dynamic": "written when somebody logs in",
    "/run/netns": "network namespaces of pods, which cannot be read as files",
    "/var/cache/lab-python": "compiled modules of the stand-ins",
    "/var/log/journal": "what units say",
    "/var/log/pods": "what pods say",
    **dict.fromkeys(("/var/log/btmp", "/var/log/lastlog", "/var/log/wtmp"), "who logged in or failed to"),
    **dict.fromkeys(
        (_STORE, f"{_STORE}-shm", f"{_STORE}-wal", _CONTROL_PLANE), "the API's store: its objects are looked at instead"
    ),
}
_KINDS_LEFT_OUT = {
    "events": "the cluster's log",
    "leases.coordination.k8s.io": "renewed every few seconds by who holds them",
}

Object = dict[str, Any]
Properties = dict[str, str]


class Key(NamedTuple):
    """What names an object in its cluster."""

    api: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Snapshot:
    """Files of each host by their path; objects of each cluster, under the name of its first server."""

    files: dict[str, dict[str, Properties]]
    objects: dict[str, dict[Key, Object]]


def take(lab: Lab) -> Snapshot:
    """Look at every host and every cluster of a lab. Raises ``Trouble`` if one of them is off."""
    with ThreadPoolExecutor() as pool:
        hosts, servers = lab.hosts, lab.servers
        files = pool.map(partial(_files, since=lab.made_at), hosts)
        objects = pool.map(_objects, servers)
        return Snapshot(
            {host.name: found for host, found in zip(hosts, files, strict=True)},
            {server.name: found for server, found in zip(servers, objects, strict=True)},
        )


def difference(before: Snapshot, after: Snapshot) -> list[str]:
    """What changed, a line each: ``phi-gpu-1: /etc/x is new``, ``phi-gpu-1: ConfigMap default/a changed: data.x``."""
    return [
        f"{host}: {line}"
        for old, new in ((before.files, after.files), (before.objects, after.objects))
        for host in old
        for line in _changes(old[host], new[host])
    ]


def _files(host: LabHost, since: int) -> dict[str, Properties]:
    found: dict[str, Properties] = json.loads(host.run([*_LIST_FILES, str(since), *_LEFT_OUT]).stdout)
    return found


def _objects(server: LabHost) -> dict[Key, Object]:
    kubectl = ["k3s", "kubectl"]
    kinds = server.run([*kubectl, "api-resources", "--verbs=list", "--output=name"]).stdout.split()
    wanted = ",".join(kind for kind in kinds if kind not in _KINDS_LEFT_OUT)
    listed = server.run([*kubectl, "get", wanted, "--all-namespaces", "--show-managed-fields", "--output=json"]).stdout
    return {_key(obj): _lasting(obj) for obj in json.loads(listed)["items"]}


def _key(obj: Object) -> Key:
    metadata = obj["metadata"]
    return Key(obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"])


def _lasting(obj: Object) -> Object:
    """An object without what its node reports every few seconds."""
    if obj["kind"] == "Node":
        del obj["metadata"]["resourceVersion"]
        reports = obj["metadata"].get("managedFields", [])
        for report in reports:
            report.pop("time", None)
        # The API keeps them in the order of their times.
        reports.sort(key=lambda report: [report.get(name, "") for name in ("manager", "operation", "subresource")])
        for condition in obj["status"].get("conditions", []):
            condition.pop("lastHeartbeatTime", None)
    return obj


def _changes(before: Any, after: Any) -> Iterator[str]:
    for key in sorted({*before, *after}):
        if key not in before:
            yield f"{key} is new"
        elif key not in after:
            yield f"{key} is gone"
        elif paths := list(_differing(before[key], after[key])):
            yield f"{key} changed: {', '.join(paths)}"


def _differing(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """The paths below which two documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from _differing(before.get(name), after.get(name), f"{at}.{name}" if at else name)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _differing(old, new, f"{at}[{number}]")
    elif before != after:
        yield at
