"""The Node object of this host. Pure but for reading what the host is."""

import platform
from pathlib import Path

from lab.standins.k3s import gpu_node
from lab.standins.k3s.gpus import RESOURCE
from lab.standins.k3s.hostinfo import HostInfo
from lab.standins.k3s.objects import Object, condition, make_condition, timestamp

# What the lab's nodes say they have: a scheduler's numbers, not the machine's.
CPU, GPU_NODE_MEMORY, MEMORY, PODS = "32", "512Gi", "64Gi", "110"
FEATURES = ("ExtendWebSocketsToKubelet",)  # kubectl exec is passed on to such a node as the WebSocket that it is


def gpu_labels() -> dict[str, str]:
    """What a node with GPUs has at once where no operator is waited for."""
    found = gpu_node.feature_labels() if gpu_node.is_preinstalled() else {}
    return {gpu_node.PCI_LABEL: "true", "nvidia.com/gpu.present": "true", **found} if found else {}


def metadata(host: HostInfo) -> Object:
    """Name, labels and annotations."""
    name, address = host.me.node_name, host.me.address
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    labels = {
        "beta.kubernetes.io/arch": arch,
        "beta.kubernetes.io/os": "linux",
        "kubernetes.io/arch": arch,
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "node.kubernetes.io/instance-type": "k3s",
        **({"node-role.kubernetes.io/control-plane": "true"} if host.is_server else {}),
        **gpu_labels(),
    }
    annotations = {
        "k3s.io/hostname": name,
        "k3s.io/internal-ip": address,
        "alpha.kubernetes.io/provided-node-ip": address,
    }
    return {"name": name, "labels": labels, "annotations": annotations}


def spec(host: HostInfo) -> Object:
    """The range of its pods' addresses, and who it is to K3s."""
    return {"podCIDR": host.me.pod_cidr, "podCIDRs": [host.me.pod_cidr], "providerID": f"k3s://{host.me.node_name}"}


def status(host: HostInfo, previous: Object, gpus: int) -> Object:
    """Addresses, capacity, conditions and what runs here; `previous` is the Node as it was."""
    memory = GPU_NODE_MEMORY if "gpu" in host.me.roles else MEMORY
    resources = {"cpu": CPU, "memory": memory, "pods": PODS, "ephemeral-storage": "1Ti"}
    # The device plugin's resource stays, at zero, when the GPUs are gone.
    if gpus or RESOURCE in ((previous.get("status") or {}).get("capacity") or {}):
        resources[RESOURCE] = str(gpus)
    return {
        "addresses": [
            {"type": "InternalIP", "address": host.me.address},
            {"type": "Hostname", "address": host.me.node_name},
        ],
        "capacity": resources,
        "allocatable": resources,
        "conditions": _conditions(previous),
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": _node_info(host),
        "declaredFeatures": list(FEATURES),
    }


def _conditions(previous: Object) -> list[Object]:
    now = timestamp()
    wanted = (
        ("MemoryPressure", False, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", False, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", False, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", True, "KubeletReady", "kubelet is posting ready status"),
    )
    made = [
        make_condition(condition(previous, kind), kind, state, reason, words) for kind, state, reason, words in wanted
    ]
    return [{**c, "lastHeartbeatTime": now} for c in made]


def _node_info(host: HostInfo) -> Object:
    release = platform.freedesktop_os_release()
    machine = _first_line("/etc/machine-id")
    return {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine()),
        "bootID": _first_line("/proc/sys/kernel/random/boot_id"),
        "containerRuntimeVersion": "containerd://2.2.1-k3s1",
        "kernelVersion": platform.release(),
        "kubeProxyVersion": "",
        "kubeletVersion": host.version,
        "machineID": machine,
        "operatingSystem": "linux",
        "osImage": release.get("PRETTY_NAME", "Linux"),
        "systemUUID": machine,
    }


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
