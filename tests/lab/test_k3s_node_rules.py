"""NetworkPolicies and Services as nft rules; nft itself says whether the rules are rules."""

import os
import shutil
import subprocess

import pytest

from lab.standins.k3s import network_policy, service_proxy
from lab.standins.k3s.objects import Object

NODE = service_proxy.Node("gpu-1", "10.42.1.1")
needs_nft = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("nft") is None, reason="loading rules needs root and the package nftables"
)


def pod(name: str, ip: str, *, node: str = "gpu-1", namespace: str = "ollama", **labels: str) -> Object:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": node, "containers": [{"ports": [{"name": "http", "containerPort": 11434}]}]},
        "status": {"phase": "Running", "podIP": ip},
    }


OLLAMA = pod("ollama", "10.42.1.5", app="ollama")
TRAEFIK = pod("traefik", "10.42.2.7", node="gpu-2", namespace="kube-system", app="traefik")
STRANGER = pod("stranger", "10.42.1.9", namespace="default", app="traefik")
NAMESPACES = [{"metadata": {"name": n, "labels": {"name": n}}} for n in ("ollama", "kube-system", "default")]


def policy(**spec: object) -> Object:
    return {"metadata": {"name": "p", "namespace": "ollama"}, "spec": {"podSelector": {}, **spec}}


def rules(*policies: Object) -> list[str]:
    script = network_policy.render(list(policies), [OLLAMA, TRAEFIK, STRANGER], NAMESPACES, "gpu-1")
    check(script)
    return [line.strip() for line in script.splitlines()]


def check(script: str) -> None:
    """nft parses the script, in a network namespace that ends with the command."""
    if os.geteuid() == 0 and shutil.which("nft"):
        command = ["unshare", "--net", "nft", "-f", "-"]
        done = subprocess.run(command, input=script, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr


def test_without_policies_everybody_is_let_through() -> None:
    assert not any("reject" in line for line in rules())


def test_only_the_ingress_controller_may_call() -> None:
    peer = {
        "namespaceSelector": {"matchLabels": {"name": "kube-system"}},
        "podSelector": {"matchLabels": {"app": "traefik"}},
    }
    made = rules(policy(ingress=[{"from": [peer], "ports": [{"port": "http"}]}]))
    assert "ip daddr 10.42.1.5 jump ingress_10_42_1_5" in made
    assert "ip saddr 10.42.2.7 tcp dport 11434 accept" in made
    assert "reject" in made
    assert not any("10.42.1.9" in line for line in made)


def test_a_pod_selector_alone_means_the_policys_own_namespace() -> None:
    made = rules(policy(ingress=[{"from": [{"podSelector": {"matchLabels": {"app": "traefik"}}}]}]))
    assert not any(line.startswith("ip saddr") for line in made)


def test_a_policy_without_rules_refuses_all() -> None:
    made = rules(policy())
    chain = made.index("chain ingress_10_42_1_5 {")
    assert made[chain + 1 : chain + 3] == ["reject", "}"]


def test_a_rule_without_peers_or_ports_admits_all() -> None:
    assert "accept" in rules(policy(ingress=[{}]))


def test_blocks_of_addresses_with_exceptions_and_ranges_of_ports() -> None:
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
    made = rules(policy(ingress=[{"from": [block], "ports": [{"port": 80, "endPort": 90}]}]))
    assert "ip saddr 10.0.0.0/8 ip saddr != { 10.1.0.0/16 } tcp dport 80-90 accept" in made


def test_egress() -> None:
    made = rules(policy(policyTypes=["Egress"], egress=[{"to": [{"ipBlock": {"cidr": "10.9.0.0/16"}}]}]))
    assert "ip saddr 10.42.1.5 jump egress_10_42_1_5" in made
    assert "ip daddr 10.9.0.0/16 accept" in made
    assert not any("chain ingress" in line for line in made)


def service(kind: str = "ClusterIP", policy: str = "Cluster") -> Object:
    return {
        "metadata": {"name": "web", "namespace": "kube-system"},
        "spec": {
            "type": kind,
            "clusterIP": "10.43.0.9",
            "externalTrafficPolicy": policy,
            "ports": [{"name": "websecure", "port": 443}],
        },
    }


def slices(*endpoints: tuple[str, str]) -> list[Object]:
    return [
        {
            "metadata": {"name": "s", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"name": "websecure", "port": 8443}],
            "endpoints": [{"addresses": [ip], "nodeName": n, "conditions": {"ready": True}} for ip, n in endpoints],
        }
    ]


def proxy(made: Object, *endpoints: tuple[str, str]) -> list[str]:
    script = service_proxy.render([made], slices(*endpoints), [], NODE)
    check(script)
    return [line.strip() for line in script.splitlines()]


BOTH = (("10.42.1.7", "gpu-1"), ("10.42.2.7", "gpu-2"))


@needs_nft
def test_nft_would_say_if_a_rule_were_none() -> None:
    with pytest.raises(AssertionError, match="syntax error"):
        check("table inet t { nonsense }")


def test_a_cluster_ip_is_spread_over_the_endpoints() -> None:
    choice = "dnat ip to numgen random mod 2 map { 0 : 10.42.1.7 . 8443, 1 : 10.42.2.7 . 8443 }"
    assert f"ip daddr 10.43.0.9 tcp dport 443 {choice}" in proxy(service(), *BOTH)


def test_without_endpoints_a_cluster_ip_says_no() -> None:
    assert "ip daddr 10.43.0.9 tcp dport 443 reject" in proxy(service())


def test_cluster_policy_hides_the_client_and_uses_every_node() -> None:
    made = proxy(service("LoadBalancer"), BOTH[1])
    assert "fib daddr type local ip daddr != 127.0.0.0/8 tcp dport 443 dnat to 10.42.2.7:8443" in made
    assert any(line.endswith("ct original proto-dst 443 snat to 10.42.1.1") for line in made)


def test_local_policy_keeps_the_client_and_uses_only_nodes_with_an_endpoint() -> None:
    here = proxy(service("LoadBalancer", "Local"), *BOTH)
    assert "fib daddr type local ip daddr != 127.0.0.0/8 tcp dport 443 dnat to 10.42.1.7:8443" in here
    assert not any("snat" in line for line in here)
    elsewhere = proxy(service("LoadBalancer", "Local"), BOTH[1])
    assert "fib daddr type local ip daddr != 127.0.0.0/8 tcp dport 443 drop" in elsewhere


def test_host_ports() -> None:
    made = pod("p", "10.42.1.8")
    made["spec"]["containers"] = [{"ports": [{"containerPort": 8080, "hostPort": 9090}]}]
    script = service_proxy.render([], [], [made], NODE)
    check(script)
    assert "tcp dport 9090 dnat to 10.42.1.8:8080" in script
    assert "9090" not in service_proxy.render(
        [], [], [{**made, "status": {"phase": "Failed", "podIP": "10.42.1.8"}}], NODE
    )
