"""What must hold on a host or in a cluster before anything is changed, judged from facts alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from scout_ollama.errors import Trouble
from scout_ollama.facts import ClusterFacts, HostFacts, Section, drained
from scout_ollama.hints import on
from scout_ollama.inventory import Harbor, Host, Ollama
from scout_ollama.manifests import KubeObject, least_gpu_memory_mib
from scout_ollama.steps import registries

Status = Literal["fail", "warn"]

OLDEST_K3S = (1, 29)
MOST_CLOCK_SECONDS = 300
# K3s starts the kubelet with eviction-hard imagefs.available<5%,nodefs.available<5%.
LEAST_FREE_FRACTION = 0.05
_NO_GPU = "No devices were found"  # nvidia-smi, which ends with 6, when its driver runs and has no GPU


@dataclass(frozen=True)
class Finding:
    """Something that does not hold: ``fail`` stops its host, ``warn`` is only told. No host means the cluster."""

    check: str
    host: str | None
    what: str
    why: str
    next: str
    status: Status = "fail"

    def trouble(self) -> Trouble:
        """The finding as an error."""
        return Trouble(self.what, host=self.host, why=self.why, next=self.next)


def of_host(host: Host, ollama: Ollama, facts: HostFacts, *, harbor: Harbor | None, now: float) -> list[Finding]:
    """Return what does not hold on one host, whatever shall run there.

    ``harbor`` is where its images come from in an air gap, ``now`` the runner's clock in seconds since 1970.
    """
    findings = [*_clock(host, facts, now), *_k3s(host, facts), *_disk(host, facts), *_registry(host, harbor, facts)]
    if not facts.curl:
        findings.append(
            Finding(
                "curl",
                host.name,
                "curl is not installed",
                "the proofs ask the registry and Ollama with it",
                on(host, "sudo apt-get install -y curl || sudo dnf install -y curl"),
            )
        )
    if "gpu" in host.roles and not ollama.cpu_only:
        findings += _gpus(host, facts)
    return findings


def of_cluster(
    hosts: Sequence[Host], ollama: Ollama, facts: ClusterFacts, *, gpus_are_given: bool = True
) -> list[Finding]:
    """Return what does not hold in the cluster's own eyes, host by host: its nodes and, if they are to be, GPUs."""
    findings: list[Finding] = []
    names = [node["metadata"]["name"] for node in facts.nodes]
    for host in hosts:
        wanted = host.node
        node = facts.node(wanted)
        if node is None:
            findings.append(
                Finding(
                    "node",
                    host.name,
                    f"the cluster has no node named {wanted}",
                    f"its nodes are {', '.join(names)}",
                    f"edit hosts.{host.name} in {host.cluster}.yaml: node_name, or join the host to the cluster",
                )
            )
            continue
        ready: dict[str, str] = next((c for c in node["status"].get("conditions", []) if c["type"] == "Ready"), {})
        if ready.get("status") != "True":
            findings.append(
                Finding(
                    "node",
                    host.name,
                    f"node {wanted} is not Ready",
                    ready.get("message", "its kubelet has not reported"),
                    on(host, "sudo journalctl -u k3s -n 50 --no-pager"),
                )
            )
        elif "gpu" in host.roles and not ollama.cpu_only and gpus_are_given:
            findings += _given_gpus(host, ollama, node)
        findings += _taints(host, ollama, node)
        findings += _drained(host, node)
    return findings


def _clock(host: Host, facts: HostFacts, now: float) -> Iterator[Finding]:
    ahead = facts.clock - now
    if abs(ahead) > MOST_CLOCK_SECONDS:
        hours, minutes = divmod(round(abs(ahead) / 60), 60)
        yield Finding(
            "clock",
            host.name,
            f"its clock is {hours} h {minutes} min {'ahead' if ahead > 0 else 'behind'}",
            "certificates and tokens would be refused, and the audit would lie",
            on(host, "sudo timedatectl set-ntp true"),
        )


def _k3s(host: Host, facts: HostFacts) -> Iterator[Finding]:
    if facts.k3s_version is None:
        yield Finding(
            "k3s", host.name, "K3s is not installed", "k3s --version does not answer", on(host, "sudo k3s --version")
        )
        return
    if facts.k3s_release and facts.k3s_release < OLDEST_K3S:
        oldest = ".".join(map(str, OLDEST_K3S))
        yield Finding(
            "k3s",
            host.name,
            f"K3s {facts.k3s_version} is too old",
            f"v{oldest} is the oldest supported",
            "upgrade K3s there",
        )
    if not facts.k3s_active:
        unit = facts.k3s_unit or "k3s"
        yield Finding(
            "k3s",
            host.name,
            "K3s is not running",
            f"systemctl is-active {unit} says it is not",
            on(host, f"sudo systemctl start {unit}; sudo journalctl -u {unit} -n 50 --no-pager"),
        )
    if not facts.k3s_writable:
        yield Finding(
            "k3s",
            host.name,
            "/etc/rancher/k3s cannot be written",
            "its file system is mounted read-only",
            on(host, "findmnt -T /etc/rancher/k3s; sudo dmesg | tail"),
        )


def _disk(host: Host, facts: HostFacts) -> Iterator[Finding]:
    space = facts.images_space
    if space and space.free < space.total * LEAST_FREE_FRACTION:
        yield Finding(
            "disk",
            host.name,
            f"the disk is full: {space.free // 2**20} of {space.total // 2**20} MiB are free under /var/lib/rancher",
            "below 5 % K3s evicts pods, Ollama among them",
            on(host, "sudo du -xh --max-depth=2 /var | sort -h | tail"),
        )


