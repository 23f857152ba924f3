"""How far the GPU operator is in a cluster: one reading of everything that tells, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from scout_ollama.facts import Section, Sections, facts_script, no_answer, parse_sections
from scout_ollama.inventory import Host
from scout_ollama.kube_json import objects_in
from scout_ollama.kube_shapes import CONDITIONS, METADATA, TEXTS
from scout_ollama.manifests import KubeObject
from scout_ollama.outside import from_json, understood, whole
from scout_ollama.remote import Reader
from scout_ollama.shapes import check

CHARTS = "kube-system"
"""Namespace of the HelmChart and of the Job that K3s makes of it."""
NAMESPACE = "gpu-operator"
"""Namespace of the release, and of everything that the operator makes."""
JOB = "helm-install-gpu-operator"
RESOURCE = "nvidia.com/gpu"


@dataclass(frozen=True)
class Holder:
    """A running pod that has GPUs of a node."""

    namespace: str
    pod: str
    gpus: int

    def __str__(self) -> str:
        """As a person names it."""
        return f"{self.namespace}/{self.pod}"


@dataclass(frozen=True)
class HelmChart:
    """What is known of the live HelmChart object.

    ``applied`` is when a field of its spec was last set, ``age`` the seconds since then by the server's clock.
    """

    name: str
    applied: datetime
    age: float
    is_going: bool
    failure: str


@dataclass(frozen=True)
class OperatorState:
    """One reading. ``releases`` are the labels of Helm's release Secrets, the newest first."""

    chart: HelmChart | None
    job: KubeObject | None = None
    releases: tuple[Mapping[str, str], ...] = ()
    objects: tuple[KubeObject, ...] = field(default=(), repr=False)
    operators: tuple[KubeObject, ...] = field(default=(), repr=False)
    policies: tuple[KubeObject, ...] = ()
    nodes: Mapping[str, KubeObject] = field(default_factory=dict, repr=False)
    holders: Mapping[str, tuple[Holder, ...]] = field(default_factory=dict)

    def allocatable(self, node: str) -> int:
        """Return how many GPUs Kubernetes can give out on a node."""
        return int(self.nodes.get(node, {}).get("status", {}).get("allocatable", {}).get(RESOURCE, 0))

    def labels(self, node: str) -> Mapping[str, str]:
        """Return the labels of a node."""
        labels: Mapping[str, str] = self.nodes.get(node, {}).get("metadata", {}).get("labels", {})
        return labels


SCRIPT = "gpu-operator-state"
# Every section but "policies": that kind comes with the chart.
ALWAYS_THERE = (
    "clock",
    "chart",
    "jobs",
    "jobs.events",
    "releases",
    "operators",
    "objects",
    "events",
    "nodes",
    "holders",
)


def read(remote: Reader) -> OperatorState:
    """Read it through one of the cluster's servers.

    Raises:
        RemoteError: the host cannot be reached.
        Trouble: the cluster's Kubernetes API does not answer as it should.
    """
    script = facts_script("together", SCRIPT)
    return parsed(parse_sections(remote.read(script, sudo=True, timeout=60).stdout), remote.host)


def parsed(said: Sections, host: Host) -> OperatorState:
    """Return what the script said, on whichever server of the cluster.

    Raises:
        Trouble: the cluster's Kubernetes API does not answer as it should.
    """
    sections = Sections({name.removeprefix("gpu."): part for name, part in said.items() if name.startswith("gpu.")})
    for name in ALWAYS_THERE:
        if not sections[name].ok:
            raise no_answer(host, sections[name])
    with understood(host.name, SCRIPT):
        return _state(sections)


def _state(sections: Sections) -> OperatorState:
    around_job = [*_items(sections["jobs"]), *_items(sections["jobs.events"])]
    releases = _lines(sections["releases"].text)
    check(releases, [TEXTS])
    return OperatorState(
        chart=_chart(sections["chart"].text, whole(sections["clock"].text or "0")),
        job=next((obj for obj in around_job if obj["kind"] == "Job" and obj["metadata"]["name"] == JOB), None),
        releases=tuple(sorted(releases, key=lambda labels: whole(labels.get("version", "0")), reverse=True)),
        objects=(*around_job, *_items(sections["objects"]), *_items(sections["events"])),
        operators=tuple(_items(sections["operators"])),
        policies=tuple(_items(sections["policies"])) if sections["policies"].ok else (),
        nodes={node["metadata"]["name"]: node for node in _items(sections["nodes"])},
        holders=_holders(sections["holders"].text),
    )


def _items(section: Section) -> list[KubeObject]:
    return objects_in(section.text)


def _lines(text: str) -> list[Any]:
    return [from_json(line) for line in text.splitlines() if line.strip()]


def _chart(text: str, clock: int) -> HelmChart | None:
    lines = _lines(text)
    if not lines:
        return None
    metadata, status = lines[0], lines[1] if len(lines) > 1 else {}
    check(metadata, {**METADATA, "creationTimestamp!": str})
    check(status, {"conditions": CONDITIONS})
    times = [entry["time"] for entry in metadata.get("managedFields", []) if "f:spec" in entry.get("fieldsV1", {})]
    applied = moment(max([metadata["creationTimestamp"], *times]))
    return HelmChart(
        name=metadata["name"],
        applied=applied,
        age=clock - applied.timestamp(),
        is_going="deletionTimestamp" in metadata,
        failure=next((str(c.get("message", "")) for c in status.get("conditions", []) if _failed(c)), ""),
    )


def _failed(condition: Mapping[str, str]) -> bool:
    return condition["type"] == "Failed" and condition["status"] == "True"


def moment(text: str) -> datetime:
    """Return a time as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def _holders(text: str) -> dict[str, tuple[Holder, ...]]:
    """Parse ``NAMESPACE POD NODE GPUS,GPUS,…``, a pod a line; one without GPUs has nothing between its commas."""
    held: dict[str, tuple[Holder, ...]] = {}
    for line in text.splitlines():
        namespace, pod, node, counts = (*line.split(" "), "", "", "", "")[:4]
        gpus = sum(whole(count) for count in counts.split(",") if count)
        if gpus:
            held[node] = (*held.get(node, ()), Holder(namespace, pod, gpus))
    return held
