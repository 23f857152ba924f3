"""GPUs for a cluster that has none: refused where it cannot work, stopped where it does not, and proved where it does.

One story of one cluster, in this order; every rung of the ladder is broken once, and the next run goes on from there.
"""

from __future__ import annotations

import hashlib
import json
import re
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab import chart, snapshot
from lab.lab import Lab
from tests.journeys.conftest import Operator, Said, assert_told, kubectl

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HOSTS = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")
ONE, TWO, THREE = HOSTS
INSTALL = ("install-gpu-operator", "--hosts", "phi")
IMPATIENT = ("--patience", "5")
FAULT, HELM_FAULT, GPU_FAULT = "/etc/lab/gpu-operator-fault", "/etc/lab/helm-fault", "/etc/lab/gpu-fault"
RUNTIME = "/usr/local/bin/nvidia-container-runtime"
PLUGIN = "nvidia-device-plugin-daemonset"


@contextmanager
def broken(lab: Lab, hosts: Sequence[str], what: str, file: str = FAULT) -> Iterator[None]:
    """Something is broken on hosts, until it is mended."""
    for host in hosts:
        lab.host(host).run(["tee", file], input=what)
    try:
        yield
    finally:
        for host in hosts:
            lab.host(host).run(["tee", file], input="")


def installed(operator: Operator, *words: str) -> Said:
    said = operator.inv(*INSTALL, "--yes", *words)
    assert said.status == 0, said.err
    return said


def release(lab: Lab) -> int:
    """The number of Helm's newest release; 0 without one."""
    query = [
        "-n",
        "gpu-operator",
        "get",
        "secrets",
        "-l",
        "owner=helm",
        "-o",
        "jsonpath={.items[*].metadata.labels.version}",
    ]
    return max(map(int, kubectl(lab, *query).split()), default=0)


def allocatable(lab: Lab) -> dict[str, str | None]:
    nodes: list[dict[str, Any]] = json.loads(kubectl(lab, "get", "nodes", "-o", "json"))["items"]
    return {node["metadata"]["name"]: node["status"]["allocatable"].get("nvidia.com/gpu") for node in nodes}


def replace_pods(lab: Lab, app: str, host: str) -> None:
    """Delete an operand's pod on a node, for its DaemonSet to make another."""
    kubectl(lab, "-n", "gpu-operator", "delete", "pods", "-l", f"app={app}", f"--field-selector=spec.nodeName={host}")


def values(**parts: Any) -> Any:
    return lambda phi: phi["gpu_operator"].update(values=parts)


# -- refused before any host is asked


def pretend(operator: Operator, content: bytes, *, recorded: bool = True) -> Path:
    """Put a file where the chart is, recorded as the one that was accepted."""
    file = operator.site / "charts" / chart.file_name()
    file.write_bytes(content)
    if recorded:
        file.with_name("charts.lock").write_text(f"{hashlib.sha256(content).hexdigest()}  {file.name}\n")
    return file


@pytest.mark.parametrize(
    ("content", "recorded", "told"),
    [
        (chart.pack(app_version="v25.10.2"), False, "is not the file that was accepted"),
        (chart.pack(truncated=True), True, "is cut short"),
        (chart.pack(name="ingress-nginx"), True, "is not the chart of the GPU operator"),
        (chart.pack(chart_version="v1.0.0-devel", app_version="main-latest"), True, "was packed from a git tag"),
        (chart.pack(chart_version="v25.3.0"), True, "is v25.3.0, and phi wants v25.10.1"),
    ],
    ids=["another checksum", "cut short", "another chart", "from a git tag", "another version"],
)
def test_01_a_chart_that_is_not_the_one_is_refused(
    operator: Operator, content: bytes, recorded: bool, told: str
) -> None:
    file = pretend(operator, content, recorded=recorded)
    said = operator.inv(*INSTALL, "--yes")
    assert said.status == 1
    assert f"{file} {told}" in said.err
    assert "next: " in said.err
    assert "Traceback" not in said.err


def test_02_values_that_replace_the_toolkits_list_by_halves_are_refused(operator: Operator) -> None:
    operator.edit("phi", values(toolkit={"env": [{"name": "CONTAINERD_CONFIG", "value": "/etc/x"}]}))
    said = operator.inv(*INSTALL, "--yes")
    assert said.status == 1
    assert "gpu_operator.values.toolkit.env" in said.err


def test_03_values_that_are_no_mapping_are_refused(operator: Operator) -> None:
    operator.edit("phi", lambda phi: phi["gpu_operator"].update(values="driver: {enabled"))
    said = operator.inv(*INSTALL, "--yes")
    assert said.status == 1
    assert "gpu_operator.values" in said.err


