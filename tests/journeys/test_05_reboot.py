"""A GPU host is rebooted, as for a kernel update: the others serve meanwhile, and it serves again by itself.

Only then does anybody type something, and there is nothing to do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from lab.lab import Lab
from lab.process import holds_in_time
from tests.journeys.conftest import Operator, from_scout

pytestmark = pytest.mark.lab

URL = "https://ollama.phi.example.edu"

GPU_HOSTS = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")
HOSTNAME = "ollama.phi.example.edu"
SECONDS = 90


@pytest.fixture(autouse=True, scope="module")
def deployed(lab: Lab) -> None:
    """Everything here happens to a cluster that serves."""
    said = Operator(lab.site).deploy()
    assert said.status == 0, said.err


def get(lab: Lab, *words: str) -> dict[str, Any]:
    """What the cluster says, asked through any of its servers; nothing while none answers."""
    for host in GPU_HOSTS:
        kubectl = ["k3s", "kubectl", "--request-timeout=3s", "get", "--output=json"]
        done = lab.host(host).run([*kubectl, *words], check=False)
        if done.returncode == 0:
            found: dict[str, Any] = json.loads(done.stdout)
            return found
    return {}


def is_ready(obj: dict[str, Any]) -> bool:
    conditions = obj.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def pod_on(lab: Lab, host: str) -> dict[str, Any]:
    """Ollama's pod on a host."""
    pods = get(lab, "pods", "--namespace=ollama", f"--field-selector=spec.nodeName={host}").get("items", [])
    return pods[0] if len(pods) == 1 else {}


def container_of(pod: dict[str, Any]) -> str:
    """The id of the one container that runs now."""
    return str((pod["status"].get("containerStatuses") or [{}])[0].get("containerID", ""))


def answer_through(lab: Lab, node: str) -> str:
    """What a Scout host gets from the endpoint on one of its nodes; empty if that is an error."""
    address = lab.host(node).address
    return from_scout(lab, "--fail", "--resolve", f"{HOSTNAME}:443:{address}", f"{URL}/api/version", check=False)


def answers_through(lab: Lab, nodes: Sequence[str], until: Future[None]) -> dict[str, list[str]]:
    """The answers of each of these nodes, asked in turn until something else is done, and once more."""
    answers: dict[str, list[str]] = {node: [] for node in nodes}
    while True:
        last = until.done()
        for node in nodes:
            answers[node].append(answer_through(lab, node))
        if last:
            return answers


def assert_serves_meanwhile(node: str, answers: Sequence[str]) -> None:
    """Traefik asks all pods in turn and learns late that one is gone: one request may fail, never the next one too."""
    assert len(answers) > 3, f"{node} was hardly asked"
    for one, next_one in pairwise(answers):
        assert "version" in one or "version" in next_one, f"{node} served nothing for a while: {answers}"
    assert "version" in answers[-1]


def reboot_until_it_serves(lab: Lab, host: str) -> None:
    before = container_of(pod_on(lab, host))
    rebooted = lab.host(host)
    rebooted.reboot()
    boot = rebooted.boot_id()

    def serves() -> bool:
        node, pod = get(lab, "node", host), pod_on(lab, host)
        if not (is_ready(node) and is_ready(pod)):
            return False
        return bool(node["status"]["nodeInfo"]["bootID"] == boot and container_of(pod) != before)

    assert holds_in_time(serves, SECONDS), f"{get(lab, 'node', host)}\n{pod_on(lab, host)}\n{rebooted.console()}"


@pytest.mark.parametrize("host", GPU_HOSTS)
def test_a_rebooted_host_serves_again_and_the_others_meanwhile(lab: Lab, operator: Operator, host: str) -> None:
    pods = {node: pod_on(lab, node)["metadata"]["uid"] for node in GPU_HOSTS}
    others = [node for node in GPU_HOSTS if node != host]
    with ThreadPoolExecutor() as pool:
        back = pool.submit(reboot_until_it_serves, lab, host)
        answers = answers_through(lab, others, until=back)
    back.result()
    for node in others:
        assert_serves_meanwhile(node, answers[node])

    # On the rebooted host the kubelet may have turned the pod away, as no device plugin had registered its GPU yet.
    assert {node: pod_on(lab, node)["metadata"]["uid"] for node in others} == {node: pods[node] for node in others}
    said = operator.deploy("--yes", "--json")
    assert said.status == 0, said.err
    result = json.loads(said.out)["phi"]
    assert (result["changes"], result["made"]) == ([], False)
    assert {entry["host"] for entry in result["proved"]} >= set(GPU_HOSTS)
    assert len(result["proved"]) == 3 * 3 + 1
