"""The GPU operator from its installation to its removal, and each layer red while those below it are green.

The tests are one story of one cluster, in this order.
"""

import json
from collections.abc import Callable

import pytest

from lab.labhost import LabHost
from tests.lab.gpu_cluster import (
    NAMESPACE,
    allocatable,
    cluster,
    fault,
    find,
    has,
    helm_chart,
    job,
    story,
)
from tests.lab.k3s_cluster import BUSYBOX, Cluster, Object, pod, pod_spec, wait

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
__all__ = ["cluster"]  # the fixture
RUNTIME = "/usr/local/bin/nvidia-container-runtime"
RENDERED = "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"
HOST = "driver: {enabled: false}\ntoolkit: {enabled: false}\n"
PCI = "feature.node.kubernetes.io/pci-10de.present"


def install(cluster: Cluster, values: str = HOST) -> None:
    """Apply the chart with these values, and wait until Helm has."""
    before = cluster.kubectl("-n", NAMESPACE, "get", "secrets", "-l", "owner=helm,status=deployed", "-o", "name")
    cluster.apply(helm_chart(values=values))

    def is_done() -> bool:
        query = ["-n", NAMESPACE, "get", "secrets", "-l", "owner=helm,status=deployed", "-o", "name"]
        return cluster.kubectl(*query) != before and has(job(cluster), "Complete")

    wait(is_done, lambda: story(cluster), 60)


def until(cluster: Cluster, condition: Callable[[], bool]) -> None:
    wait(condition, lambda: story(cluster), 60)


def policy(cluster: Cluster) -> tuple[str, str, str]:
    """The ClusterPolicy's state, and the reason and message of the condition that is True."""
    found = find(cluster, "clusterpolicy", "cluster-policy")
    status = (found or {}).get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["status"] == "True":
            return status["state"], condition["reason"], condition["message"]
    return "", "", ""


def labels(cluster: Cluster, node: str) -> dict[str, str]:
    found: dict[str, str] = cluster.get("node", node)["metadata"]["labels"]
    return found


def pods_of(cluster: Cluster, app: str, node: str) -> list[Object]:
    """The pods of an operand on a node."""
    query = ["-n", NAMESPACE, "get", "pods", "-l", f"app={app}", f"--field-selector=spec.nodeName={node}", "-o", "json"]
    found: list[Object] = json.loads(cluster.kubectl(*query))["items"]
    return found


def replace(cluster: Cluster, app: str, node: str) -> None:
    """Delete an operand's pod on a node, for the DaemonSet to make another."""
    for old in pods_of(cluster, app, node):
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", old["metadata"]["name"], "--wait=false")


def waits_with(cluster: Cluster, app: str, node: str) -> set[str]:
    """Why containers of an operand on a node do not run."""
    statuses = [
        s
        for p in pods_of(cluster, app, node)
        for kind in ("initContainerStatuses", "containerStatuses")
        for s in p["status"].get(kind) or []
    ]
    return {s["state"]["waiting"]["reason"] for s in statuses if "waiting" in s["state"]}


def is_whole(cluster: Cluster) -> bool:
    return allocatable(cluster) == {"phi-gpu-1": "1", "phi-gpu-2": "1"} and policy(cluster)[1] == "Reconciled"


def test_without_an_operator_a_node_has_no_gpus(cluster: Cluster) -> None:
    assert allocatable(cluster) == {"phi-gpu-1": None, "phi-gpu-2": None}
    assert not any("nvidia" in label or "pci-10de" in label for label in labels(cluster, "phi-gpu-1"))
    assert cluster.kubectl("get", "runtimeclass", "nvidia")  # it is always there, and proves nothing
    assert "nvidia" in cluster.server.run(["cat", RENDERED]).stdout
    assert "the server doesn't have a resource type" in cluster.kubectl("get", "clusterpolicies", check=False)


def test_ready_is_said_where_nfd_finds_nothing(cluster: Cluster) -> None:
    fault(cluster.gpu_hosts, "nfd\n")
    install(cluster)
    until(cluster, lambda: policy(cluster) == ("ready", "NFDLabelsMissing", "No NFD labels found"))
    assert allocatable(cluster) == {"phi-gpu-1": None, "phi-gpu-2": None}
    assert has(find(cluster, "deployment", "gpu-operator"), "Available")
    assert find(cluster, "daemonset", "nvidia-device-plugin-daemonset") is None
    fault(cluster.gpu_hosts, "")