def test_04_a_cluster_without_gpus_has_none_to_set_up(operator: Operator) -> None:
    operator.edit("phi", lambda phi: phi["ollama"].update(cpu_only=True))
    said = operator.inv(*INSTALL, "--yes")
    assert said.status == 1
    assert "phi has no GPUs to set up" in said.err


# -- refused before anything is changed


def test_05_an_image_that_harbor_lacks_is_named_before_anything_is_changed(lab: Lab, operator: Operator) -> None:
    before = snapshot.take(lab)
    operator.edit("phi", values(devicePlugin={"version": "v9.9.9"}))
    said = operator.inv(*INSTALL, "--plan")
    assert_told(
        said,
        ONE,
        "Harbor lacks 1 of",
        why="nvcr.io/nvidia/k8s-device-plugin:v9.9.9: not there (HTTP 404)",
        next="bring them into Harbor",
    )
    assert "nothing was changed" in said.err
    assert snapshot.difference(before, snapshot.take(lab)) == []


def test_06_a_registry_that_harbor_has_no_project_for_is_named(operator: Operator) -> None:
    operator.edit("staging", lambda staging: staging["harbor"].update(projects={"docker.io": "dockerhub-proxy"}))
    said = operator.inv(*INSTALL, "--plan")
    assert said.status == 1
    assert "harbor.projects has none for nvcr.io" in said.err
    assert "harbor.projects has none for registry.k8s.io" in said.err


def test_07_where_every_node_is_tainted_the_helm_job_would_never_run(lab: Lab, operator: Operator) -> None:
    kubectl(lab, "taint", "nodes", "--all", "nvidia.com/gpu=present:NoSchedule")
    said = operator.inv(*INSTALL, "--yes")
    assert said.status == 1
    assert "phi: every node has the taint nvidia.com/gpu" in said.err
    assert "Helm's Job, CoreDNS and Traefik do not tolerate it" in said.err
    assert "--allow-taint" in said.err
    assert release(lab) == 0


def test_08_told_otherwise_it_tries_and_says_that_helm_finds_no_place(lab: Lab, operator: Operator) -> None:
    said = operator.inv(*INSTALL, "--yes", "--allow-taint", *IMPATIENT)
    assert said.status == 1
    assert re.search(
        r"phi: no GPUs: it stands at chart: Helm runs; helm-install-gpu-operator-\w+: it finds no place", said.err
    )
    assert "usually every node has a taint that it does not tolerate" in said.err
    kubectl(lab, "taint", "nodes", "--all", "nvidia.com/gpu-")


def test_09_helm_fails_and_its_words_are_told(lab: Lab, operator: Operator) -> None:
    with broken(lab, HOSTS, "rendered manifests contain a resource that already exists", HELM_FAULT):
        said = operator.inv(*INSTALL, "--yes", "--patience", "20")
    assert said.status == 1
    assert "phi: no GPUs: it stands at chart: " in said.err
    assert "Error: rendered manifests contain a resource that already exists" in said.err
    assert allocatable(lab) == dict.fromkeys(HOSTS)


def test_10_a_host_without_a_driver_has_trouble_and_the_others_get_their_gpus(lab: Lab, operator: Operator) -> None:
    with broken(lab, [TWO], "no-driver", GPU_FAULT):
        said = operator.inv(*INSTALL, "--yes")
    assert_told(
        said, TWO, "its GPUs do not answer", why="couldn't communicate with the NVIDIA driver", next="nvidia-smi"
    )
    for host in (ONE, THREE):
        assert re.search(rf"^{host} +Kubernetes gives out 1 of its 1 GPUs, validated$", said.err, re.MULTILINE), (
            said.err
        )
        assert re.search(rf"^{host} +a pod of Ollama's image sees 1 GPU$", said.err, re.MULTILINE), said.err
    assert not re.search(rf"^{TWO} .*sees", said.err, re.MULTILINE)


def test_11_the_next_run_does_the_rest_and_shows_the_ladder(lab: Lab, operator: Operator) -> None:
    said = installed(operator)
    assert allocatable(lab) == dict.fromkeys(HOSTS, "1")
    table = said.err[said.err.index("GPU operator v25.10.1") :]
    assert re.match(r"GPU operator v25.10.1; chart: release \d+; operator: available; policy: ready\n", table)
    for host in HOSTS:
        assert re.search(rf"^{host} +580\.95\.05 +loaded +Ready +yes +1 of 1 +yes +yes$", table, re.MULTILINE), table


