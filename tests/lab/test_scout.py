"""A Scout host in the lab: Open WebUI in its pod, an Ollama beside it, and what Kubernetes needs for them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.lab import Lab
from lab.scout import ADMIN, EMBEDDED_URL, PASSWORD, OpenWebUi, Scout
from lab.topology import ClusterSpec, HostSpec
from tests.lab.k3s_cluster import wait

TOPOLOGY = (ClusterSpec("scout", "scout", (HostSpec("scout-1"),)),)


@pytest.fixture(scope="module")
def scout(namespaces: None) -> Iterator[Scout]:  # noqa: ARG001  fixtures are asked for by name
    with Lab.running(f"scout-{os.getpid()}", TOPOLOGY) as lab:
        made = Scout(lab.host("scout-1"))
        made.install(OpenWebUi(replicas=2))
        yield made
        assert lab.tried_to_leave() == {}


def test_a_stateful_set_has_numbered_pods_that_share_a_claim(scout: Scout) -> None:
    assert scout.pods() == ["open-webui-0", "open-webui-1"]
    claims = scout.kubectl("get", "pvc", "-o", "jsonpath={.items[*].status.phase}")
    assert claims == "Bound Bound"


def test_exec_has_input_output_and_status(scout: Scout) -> None:
    said = scout.kubectl("exec", "-i", "open-webui-0", "--", "cat", given="x" * 100_000)
    assert said == "x" * 100_000
    script = "echo out; echo err >&2; exit 3"
    words = ["k3s", "kubectl", "-n", "scout-analytics", "exec", "open-webui-1", "--", "sh", "-c", script]
    done = scout.host.run(words, check=False)
    assert (done.stdout, done.returncode) == ("out\n", 3)
    assert "err\n" in done.stderr
    assert "command terminated with exit code 3" in done.stderr


def test_exec_without_input_is_at_its_end(scout: Scout) -> None:
    assert scout.kubectl("exec", "open-webui-0", "--", "cat") == ""


def test_exec_in_a_pod_that_is_not_there(scout: Scout) -> None:
    words = ["k3s", "kubectl", "-n", "scout-analytics", "exec", "open-webui-7", "--", "true"]
    assert '"open-webui-7" not found' in scout.host.run(words, check=False).stderr


def test_the_administrator_chats_through_the_embedded_ollama(scout: Scout) -> None:
    assert scout.ask("/ollama/config")["OLLAMA_BASE_URLS"] == [EMBEDDED_URL]
    chat = {"model": "tiny:latest", "messages": [{"role": "user", "content": "hello"}], "stream": False}
    assert scout.ask("/ollama/api/chat/0", chat, pod="open-webui-1")["message"]["content"]


def test_a_new_template_replaces_the_last_pod_first_and_the_database_stays(scout: Scout) -> None:
    scout.ask("/ollama/config/update", {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": ["x"], "OLLAMA_API_CONFIGS": {}})
    before = scout.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").split()
    wanted = OpenWebUi(replicas=2, environment={"OLLAMA_BASE_URLS": "http://other"})
    scout.install(wanted)
    after = scout.kubectl("get", "pods", "-o", "jsonpath={.items[*].metadata.uid}").split()
    assert len(set(before) & set(after)) == 1  # Ollama's
    assert scout.ask("/ollama/config")["OLLAMA_BASE_URLS"] == ["x"]


def test_a_claim_stays_while_a_pod_uses_it_and_takes_its_directory_with_it(scout: Scout) -> None:
    storage = "/var/lib/rancher/k3s/storage"
    scout.kubectl("delete", "pvc", "ollama", "--wait=false")
    assert scout.kubectl("get", "pvc", "ollama", "-o", "jsonpath={.metadata.deletionTimestamp}")
    scout.kubectl("scale", "deployment/ollama", "--replicas=0")
    scout.kubectl("wait", "pvc/ollama", "--for=delete", "--timeout=40s")
    wait(
        lambda: "_ollama" not in scout.host.run(["ls", storage]).stdout,
        lambda: (
            scout.host.run(
                ["sh", "-c", f"find {storage} | head -20; k3s kubectl get pv; journalctl -u k3s | tail"]
            ).stdout
        ),
    )


def test_the_wrong_password_is_refused(scout: Scout) -> None:
    assert "token" in scout.ask("/api/v1/auths/signin", {"email": ADMIN, "password": PASSWORD}, token="")
    assert "detail" in scout.ask("/api/v1/auths/signin", {"email": ADMIN, "password": "wrong"}, token="")
