"""What pods and nodes survive, and what K3s refuses: restarts, reboots, silent nodes, broken files, lost GPUs."""

import json

import pytest

from lab.labhost import LabHost
from tests.lab.k3s_cluster import Cluster, Object, cluster, is_ready, pod, pod_spec, wait, workload

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
__all__ = ["cluster"]  # the fixture
REGISTRIES = "/etc/rancher/k3s/registries.yaml"


def container_of(made: Object) -> tuple[str, int]:
    """(container ID, restarts)"""
    status = made["status"]["containerStatuses"][0]
    return status["containerID"], status["restartCount"]


def node_is(cluster: Cluster, name: str, state: str) -> None:
    def states() -> dict[str, str]:
        lines = cluster.kubectl("get", "nodes", "--no-headers").splitlines()
        return {line.split()[0]: line.split()[1] for line in lines}

    wait(lambda: states().get(name) == state, lambda: cluster.kubectl("get", "nodes"))


def web(space: str) -> Object:
    probe = {"httpGet": {"port": 8080, "path": "/"}, "periodSeconds": 1}
    return workload("DaemonSet", space, "web", pod_spec("exec python3 -m http.server 8080", readinessProbe=probe))


def test_pods_run_on_while_k3s_restarts(cluster: Cluster) -> None:
    space = cluster.namespace("restart")
    cluster.apply(web(space))
    before = {p["metadata"]["name"]: container_of(p) for p in cluster.ready_pods(space, 2)}
    cluster.server.run(["systemctl", "stop", "k3s"])
    for made_on, address in (("phi-gpu-1", "10.42.1"), ("phi-gpu-2", "10.42.2")):
        listening = cluster.lab.host(made_on).run(["ip", "route"]).stdout
        assert address in listening
    cluster.server.run(["systemctl", "start", "k3s"])
    cluster.lab.host("phi-gpu-2").run(["systemctl", "restart", "k3s"])
    after = {p["metadata"]["name"]: container_of(p) for p in cluster.ready_pods(space, 2)}
    assert after == before
    assert all(restarts == 0 for _, restarts in after.values())
    # Adopted, not only seen: a container that ends is still noticed and started again.
    made = next(p for p in cluster.pods(space) if p["spec"]["nodeName"] == "phi-gpu-2")
    cluster.lab.host("phi-gpu-2").run(["pkill", "-KILL", "-f", "^python3 -m http.server 8080"])
    name = made["metadata"]["name"]
    wait(lambda: container_of(cluster.get("pod", name, space))[1] == 1, lambda: cluster.story(space))
    cluster.ready_pods(space, 2)


def test_a_pod_deleted_while_k3s_is_down_is_stopped_when_it_is_back(cluster: Cluster) -> None:
    space = cluster.namespace("forced")
    host = cluster.lab.host("phi-gpu-2")
    cluster.apply(pod(space, "p", {**pod_spec("sleep 12345"), "nodeName": "phi-gpu-2"}))
    cluster.ready_pods(space, 1)
    host.run(["systemctl", "stop", "k3s"])
    cluster.kubectl("-n", space, "delete", "pod", "p", "--force", "--grace-period=0")
    assert host.run(["pgrep", "-f", "^sleep 12345"], check=False).returncode == 0
    host.run(["systemctl", "start", "k3s"])
    wait(lambda: host.run(["pgrep", "-f", "^sleep 12345"], check=False).returncode == 1)


@pytest.mark.parametrize("name", ["phi-gpu-2", "phi-gpu-1"])
def test_pods_start_again_after_a_reboot(cluster: Cluster, name: str) -> None:
    space = cluster.namespace(f"reboot-{name}")
    cluster.apply(web(space))
    before = {p["spec"]["nodeName"]: p for p in cluster.ready_pods(space, 2)}
    cluster.lab.host(name).reboot()

    def is_back() -> bool:
        listed = cluster.server.run(["k3s", "kubectl", "-n", space, "get", "pods", "-o", "json"], check=False)
        if listed.returncode != 0:
            return False  # the API itself is not back
        pods = {p["spec"]["nodeName"]: p for p in json.loads(listed.stdout)["items"]}
        return len(pods) == 2 and all(map(is_ready, pods.values())) and container_of(pods[name])[1] == 1

    wait(is_back, lambda: cluster.story(space), 60)
    after = {p["spec"]["nodeName"]: p for p in cluster.pods(space)}
    assert {p["metadata"]["uid"] for p in after.values()} == {p["metadata"]["uid"] for p in before.values()}
    other = next(n for n in after if n != name)
    assert container_of(after[other]) == container_of(before[other])


