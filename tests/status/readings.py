"""A reading of a site on which all is well; a test changes what it is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from scout_ollama.audit import Record
from scout_ollama.errors import Trouble
from scout_ollama.facts import Section, Sections, Space
from scout_ollama.inventory import Host, Site
from scout_ollama.manifests import KubeObject, settings
from scout_ollama.models import wanted
from scout_ollama.open_webui.looking import Looked
from scout_ollama.state import Holding, State
from scout_ollama.status.document import SiteStatus
from scout_ollama.status.facts import HostNow, SiteFacts
from scout_ollama.status.site import judge
from tests import samples

NODES = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")
ASKER, OTHER = "scout-preprod-1", "scout-prod-1"
SELECTED = "phi,staging,scout-prod,scout-preprod"
SILENT = Trouble("does not answer", host="phi-gpu-3", why="no answer from 192.0.2.13", next="ping 192.0.2.13")


class Reading:
    """A reading that a test may change before it is judged."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)  # after what is made meanwhile
        self.objects = [obj for name in NODES for obj in (node(name), pod(name))]
        self.hosts = {host.name: self._host(host) for host in site.select(SELECTED)}
        self.troubles: dict[str, Trouble] = {}
        self.ollamas = {name: ollama(site) for name in NODES}
        pem = (site.root / "secrets/phi.crt").read_text()
        self.endpoints = {ASKER: endpoint(pem), OTHER: endpoint(pem)}
        self.open_webuis: dict[str, Looked | Trouble] = {}

    def _host(self, host: Host) -> HostNow:
        objects = tuple(self.objects) if host.cluster == "phi" else (node(host.name),)
        now = HostNow(k3s=Section(0, "active"), api=Section(0, ""), objects=objects, kept=kept(self.now))
        if not host.gpus:
            return replace(now, store=Space(500, 1000) if host.cluster == "staging" else None)
        return replace(now, store=Space(500, 1000), gpus=Section(0, ""), gpu_memory=((1 << 30, 80 << 30),))

    def change(self, *hosts: str, **values: Any) -> None:
        """Have hosts say something else."""
        for name in hosts:
            self.hosts[name] = replace(self.hosts[name], **values)

    def say(self, host: str, **answers: Section) -> None:
        """Have a host's Ollama say something else."""
        self.ollamas[host] = Sections({**self.ollamas[host], **answers})

    def see(self, answers: Mapping[str, Section], *hosts: str) -> None:
        """Have Scout hosts see something else at the endpoint."""
        for name in hosts or (ASKER, OTHER):
            self.endpoints[name] = Sections({**self.endpoints[name], **answers})

    def edit(self, change: Callable[[KubeObject], object], name: str, kind: str = "Node") -> None:
        """Edit one of the cluster's objects."""
        (obj,) = [obj for obj in self.objects if obj["kind"] == kind and obj["metadata"]["name"] == name]
        change(obj)

    def lose(self, host: str, trouble: Trouble = SILENT) -> None:
        """Have a host not answer."""
        self.troubles[host] = trouble
        for said in (self.hosts, self.ollamas, self.endpoints, self.open_webuis):
            said.pop(host, None)

    def judged(self, selected: str = SELECTED) -> SiteStatus:
        """Return what is made of it."""
        facts = SiteFacts(self.now, 1.2, self.hosts, self.troubles, self.ollamas, self.endpoints, self.open_webuis)
        return judge(self.site, self.site.select(selected), facts)


def well(directory: Path) -> Reading:
    """Return a reading of the shipped site, made in a directory that is not there yet, with all well."""
    return Reading(samples.site_with_certificate(directory))


def node(name: str) -> KubeObject:
    """Return a node that is ready, with one GPU."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {}, "annotations": {}},
        "spec": {},
        "status": {
            "allocatable": {"nvidia.com/gpu": "1"},
            "nodeInfo": {"kubeletVersion": "v1.36.3+k3s1"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def pod(on: str) -> KubeObject:
    """Return an Ollama pod that runs on a node."""
    owner = {"kind": "DaemonSet", "name": "ollama", "uid": "1"}
    limits = {"nvidia.com/gpu": "1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"ollama-{on}",
            "namespace": "ollama",
            "creationTimestamp": "2026-11-27T03:00:00Z",
            "ownerReferences": [owner],
        },
        "spec": {"nodeName": on, "containers": [{"name": "ollama", "resources": {"limits": limits}}]},
        "status": {
            "phase": "Running",
            "podIP": "10.42.0.9",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{"state": {"running": {}}}],
        },
    }


def ollama(site: Site) -> Sections:
    """Return the answers of an Ollama that has the wanted models, with those in memory that are preloaded."""
    models = wanted.of(settings(site.clusters["phi"]))
    tags = [{"name": str(model.name), "digest": "a" * 64} for model in models]
    loaded = [
        {"name": str(model.name), "digest": "a" * 64, "size": 20 << 30, "size_vram": 20 << 30}
        for model in models
        if model.preload
    ]
    return Sections(version=answer({"version": "0.24.0"}), tags=answer({"models": tags}), ps=answer({"models": loaded}))


def endpoint(pem: str) -> Sections:
    """Return what a Scout host sees of an endpoint that serves a certificate on every node."""
    sections = Sections(tags=answer({"models": []}), certificate=Section(0, pem))
    for number in (11, 12, 13):
        sections[f"version@192.0.2.{number}"] = answer({"version": "0.24.0"})
        sections[f"certificate@192.0.2.{number}"] = Section(0, pem)
    return sections


def answer(document: object) -> Section:
    """Return an HTTP answer."""
    return Section(0, json.dumps(document))


def kept(now: datetime, *, ago: timedelta = timedelta(minutes=12), **changed: Any) -> State:
    """Return what a server keeps: one run, with some of its record changed."""
    return State(None, [record(now - ago, **changed)], [1])


def held(now: datetime, silent_seconds: int = 3, *, alive: bool = True) -> State:
    """Return what a server keeps while somebody is at work, or was cut off."""
    return State(Holding(record(now, result="cut off", run="2"), alive, silent_seconds), kept(now).runs, [1])


def record(began: datetime, **changed: Any) -> Record:
    """Return a run's line in the audit."""
    values: dict[str, Any] = {
        "run": "1",
        "began": began,
        "who": "ada",
        "machine": "laptop-1",
        "command": "inv deploy-ollama --hosts phi",
        "cluster": "phi",
        "result": "done",
    }
    return Record(**{**values, **changed})