def _registry(host: Host, harbor: Harbor | None, facts: HostFacts) -> Iterator[Finding]:
    if registries.parsed(facts.registries) is None:
        yield Finding(
            "registries",
            host.name,
            f"{registries.REGISTRIES} is no YAML that K3s could read",
            "what others declared in it would be lost if it were written anew",
            on(host, f"sudo cat {registries.REGISTRIES}"),
        )
    if harbor is None or facts.registry is None:
        return
    # Without credentials, 401 is Harbor asking for a token: it is there, and its certificate was verified.
    answer = facts.registry.text if facts.registry.ok else ""
    if answer == "401" and harbor.username:
        yield Finding(
            "registry",
            host.name,
            f"Harbor refuses {harbor.username}",
            f"authentication failed at {harbor.url}: no image would come, so nothing is written",
            "correct harbor.username and harbor.password in the staging cluster's file",
        )
    elif answer not in ("200", "401"):
        last = facts.registry.text.strip().splitlines()[-1:] or ["it said nothing"]
        yield Finding(
            "registry",
            host.name,
            "Harbor does not answer this host",
            f"{harbor.url}: {last[0] if not facts.registry.ok else f'HTTP {last[0]} to /v2/'}",
            "check harbor.url and harbor.ca of the staging cluster, its firewall, and that Harbor runs",
        )


def _gpus(host: Host, facts: HostFacts) -> Iterator[Finding]:
    if not facts.gpus.ok and _NO_GPU not in facts.gpus.text:
        yield Finding(
            "gpu",
            host.name,
            "its GPUs do not answer",
            why_no_gpus(facts.gpus),
            on(host, "nvidia-smi; sudo dmesg | grep -i nvrm | tail"),
        )
        return
    found = len(re.findall(r"(?m)^\d+, ", facts.gpus.text))  # a line each: its index and the driver's version
    if found != host.gpus:
        yield Finding(
            "gpu",
            host.name,
            f"it has {found} GPUs, the inventory says {host.gpus}",
            "one fell off the bus, or the inventory is wrong",
            on(host, "nvidia-smi -L; sudo dmesg | grep -i xid"),
        )


def why_no_gpus(gpus: Section) -> str:
    """Why nvidia-smi tells of no GPU, in its own words if it had any."""
    if gpus.text.strip():
        return gpus.text.strip().splitlines()[0]
    return "nvidia-smi did not end in time" if gpus.timed_out else "nvidia-smi is not installed"


def _given_gpus(host: Host, ollama: Ollama, node: KubeObject) -> Iterator[Finding]:
    """What the GPU operator tells Kubernetes: how many GPUs it may give out, and of what size."""
    allocatable = node["status"].get("allocatable", {}).get("nvidia.com/gpu", "0")
    labels = node["metadata"].get("labels", {})
    memory = labels.get("nvidia.com/gpu.memory", "0")
    if int(allocatable) != host.gpus or labels.get("nvidia.com/gpu.present") != "true":
        yield Finding(
            "gpu-operator",
            host.name,
            f"Kubernetes can give out {allocatable} of its {host.gpus} GPUs",
            "the NVIDIA GPU operator is not installed, or its device plugin has not registered",
            f"inv install-gpu-operator --hosts {host.cluster}"
            if ollama.hostname
            else "install the GPU operator with Scout's own playbooks; or edit the inventory: ollama.cpu_only: true",
        )
    elif ollama.min_gpu_memory_gib and int(memory) < least_gpu_memory_mib(ollama.min_gpu_memory_gib):
        yield Finding(
            "gpu-memory",
            host.name,
            f"its GPUs have {memory} MiB, wanted are {ollama.min_gpu_memory_gib} GiB",
            "Ollama would find no place there",
            f"edit {host.cluster}.yaml: ollama.min_gpu_memory_gib, or take the role gpu from hosts.{host.name}",
        )


def _taints(host: Host, ollama: Ollama, node: KubeObject) -> Iterator[Finding]:
    """Traefik must run on each node of a shared Ollama, and K3s gives it no toleration for GPU nodes' taint."""
    taints = [t for t in node.get("spec", {}).get("taints", []) if t["key"] == "nvidia.com/gpu"]
    if taints and ollama.hostname:
        yield Finding(
            "taint",
            host.name,
            f"its node has the taint nvidia.com/gpu:{taints[0]['effect']}",
            "Traefik does not tolerate it, so the endpoint will not answer on this node",
            on(host, f"sudo /usr/local/bin/k3s kubectl taint nodes {node['metadata']['name']} nvidia.com/gpu-"),
            status="warn",
        )


def _drained(host: Host, node: KubeObject) -> Iterator[Finding]:
    for note in drained([node]).values():
        yield Finding(
            "drained",
            host.name,
            "it is drained: no Ollama runs on it",
            note,
            f"inv undrain-host --hosts {host.name} --reason '…'",
            status="warn",
        )


def of_store(host: Host, facts: HostFacts, store: str) -> Iterator[Finding]:
    """Return what keeps the pod of a host from serving anything from ``store``."""
    if "gpu" in host.roles and not facts.store_directories:
        yield Finding(
            "store",
            host.name,
            f"the model store {store} is not there",
            "it must hold blobs/ and manifests/: a pod would otherwise serve nothing, or not start",
            on(host, f"sudo mkdir -p {store}/blobs {store}/manifests") + "; then the same command again",
        )