def test_12_once_more_there_is_nothing_to_do(lab: Lab, operator: Operator) -> None:
    before = snapshot.take(lab)
    assert operator.inv(*INSTALL, "--plan").status == 0
    assert "phi: nothing to do, proved" in installed(operator).err
    assert [
        line for line in snapshot.difference(before, snapshot.take(lab)) if "/var/lib/scout-ollama/" not in line
    ] == []


# -- what breaks afterwards


def test_13_a_gpu_that_fell_off_is_its_hosts_trouble(lab: Lab, operator: Operator) -> None:
    with broken(lab, [THREE], "lost:0", GPU_FAULT):
        said = operator.inv(*INSTALL, "--yes")
    assert_told(said, THREE, "it has 0 GPUs, the inventory says 1", next="dmesg")
    assert f"{ONE}       Kubernetes gives out 1 of its 1 GPUs" in said.err


def test_14_a_policy_that_is_ready_without_a_gpu_fools_nobody(lab: Lab, operator: Operator) -> None:
    with broken(lab, HOSTS, "nfd\n"):
        lab.host(ONE).wait_for(lambda: "NFDLabelsMissing" in kubectl(lab, "get", "clusterpolicies", "-o", "yaml"))
        assert "state: ready" in kubectl(lab, "get", "clusterpolicies", "-o", "yaml")
        said = operator.inv(*INSTALL, "--yes", *IMPATIENT)
    for host in HOSTS:
        assert_told(
            said,
            host,
            "no GPUs: it stands at labels: feature discovery found no GPU, though its pod is ready",
            why="node feature discovery",
            next="describe pods -n gpu-operator",
        )
    installed(operator)


def test_15_a_plugin_that_crashes_on_one_node_is_told_with_its_log(lab: Lab, operator: Operator) -> None:
    with broken(lab, [TWO], "device-plugin\n"):
        replace_pods(lab, PLUGIN, TWO)
        said = operator.inv(*INSTALL, "--yes", "--patience", "15")
        assert_told(
            said, TWO, "no GPUs: it stands at plugin: Kubernetes can give out 0 of its 1 GPUs", why="log: E main.go"
        )
        assert f"{ONE}       Kubernetes gives out 1 of its 1 GPUs, validated" in said.err
        assert re.search(rf"^{TWO} +580\.95\.05 +loaded +Ready +yes +(no|coming) ", said.err, re.MULTILINE), (
            "the table shows where it stands"
        )
    replace_pods(lab, PLUGIN, TWO)
    installed(operator)


def test_16_cuda_that_does_not_run_is_told(lab: Lab, operator: Operator) -> None:
    with broken(lab, [TWO], "validator\n"):
        replace_pods(lab, "nvidia-operator-validator", TWO)
        said = operator.inv(*INSTALL, "--yes", "--patience", "15")
        assert_told(
            said, TWO, "no GPUs: it stands at ", why="usually driver and container toolkit of the host do not fit"
        )
    replace_pods(lab, "nvidia-operator-validator", TWO)
    replace_pods(lab, "nvidia-cuda-validator", TWO)
    installed(operator)


def test_17_an_operator_that_is_not_available_is_told(lab: Lab, operator: Operator) -> None:
    with broken(lab, HOSTS, "operator\n"):
        available = "jsonpath={.items[0].status.availableReplicas}"
        query = [
            "-n",
            "gpu-operator",
            "get",
            "deployments",
            "-l",
            "app.kubernetes.io/component=gpu-operator",
            "-o",
            available,
        ]
        lab.host(ONE).wait_for(lambda: kubectl(lab, *query) in ("", "0"))
        said = operator.inv(*INSTALL, "--yes", *IMPATIENT)
    assert said.status == 1
    assert "phi: no GPUs: it stands at operator: gpu-operator is not available" in said.err
    installed(operator)


def test_18_a_runtime_that_came_after_k3s_is_loaded_by_a_restart(lab: Lab, operator: Operator) -> None:
    program = lab.host(TWO).run(["cat", RUNTIME]).stdout
    lab.host(TWO).run(["rm", RUNTIME])
    lab.host(TWO).run(["systemctl", "restart", "k3s"])
    said = operator.inv(*INSTALL, "--yes")
    assert_told(said, TWO, "the NVIDIA container toolkit is not installed", next="nvidia-container-toolkit")
    lab.host(TWO).run(["install", "-m", "755", "/dev/stdin", RUNTIME], input=program)
    said = installed(operator)
    assert re.search(rf"^{TWO} +restart k3s$", said.err, re.MULTILINE)
    assert "~ k3s: it looks for the NVIDIA runtime at its start only" in said.err


