"""What preflight says about a host and a cluster, judged from facts alone."""

from __future__ import annotations

from typing import Any

import pytest

from scout_ollama import checks
from scout_ollama.facts import ClusterFacts, HostFacts, Section, Space
from scout_ollama.inventory import Harbor, Host, Model, Ollama
from tests.samples import NOW, host_facts

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server", "gpu"}), gpus=1)
OLLAMA = Ollama(models=[Model(name="tiny:latest")])


def node(name: str = "phi-gpu-1", *, ready: str = "True", gpus: str = "1", memory: str = "81559") -> dict[str, Any]:
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.memory": memory}
    return {
        "metadata": {"name": name, "labels": labels},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "Kubelet stopped posting node status."}],
            "allocatable": {"nvidia.com/gpu": gpus},
        },
    }


HARBOR = Harbor(url="https://harbor.example.edu")


def on_host(ollama: Ollama, facts: HostFacts, harbor: Harbor = HARBOR) -> list[checks.Finding]:
    of_host = checks.of_host(HOST, ollama, facts, harbor=harbor, now=NOW)
    return [*of_host, *checks.of_store(HOST, facts, ollama.store)]


def in_cluster(*nodes: dict[str, Any]) -> list[checks.Finding]:
    return checks.of_cluster([HOST], OLLAMA, ClusterFacts(nodes=nodes, live={}, would_be={}, owned={}))


def test_a_good_host_in_a_good_cluster_has_no_findings() -> None:
    assert on_host(OLLAMA, host_facts()) == []
    assert in_cluster(node()) == []


@pytest.mark.parametrize(
    ("changed", "check", "what", "why"),
    [
        ({"clock": int(NOW) - 86400}, "clock", "24 h 0 min behind", "certificates"),
        ({"clock": int(NOW) + 3900}, "clock", "1 h 5 min ahead", "certificates"),
        ({"k3s_version": None}, "k3s", "not installed", ""),
        ({"k3s_version": "v1.21.4+k3s1"}, "k3s", "v1.21.4+k3s1 is too old", "v1.29"),
        ({"k3s_active": False}, "k3s", "K3s is not running", "is-active"),
        ({"k3s_writable": False}, "k3s", "cannot be written", "read-only"),
        ({"images_space": Space(10 * 2**20, 2**30)}, "disk", "10 of 1024 MiB are free", "5 %"),
        ({"registry": Section(60, "curl: (60) SSL certificate problem")}, "registry", "does not answer", "SSL"),
        ({"registry": Section(0, "503")}, "registry", "does not answer", "HTTP 503"),
        ({"gpus": Section(9, "NVIDIA-SMI has failed")}, "gpu", "do not answer", "NVIDIA-SMI has failed"),
        ({"gpus": Section(127, "")}, "gpu", "do not answer", "not installed"),
        ({"gpus": Section(124, "")}, "gpu", "do not answer", "did not end in time"),
        ({"gpus": Section(0, "")}, "gpu", "0 GPUs, the inventory says 1", "bus"),
        ({"gpus": Section(6, "No devices were found")}, "gpu", "0 GPUs, the inventory says 1", "bus"),
        ({"curl": False}, "curl", "curl is not installed", ""),
        ({"store_directories": False}, "store", "/var/lib/ollama is not there", "blobs/"),
    ],
)
def test_what_does_not_hold_is_found_and_says_why_and_what_to_type(
    changed: dict[str, Any], check: str, what: str, why: str
) -> None:
    (finding,) = on_host(OLLAMA, host_facts(**changed))
    assert (finding.check, finding.host, finding.status) == (check, "phi-gpu-1", "fail")
    assert what in finding.what
    assert why in finding.why
    assert finding.next


def test_harbor_asking_for_a_token_is_a_harbor_that_answers() -> None:
    assert on_host(OLLAMA, host_facts(registry=Section(0, "401"))) == []


@pytest.mark.parametrize(
    ("registry", "why"),
    [
        (Section(28, "curl: (28) Connection timeout after 5000 ms"), "curl: (28) Connection timeout after 5000 ms"),
        (Section(0, "503"), "HTTP 503 to /v2/"),
    ],
)
def test_a_harbor_that_does_not_answer_is_named_whatever_curl_says(registry: Section, why: str) -> None:
    (finding,) = on_host(OLLAMA, host_facts(registry=registry))
    assert (finding.what, finding.why) == ("Harbor does not answer this host", f"{HARBOR.url}: {why}")


def test_a_harbor_that_refuses_the_credentials_is_told_before_they_are_written_anywhere() -> None:
    with_robot = HARBOR.model_copy(update={"username": "robot$pull"})
    (finding,) = on_host(OLLAMA, host_facts(registry=Section(0, "401")), with_robot)
    assert finding.what == "Harbor refuses robot$pull"
    assert "harbor.password" in finding.next


def test_a_node_of_another_name_is_told_with_the_names_that_are_there() -> None:
    (finding,) = in_cluster(node("gpu1.phi.example.edu"))
    assert finding.what == "the cluster has no node named phi-gpu-1"
    assert "gpu1.phi.example.edu" in finding.why
    assert "node_name" in finding.next


def test_a_node_that_is_not_ready_is_told_with_its_kubelets_words() -> None:
    (finding,) = in_cluster(node(ready="Unknown"))
    assert "stopped posting" in finding.why


def test_gpus_that_kubernetes_cannot_give_out_need_the_operator() -> None:
    shared = OLLAMA.model_copy(update={"hostname": "ollama.phi.example.edu"})
    facts = ClusterFacts(nodes=(node(gpus="0"),), live={}, would_be={}, owned={})
    (finding,) = checks.of_cluster([HOST], shared, facts)
    assert finding.next == "inv install-gpu-operator --hosts phi"


def test_a_scouts_own_gpus_are_its_playbooks_business() -> None:
    (finding,) = in_cluster(node(gpus="0"))
    assert "Scout's own playbooks" in finding.next


def test_gpus_that_are_too_small_are_told_before_a_pod_waits_for_a_place() -> None:
    wanted = OLLAMA.model_copy(update={"min_gpu_memory_gib": 80})
    facts = ClusterFacts(nodes=(node(memory="40960"),), live={}, would_be={}, owned={})
    (finding,) = checks.of_cluster([HOST], wanted, facts)
    assert finding.what == "its GPUs have 40960 MiB, wanted are 80 GiB"


def test_a_taint_that_keeps_traefik_away_from_a_shared_ollama_is_told() -> None:
    tainted = {**node(), "spec": {"taints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]}}
    facts = ClusterFacts(nodes=(tainted,), live={}, would_be={}, owned={})
    shared = OLLAMA.model_copy(update={"hostname": "ollama.phi.example.edu"})
    (finding,) = checks.of_cluster([HOST], shared, facts)
    assert finding.status == "warn"
    assert "kubectl taint nodes phi-gpu-1 nvidia.com/gpu-" in finding.next


def test_registries_that_k3s_could_not_read_are_not_written_over() -> None:
    (finding,) = on_host(OLLAMA, host_facts(registries="mirrors: [docker.io]"))
    assert finding.check == "registries"


def test_a_cpu_only_ollama_needs_no_gpu() -> None:
    cpu_only = OLLAMA.model_copy(update={"cpu_only": True})
    assert on_host(cpu_only, host_facts(gpus=Section(127, ""))) == []