def test_a_silent_node_is_not_ready_and_its_pods_leave_the_service(cluster: Cluster) -> None:
    space = cluster.namespace("silent")
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": space},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]},
    }
    cluster.apply(web(space), service)
    cluster.ready_pods(space, 2)

    def endpoints() -> list[str]:
        subsets = cluster.get("endpoints", "web", space).get("subsets") or []
        return [a["nodeName"] for s in subsets for a in s.get("addresses", [])]

    wait(lambda: len(endpoints()) == 2)
    cut = cluster.lab.host("phi-gpu-2")
    cut.cut()
    node_is(cluster, "phi-gpu-2", "NotReady")
    node = cluster.get("node", "phi-gpu-2")
    assert {t["key"] for t in node["spec"]["taints"]} == {"node.kubernetes.io/unreachable"}
    wait(lambda: endpoints() == ["phi-gpu-1"])
    cut.restore()
    node_is(cluster, "phi-gpu-2", "Ready")
    cluster.ready_pods(space, 2)
    wait(lambda: "taints" not in cluster.get("node", "phi-gpu-2")["spec"])


def test_a_wrong_clock_does_not_make_a_node_unreachable(cluster: Cluster) -> None:
    cluster.lab.host("phi-gpu-2").set_clock(86400)
    try:
        cluster.lab.host("phi-gpu-2").run(["systemctl", "restart", "k3s"])
        node_is(cluster, "phi-gpu-2", "Ready")
    finally:
        cluster.lab.host("phi-gpu-2").set_clock(0)


def test_k3s_refuses_registries_it_cannot_read(cluster: Cluster) -> None:
    host = cluster.lab.host("phi-gpu-2")
    before = host.run(["cat", REGISTRIES]).stdout
    host.run(["tee", REGISTRIES], input="mirrors:\n  docker.io: {endpoint: [\n")
    assert host.run(["systemctl", "is-active", "k3s"]).stdout == "active\n"  # the file is only read at the start
    host.run(["systemctl", "restart", "k3s"], check=False)
    assert host.run(["systemctl", "is-active", "k3s"], check=False).stdout != "active\n"
    journal = host.run(["journalctl", "-u", "k3s", "-n", "3"]).stdout
    assert "level=fatal" in journal
    assert f"failed to load private registry config {REGISTRIES}: yaml: line" in journal
    host.run(["tee", REGISTRIES], input=before)
    host.run(["systemctl", "start", "k3s"])
    node_is(cluster, "phi-gpu-2", "Ready")
    rendered = host.run(["cat", "/var/lib/rancher/k3s/agent/etc/containerd/certs.d/docker.io/hosts.toml"]).stdout
    assert "harbor.staging.example.edu" in rendered


def test_a_full_disk_stops_k3s_with_a_word_and_pods_run_on(cluster: Cluster) -> None:
    space = cluster.namespace("full")
    host = cluster.lab.host("phi-gpu-2")
    cluster.apply(pod(space, "p", {**pod_spec("sleep 54321"), "nodeName": "phi-gpu-2"}))
    cluster.ready_pods(space, 1)
    host.fill("/var/lib")
    try:
        host.run(["systemctl", "restart", "k3s"], check=False)
        assert "No space left on device" in host.run(["journalctl", "-u", "k3s", "-n", "3"]).stdout
        assert host.run(["pgrep", "-f", "^sleep 54321"], check=False).returncode == 0
    finally:
        host.free("/var/lib")
    host.run(["systemctl", "start", "k3s"])
    node_is(cluster, "phi-gpu-2", "Ready")
    assert container_of(cluster.ready_pods(space, 1)[0])[1] == 0


def test_a_runtime_class_needs_the_runtime_on_the_node(cluster: Cluster) -> None:
    space = cluster.namespace("runtime")
    host = cluster.lab.host("phi-gpu-2")
    runtime = host.run(["readlink", "/usr/local/bin/nvidia-container-runtime"]).stdout.strip()
    host.run(["rm", "/usr/local/bin/nvidia-container-runtime"])
    host.run(["systemctl", "restart", "k3s"])
    assert cluster.kubectl("get", "runtimeclass", "nvidia")  # it is always there, and proves nothing
    cluster.apply(pod(space, "p", {**pod_spec(), "runtimeClassName": "nvidia", "nodeName": "phi-gpu-2"}))
    cluster.wait_for_event(space, 'failed to get sandbox runtime: no runtime for "nvidia" is configured')
    host.run(["ln", "-s", runtime, "/usr/local/bin/nvidia-container-runtime"])
    host.run(["systemctl", "restart", "k3s"])
    cluster.ready_pods(space, 1)


