"""What pods of the GPU operator bring about on their node: labels of NFD and of GPU feature discovery, and GPUs.

/etc/lab/gpu-operator says whether that needs an operator at all: "preinstalled" gives a node everything from its start.
/etc/lab/gpu-operator-fault breaks parts of it on this host, a word per line.
"""

import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.standins.k3s.hostinfo import HostInfo
from lab.standins.k3s.objects import Object, is_true, labels_of

NFD_PREFIX = "feature.node.kubernetes.io/"
PCI_LABEL = f"{NFD_PREFIX}pci-10de.present"
SMI_SECONDS = 10
_MODE = Path("/etc/lab/gpu-operator")
_FAULTS = Path("/etc/lab/gpu-operator-fault")


@dataclass(frozen=True)
class Running:
    """Which parts have a pod on this node that is ready."""

    nfd_worker: bool
    feature_discovery: bool
    device_plugin: bool


def is_preinstalled() -> bool:
    """Whether this host has its GPUs in Kubernetes without an operator, for tests that are not about one."""
    return _MODE.exists() and _MODE.read_text().strip() == "preinstalled"


def running(pods: Iterable[Object], node: str) -> Running:
    """What runs on a node."""
    ready = [labels_of(p) for p in pods if p["spec"].get("nodeName") == node and is_true(p, "Ready")]
    apps = {labels.get("app") for labels in ready}
    worker = {"app.kubernetes.io/name": "node-feature-discovery", "role": "worker"}.items()
    return Running(
        any(worker <= labels.items() for labels in ready),
        "gpu-feature-discovery" in apps,
        "nvidia-device-plugin-daemonset" in apps,
    )


def labels(host: HostInfo, parts: Running) -> dict[str, str | None]:
    """What the parts that run say of this host; None takes a label away, what is not named stays as it is."""
    found: dict[str, str | None] = {}
    if parts.nfd_worker:
        lost = _FAULTS.exists() and "nfd" in _FAULTS.read_text().split()
        found[f"{NFD_PREFIX}kernel-version.full"] = None if lost else platform.release()
        found[PCI_LABEL] = "true" if host.me.gpus and not lost else None
    if parts.feature_discovery:
        found |= feature_labels()
    return found


def feature_labels() -> dict[str, str]:
    """What GPU feature discovery says of this host's GPUs; nothing when nvidia-smi does not answer."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=SMI_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = [line.split(", ") for line in done.stdout.splitlines() if ", " in line]
    if not rows:
        return {}
    name, memory = rows[0]
    return {
        "nvidia.com/gpu.count": str(len(rows)),
        "nvidia.com/gpu.memory": memory,
        "nvidia.com/gpu.product": name.replace(" ", "-"),
        "nvidia.com/mig.capable": str("A100" in name or "H100" in name).lower(),
    }