def test_19_a_default_runtime_that_is_not_there_is_told_before_k3s_is_restarted(lab: Lab, operator: Operator) -> None:
    host = lab.host(TWO)
    host.run(["mv", RUNTIME, f"{RUNTIME}.away"])
    host.run(["sh", "-c", "echo 'default-runtime: \"nvidia\"' >>/etc/rancher/k3s/config.yaml"])
    said = operator.inv(*INSTALL, "--yes")
    host.run(["sed", "-i", "/^default-runtime:/d", "/etc/rancher/k3s/config.yaml"])
    host.run(["mv", f"{RUNTIME}.away", RUNTIME])
    assert_told(said, TWO, "its K3s would not start again", why="default-runtime is nvidia", next="sed -i")


def test_20_after_a_reboot_it_is_proved_again(lab: Lab, operator: Operator) -> None:
    lab.host(THREE).reboot()
    lab.host(THREE).wait_for_units()
    installed(operator)
    assert allocatable(lab)[THREE] == "1"


def test_21_gpus_that_another_pod_will_have_are_neither_tried_nor_waited_for(lab: Lab, operator: Operator) -> None:
    """As after a reboot, where Ollama's own pod may come first; this one has its GPU and never runs."""
    container = {"name": "none", "image": "registry.example.edu/none", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    spec = {"nodeSelector": {"kubernetes.io/hostname": TWO}, "containers": [container]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "first", "namespace": "default"}, "spec": spec}
    kubectl(lab, "apply", "-f", "-", stdin=json.dumps(pod))
    kubectl(lab, "wait", "-n", "default", "--for=condition=PodScheduled", "pod/first", "--timeout=60s")
    operator.edit("phi", values(gfd={"resources": {}}))
    said = operator.inv(*INSTALL, "--yes")
    kubectl(lab, "delete", "pod", "-n", "default", "first")
    assert said.status == 0, said.err
    assert re.search(rf"^{TWO} +its GPUs are not tried: default/first has them$", said.err, re.MULTILINE), said.err
    for host in (ONE, THREE):
        assert re.search(rf"^{host} +a pod of Ollama's image sees 1 GPU$", said.err, re.MULTILINE), said.err


def test_22_another_operator_is_not_fought_with(lab: Lab, operator: Operator) -> None:
    labels = {"app": "gpu-operator", "app.kubernetes.io/component": "gpu-operator"}
    container = {"name": "op", "image": "docker.io/library/busybox:1.36"}
    other = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "gpu-operator", "namespace": "default", "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }
    kubectl(lab, "apply", "-f", "-", stdin=json.dumps(other))
    operator.edit("phi", values(devicePlugin={"args": ["--pass-device-specs"]}))
    said = operator.inv(*INSTALL, "--yes")
    kubectl(lab, "delete", "deployment", "-n", "default", "gpu-operator")
    assert said.status == 1
    assert "phi: there is another GPU operator, in namespace default" in said.err
    assert "helm uninstall RELEASE --namespace default" in said.err


def test_23_ollama_is_deployed_onto_these_gpus_and_then_asked_what_it_sees(lab: Lab, operator: Operator) -> None:
    said = operator.deploy()
    assert said.status == 0, said.err
    for host in HOSTS:
        assert re.search(rf"^{host} +its Ollama found 1 of 1 GPUs$", said.err, re.MULTILINE), said.err
    assert "its Ollama found 1 of 1 GPUs" in installed(operator).err
    assert kubectl(lab, "-n", "gpu-operator", "get", "pods", "-o", "name").count("try-gpus") == 0


# -- releases


@pytest.fixture
def newer(operator: Operator) -> Operator:
    """An operator whose inventory wants the next release."""
    chart.write(operator.site / "charts", "v26.7.0")
    operator.edit(
        "phi", lambda phi: phi["gpu_operator"].update(version="v26.7.0", chart=f"charts/{chart.file_name('v26.7.0')}")
    )
    return operator


def test_24_an_upgrade_shows_first_what_will_differ_and_what_is_held(lab: Lab, newer: Operator) -> None:
    said = newer.inv(*INSTALL, "--plan")
    assert said.status == 2
    assert "~ chart gpu-operator: v25.10.1 → v26.7.0" in said.err
    assert re.search(r"devicePlugin\.version: v0\.18\.1 → v0\.20\.0", said.err)
    assert re.search(r"= dcgmExporter.serviceMonitor.enabled: stays False, though its default is True now", said.err)
    assert "chartContent" in said.err
    assert not re.search(r"[A-Za-z0-9+/]{200}", said.err), "no base64 is shown to anybody"
    assert allocatable(lab) == dict.fromkeys(HOSTS, "1")