def test_gpus_that_are_gone_are_not_given_away(cluster: Cluster) -> None:
    space = cluster.namespace("lost")
    host = cluster.lab.host("phi-gpu-2")
    gpu_pod = pod_spec(resources={"limits": {"nvidia.com/gpu": 1}})
    fault(host, "no-driver")
    try:
        # The scheduler does not know yet; the node does as soon as it looks again.
        host.run(["systemctl", "restart", "k3s"])
        wait(lambda: cluster.get("node", "phi-gpu-2")["status"]["allocatable"]["nvidia.com/gpu"] == "0")
        cluster.apply(pod(space, "forced", {**gpu_pod, "nodeName": "phi-gpu-2"}))
        wait(lambda: cluster.get("pod", "forced", space)["status"].get("phase") == "Failed")
        status = cluster.get("pod", "forced", space)["status"]
        assert status["reason"] == "UnexpectedAdmissionError"
        assert (
            "requested number of devices unavailable for nvidia.com/gpu. Requested: 1, Available: 0"
            in status["message"]
        )
        pinned = {**gpu_pod, "nodeSelector": {"kubernetes.io/hostname": "phi-gpu-2"}}
        cluster.apply(pod(space, "scheduled", pinned))
        reasons = "1 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node affinity/selector."
        cluster.wait_for_event(space, f"0/2 nodes are available: {reasons}")
    finally:
        fault(host, "")
    wait(lambda: is_ready(cluster.get("pod", "scheduled", space)), lambda: cluster.story(space))


def fault(host: LabHost, kind: str) -> None:
    host.run(["tee", "/etc/lab/gpu-fault"], input=kind)


def test_a_container_is_given_time_to_end(cluster: Cluster) -> None:
    space = cluster.namespace("grace")
    cluster.server.run(["mkdir", "-p", "/srv/grace"])
    spec = pod_spec(
        "while sleep 0.1; do :; done",
        volumeMounts=[{"name": "out", "mountPath": "/out"}],
        lifecycle={"preStop": {"exec": {"command": ["sh", "-c", "echo preStop >> /out/log; sleep 0.5"]}}},
    )
    spec["containers"][0]["command"][2] = "trap 'echo TERM >> /out/log; exit 0' TERM; while sleep 0.1; do :; done"
    spec["volumes"] = [{"name": "out", "hostPath": {"path": "/srv/grace", "type": "Directory"}}]
    cluster.apply(pod(space, "polite", {**spec, "nodeName": "phi-gpu-1"}))
    deaf = pod_spec()
    deaf["containers"][0]["command"] = ["sh", "-c", "trap '' TERM; while sleep 0.1; do :; done"]
    cluster.apply(pod(space, "deaf", {**deaf, "terminationGracePeriodSeconds": 1, "nodeName": "phi-gpu-1"}))
    cluster.ready_pods(space, 2)
    cluster.kubectl("-n", space, "delete", "pod", "polite", "deaf", "--timeout=20s")
    assert cluster.server.run(["cat", "/srv/grace/log"]).stdout == "preStop\nTERM\n"
    assert "Stopping container main" in cluster.events(space)


def test_nothing_is_left_of_pods_that_are_gone(cluster: Cluster) -> None:
    space = cluster.namespace("gone")
    cluster.apply(web(space))
    cluster.ready_pods(space, 2)
    spaces = cluster.kubectl("get", "namespaces", "-o", "name").split()
    own = [s for s in spaces if s not in ("namespace/default",) and not s.startswith("namespace/kube-")]
    cluster.kubectl("delete", *own)
    for host in cluster.gpu_hosts:
        running = json.loads(host.run(["k3s", "crictl", "ps", "-o", "json"]).stdout)["containers"]
        uids = {c["podSandboxId"] for c in running if c["metadata"]["name"] == "traefik"}
        assert len(running) == len(uids)
        assert set(host.run(["ls", "/run/k3s/containerd/pods"]).stdout.split()) == uids
        assert set(host.run(["ls", "/var/lib/kubelet/pods"]).stdout.split()) == uids
        assert host.run(["ip", "netns", "list"]).stdout.count("cni-") == len(uids)
