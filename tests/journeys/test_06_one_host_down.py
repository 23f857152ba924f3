"""One of three GPU hosts is away while a cluster is built and upgraded: the others are finished, and it catches up."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.lab import Lab
from tests.journeys.conftest import Operator, Said, assert_told, kubectl

pytestmark = pytest.mark.lab

AWAY = "phi-gpu-3"
OTHERS = ("phi-gpu-1", "phi-gpu-2")


@contextmanager
def away(lab: Lab) -> Iterator[None]:
    """The host is cut off, and the cluster has noticed."""
    lab.host(AWAY).cut()
    try:
        kubectl(lab, "wait", "--for=condition=Ready=Unknown", f"node/{AWAY}", "--timeout=60s")
        yield
    finally:
        lab.host(AWAY).restore()
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{AWAY}", "--timeout=60s")


def proved(said: Said) -> list[str]:
    return re.findall(r"^(\S+) +Ollama \S+ answers", said.err, re.MULTILINE)


def test_1_a_pod_that_cannot_be_made_is_told_with_the_clusters_own_words(operator: Operator) -> None:
    assert operator.deploy().status == 0
    operator.edit("phi", lambda phi: phi["ollama"].update(runtime_class="absent"))
    said = operator.deploy()
    assert said.status == 1
    assert re.search(r"^phi-gpu-\d: its Ollama pod is not ready: no pod can be made", said.err, re.MULTILINE), said.err
    assert 'RuntimeClass "absent" not found' in said.err


def test_2_the_first_deploy_finishes_the_hosts_that_are_there(lab: Lab, operator: Operator) -> None:
    kubectl(lab, "delete", "namespace", "ollama", "--wait=true")
    with away(lab):
        said = operator.deploy()
    assert said.status == 1
    assert re.search(rf"^{AWAY}: does not answer", said.err, re.MULTILINE), said.err
    assert proved(said) == list(OTHERS), said.err


def test_3_the_same_command_brings_the_last_one_in(operator: Operator) -> None:
    said = operator.deploy()
    assert said.status == 0, said.err
    assert proved(said) == [*OTHERS, AWAY]


def test_4_an_upgrade_waits_for_all_and_replaces_nothing(lab: Lab, operator: Operator) -> None:
    operator.edit("phi", lambda phi: phi["ollama"].update(version="0.24.1"))
    pods = kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}")
    with away(lab):
        said = operator.deploy()
    assert said.status == 1
    assert "held back: change DaemonSet ollama/ollama" in said.err
    assert f"{AWAY} is not ready for it" in said.err
    assert kubectl(lab, "get", "pods", "-n", "ollama", "-o", "jsonpath={.items[*].metadata.uid}") == pods
    assert operator.deploy().status == 0


def test_5_a_host_that_goes_while_its_turn_has_not_come_is_told_and_not_waited_for(
    lab: Lab, operator: Operator
) -> None:
    operator.edit("phi", lambda phi: phi["ollama"].update(version="0.24.1", keep_alive="3h"))
    with operator.typing("deploy-ollama", "--hosts", "phi", "--yes") as process:
        assert process.stderr
        assert any(line.startswith(AWAY) and "the old pod is still there" in line for line in process.stderr)
        lab.host(AWAY).power_off()
        try:
            _, err = process.communicate(timeout=200)
        finally:
            lab.host(AWAY).power_on()
    told = Said(process.returncode, "", err)
    assert_told(told, AWAY, "its node is not ready", why="Kubelet stopped posting node status")
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{AWAY}", "--timeout=120s")
    said = operator.deploy()
    assert said.status == 0, said.err