def test_25_an_upgrade_that_fails_takes_nothing_away_that_worked(lab: Lab, newer: Operator) -> None:
    pods = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}")
    before = release(lab)
    with broken(lab, HOSTS, "UPGRADE FAILED: cannot patch", HELM_FAULT):
        said = newer.inv(*INSTALL, "--yes")
    assert said.status == 1
    assert "phi: no GPUs: it stands at chart" in said.err
    assert "UPGRADE FAILED: cannot patch" in said.err
    assert "put back gpu_operator in phi.yaml" in said.err
    assert release(lab) == before
    assert allocatable(lab) == dict.fromkeys(HOSTS, "1")
    assert kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}") == pods


def test_26_a_job_that_gave_up_is_run_again_by_the_next_run_which_waits_for_its_own_release(
    lab: Lab, newer: Operator
) -> None:
    before = release(lab)
    said = installed(newer)
    assert re.search(r"run Helm again|chart: ", said.err)
    assert release(lab) == before + 1
    assert f"chart: release {before + 1}" in said.err
    images = "jsonpath={.items[*].spec.containers[*].image}"
    plugins = kubectl(lab, "-n", "gpu-operator", "get", "pods", "-l", f"app={PLUGIN}", "-o", images).split()
    assert plugins == ["nvcr.io/nvidia/k8s-device-plugin:v0.20.0"] * 3
    assert "its Ollama found 1 of 1 GPUs" in said.err


def test_27_every_image_is_pulled_on_every_host_first_if_wanted(lab: Lab, newer: Operator) -> None:
    manager = "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.15.0"
    lab.host(TWO).run(["k3s", "crictl", "rmi", manager])
    said = newer.inv(*INSTALL, "--yes", "--pre-pull")
    assert said.status == 0, said.err
    assert f"{TWO}       pull {manager}" in said.err
    for host in HOSTS:
        assert "k8s-mig-manager" in lab.host(host).run(["k3s", "crictl", "images", "-o", "json"]).stdout
    assert newer.inv(*INSTALL, "--plan", "--pre-pull").status == 0


def test_28_what_a_removal_stops_is_said_first(lab: Lab, newer: Operator) -> None:
    said = newer.inv(*INSTALL, "--remove", "--plan")
    assert said.status == 2
    assert "- HelmChart kube-system/gpu-operator" in said.err
    for host in HOSTS:
        assert f"~ {host}: GPUs that Kubernetes gives out: 1 → 0" in said.err
        assert re.search(rf"~ pod ollama/ollama-\w+ on {host}: keeps its GPUs until it ends", said.err)
    assert allocatable(lab) == dict.fromkeys(HOSTS, "1")


def test_29_it_is_removed(lab: Lab, newer: Operator) -> None:
    said = newer.inv(*INSTALL, "--remove", "--yes")
    assert said.status == 0, said.err
    assert "nothing of the GPU operator is left" in said.err
    assert "phi: to undo it: inv install-gpu-operator --hosts phi" in said.err
    assert release(lab) == 0
    assert newer.inv(*INSTALL, "--remove", "--plan").status == 0


def test_30_ctrl_c_while_it_waits_loses_nothing_and_the_next_run_ends_it(lab: Lab, newer: Operator) -> None:
    with newer.typing(*INSTALL, "--yes") as process:
        lab.host(ONE).wait_for(lambda: release(lab) == 1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "phi: interrupted" in err
    installed(newer)
    assert release(lab) == 1


def test_31_with_the_operators_own_toolkit_k3s_is_restarted_to_find_it(lab: Lab, operator: Operator) -> None:
    for words in (("remove-ollama", "--hosts", "phi", "--yes"), (*INSTALL, "--remove", "--yes")):
        assert operator.inv(*words).status == 0
    for host in HOSTS:
        lab.host(host).run(["rm", RUNTIME])
        lab.host(host).run(["systemctl", "restart", "k3s"])
    operator.edit("phi", lambda phi: phi["gpu_operator"].update(toolkit="operator"))
    said = installed(operator)
    for host in HOSTS:
        assert re.search(rf"^{host} +wait for the operator's container toolkit$", said.err, re.MULTILINE), said.err
        assert re.search(rf"^{host} +restart k3s$", said.err, re.MULTILINE), said.err
        rendered = lab.host(host).run(["cat", "/var/lib/rancher/k3s/agent/etc/containerd/config.toml"]).stdout
        assert "/usr/local/nvidia/toolkit/nvidia-container-runtime" in rendered, "a restart of the host finds it too"
    assert allocatable(lab) == dict.fromkeys(HOSTS, "1")
    assert operator.inv(*INSTALL, "--plan").status == 0