def test_then_node_by_node_everything_comes(cluster: Cluster) -> None:
    until(cluster, lambda: is_whole(cluster))
    for host in cluster.gpu_hosts:
        found = labels(cluster, host.name)
        assert found[PCI] == found["nvidia.com/gpu.present"] == found["nvidia.com/mig.capable"] == "true"
        assert (found["nvidia.com/gpu.count"], found["nvidia.com/gpu.memory"]) == ("1", "81559")
        assert found["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
        (cuda,) = pods_of(cluster, "nvidia-cuda-validator", host.name)
        assert cuda["status"]["phase"] == "Succeeded"
        (validator,) = pods_of(cluster, "nvidia-operator-validator", host.name)
        assert has(validator, "Ready")
    until(cluster, lambda: find(cluster, "daemonset", "nvidia-mig-manager") is not None)
    names = cluster.kubectl("-n", NAMESPACE, "get", "daemonsets", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert set(names) == {
        "gpu-feature-discovery",
        "gpu-operator-node-feature-discovery-worker",
        "nvidia-dcgm-exporter",
        "nvidia-device-plugin-daemonset",
        "nvidia-mig-manager",
        "nvidia-operator-validator",
    }


def test_a_pod_has_the_gpu_that_it_asks_for(cluster: Cluster) -> None:
    space = cluster.namespace("uses-a-gpu")
    spec = pod_spec("nvidia-smi -L", BUSYBOX, resources={"limits": {"nvidia.com/gpu": 1}})
    cluster.apply(pod(space, "p", {**spec, "runtimeClassName": "nvidia", "restartPolicy": "Never"}))
    until(cluster, lambda: cluster.get("pod", "p", space)["status"].get("phase") == "Succeeded")
    assert cluster.kubectl("-n", space, "logs", "p").count("GPU ") == 1


def test_after_a_restart_of_k3s_there_are_no_gpus_for_a_moment(cluster: Cluster) -> None:
    cluster.lab.host("phi-gpu-2").run(["systemctl", "restart", "k3s"])
    assert allocatable(cluster)["phi-gpu-2"] == "0"
    until(cluster, lambda: is_whole(cluster))


def test_the_device_plugin_crashes_on_one_node(cluster: Cluster) -> None:
    fault([cluster.lab.host("phi-gpu-2")], "device-plugin\n")
    replace(cluster, "nvidia-device-plugin-daemonset", "phi-gpu-2")
    until(cluster, lambda: allocatable(cluster) == {"phi-gpu-1": "1", "phi-gpu-2": "0"})
    app = "nvidia-device-plugin-daemonset"
    until(cluster, lambda: waits_with(cluster, app, "phi-gpu-2") == {"CrashLoopBackOff"})
    until(cluster, lambda: policy(cluster)[0] == "notReady")
    assert policy(cluster)[2] == "ClusterPolicy is not ready, states not ready: [state-device-plugin]"
    fault([cluster.lab.host("phi-gpu-2")], "")
    replace(cluster, app, "phi-gpu-2")
    until(cluster, lambda: is_whole(cluster))


def test_no_cuda_program_runs_on_one_node(cluster: Cluster) -> None:
    fault([cluster.lab.host("phi-gpu-2")], "validator\n")
    replace(cluster, "nvidia-operator-validator", "phi-gpu-2")
    cuda = "nvidia-cuda-validator"
    until(cluster, lambda: "CrashLoopBackOff" in waits_with(cluster, cuda, "phi-gpu-2"))
    assert allocatable(cluster) == {"phi-gpu-1": "1", "phi-gpu-2": "1"}  # the plugin knows nothing of it
    until(cluster, lambda: policy(cluster)[2].endswith("[state-operator-validation]"))
    fault([cluster.lab.host("phi-gpu-2")], "")
    replace(cluster, "nvidia-operator-validator", "phi-gpu-2")
    until(cluster, lambda: is_whole(cluster))


def test_the_operator_is_never_available(cluster: Cluster) -> None:
    fault(cluster.gpu_hosts, "operator\n")
    try:
        cluster.kubectl("-n", NAMESPACE, "delete", "pod", "-l", "app=gpu-operator", "--wait=false")
        until(cluster, lambda: not has(find(cluster, "deployment", "gpu-operator"), "Available"))
    finally:
        fault(cluster.gpu_hosts, "")
    until(cluster, lambda: has(find(cluster, "deployment", "gpu-operator"), "Available"))


def test_a_missing_image_shows_late(cluster: Cluster) -> None:
    install(cluster, HOST + "devicePlugin: {version: v9.9.9}\ndcgmExporter: {enabled: false}\n")
    app = "nvidia-device-plugin-daemonset"
    nodes = ("phi-gpu-1", "phi-gpu-2")
    until(cluster, lambda: any("ImagePullBackOff" in waits_with(cluster, app, node) for node in nodes))
    assert policy(cluster)[0] == "notReady"
    assert find(cluster, "daemonset", "nvidia-dcgm-exporter") is None
    install(cluster)
    until(cluster, lambda: is_whole(cluster))


def test_a_service_monitor_without_prometheus_is_never_ready(cluster: Cluster) -> None:
    install(cluster, HOST + "dcgmExporter: {serviceMonitor: {enabled: true}}\n")
    until(cluster, lambda: policy(cluster)[2].endswith("[state-dcgm-exporter]"))
    install(cluster)
    until(cluster, lambda: is_whole(cluster))


def without_runtime(host: LabHost) -> None:
    host.run(["rm", "-f", RUNTIME])
    host.run(["systemctl", "restart", "k3s"])
    assert "nvidia" not in host.run(["cat", RENDERED]).stdout


def test_a_node_whose_k3s_found_no_runtime(cluster: Cluster) -> None:
    host = cluster.lab.host("phi-gpu-2")
    where = host.run(["readlink", RUNTIME]).stdout.strip()
    without_runtime(host)
    replace(cluster, "nvidia-device-plugin-daemonset", "phi-gpu-2")
    cluster.wait_for_event(NAMESPACE, 'failed to get sandbox runtime: no runtime for "nvidia" is configured')
    until(cluster, lambda: allocatable(cluster) == {"phi-gpu-1": "1", "phi-gpu-2": "0"})
    # With this in its configuration K3s does not even start then.
    host.run(["tee", "/etc/rancher/k3s/config.yaml"], input="default-runtime: nvidia\n")
    host.run(["systemctl", "restart", "k3s"], check=False)
    assert "default runtime nvidia was not found" in host.run(["journalctl", "-u", "k3s", "-n", "3"]).stdout
    host.run(["rm", "/etc/rancher/k3s/config.yaml"])
    host.run(["ln", "-s", where, RUNTIME])
    host.run(["systemctl", "restart", "k3s"])
    until(cluster, lambda: is_whole(cluster))


def test_a_reboot_is_survived(cluster: Cluster) -> None:
    cluster.lab.host("phi-gpu-2").reboot()
    until(cluster, lambda: allocatable(cluster)["phi-gpu-2"] == "0")
    until(cluster, lambda: is_whole(cluster))


def test_it_is_uninstalled_with_its_chart(cluster: Cluster) -> None:
    cluster.kubectl("-n", "kube-system", "delete", "helmchart", "gpu-operator", "--timeout=60s")
    until(cluster, lambda: cluster.pods(NAMESPACE) == [])
    assert find(cluster, "clusterpolicy", "cluster-policy") is None
    assert cluster.kubectl("get", "crd", "clusterpolicies.nvidia.com")  # Helm leaves it
    until(cluster, lambda: allocatable(cluster) == {"phi-gpu-1": "0", "phi-gpu-2": "0"})


def test_the_operator_s_own_toolkit(cluster: Cluster) -> None:
    for host in cluster.gpu_hosts:
        without_runtime(host)
    install(cluster, "driver: {enabled: false}\n")  # without a word of where K3s has its containerd
    app = "nvidia-container-toolkit-daemonset"
    until(cluster, lambda: waits_with(cluster, app, "phi-gpu-1") == {"CrashLoopBackOff"})
    said = cluster.kubectl("-n", NAMESPACE, "logs", pods_of(cluster, app, "phi-gpu-1")[0]["metadata"]["name"])
    assert "failed to run command chroot [/host containerd config dump]" in said
    k3s = "/var/lib/rancher/k3s/agent/etc/containerd"
    environment = {
        "CONTAINERD_CONFIG": RENDERED,
        "CONTAINERD_SOCKET": "/run/k3s/containerd/containerd.sock",
        "RUNTIME_CONFIG_SOURCE": f"file={RENDERED}",
        "RUNTIME_DROP_IN_CONFIG": f"{k3s}/config-v3.toml.d/99-nvidia.toml",
    }
    env = json.dumps([{"name": name, "value": value} for name, value in environment.items()])
    install(cluster, f"driver: {{enabled: false}}\ntoolkit: {{env: {env}}}\n")
    until(cluster, lambda: is_whole(cluster))
    assert cluster.server.run(["test", "-x", "/usr/local/nvidia/toolkit/nvidia-container-runtime"]).returncode == 0
