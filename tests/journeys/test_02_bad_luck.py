"""What goes wrong at 2 a.m., on a cluster that serves.

Each time the message says where, what, why and what to type next; the status is 1; the other hosts are finished; what
worked still works; and once the cause is gone, the same command completes.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.keys import KeyPair
from lab.lab import Lab
from tests.journeys.conftest import Operator, Said, assert_proved, assert_told, kubectl, running_pods

pytestmark = pytest.mark.lab

VICTIM = "phi-gpu-2"
OTHERS = ("phi-gpu-1", "phi-gpu-3")


@pytest.fixture(autouse=True, scope="module")
def deployed(lab: Lab) -> None:
    """Everything here happens to a cluster that serves."""
    said = Operator(lab.site).deploy()
    assert said.status == 0, said.err


@pytest.fixture(autouse=True)
def as_before(lab: Lab, operator: Operator) -> Iterator[None]:
    """There is always something to do, so that finishing means something.

    And whatever a test did and undid: Ollama ran all along, and one more deploy completes.
    """
    kubectl(lab, "delete", "networkpolicy", "-n", "ollama", "ollama")
    pods = running_pods(lab)
    site = operator.site
    yield
    assert pods == running_pods(lab), "no pod was replaced"
    said = Operator(lab.site).deploy()
    assert said.status == 0, f"{site}: {said.err}"


def assert_others_finished(said: Said) -> None:
    assert re.search(r"^phi-gpu-. +create NetworkPolicy ollama/ollama$", said.err, re.MULTILINE), said.err
    assert_proved(said, *OTHERS)


@contextmanager
def file_instead(lab: Lab, path: str, content: str) -> Iterator[None]:
    """Another content of a file on the victim, for as long as it takes."""
    file = lab.host(VICTIM).root / path.lstrip("/")
    before = file.read_bytes()
    file.write_text(content)
    try:
        yield
    finally:
        file.write_bytes(before)


def test_a_host_that_is_down(lab: Lab, operator: Operator) -> None:
    lab.host(VICTIM).cut()
    try:
        said = operator.deploy()
    finally:
        lab.host(VICTIM).restore()
    assert_told(said, VICTIM, "does not answer", why="no answer from", next="ping")
    assert_others_finished(said)


def test_a_host_that_refuses_the_key(operator: Operator) -> None:
    other = operator.site / "keys/other"
    other.touch(mode=0o600)
    other.write_text(KeyPair.generate().private)
    operator.edit("phi", lambda phi: phi["hosts"][VICTIM].update(ssh={"key_file": "keys/other"}))
    said = operator.deploy()
    assert_told(said, VICTIM, "does not let scout log in", why="keys/other", next="authorized_keys")
    assert_others_finished(said)


def test_a_host_that_asks_for_a_sudo_password(lab: Lab, operator: Operator) -> None:
    with file_instead(lab, "/etc/sudoers.d/scout", "scout ALL=(ALL:ALL) ALL\n"):
        said = operator.deploy()
    assert_told(said, VICTIM, "sudo asks scout for a password", next="NOPASSWD")
    assert_others_finished(said)


def test_a_host_whose_disk_is_full(lab: Lab, operator: Operator) -> None:
    lab.host(VICTIM).fill("/var/lib/rancher")
    try:
        said = operator.deploy()
    finally:
        lab.host(VICTIM).free("/var/lib/rancher")
    assert_told(said, VICTIM, "the disk is full", why="evicts", next="du ")
    assert_others_finished(said)


def test_a_host_with_a_read_only_file_system(lab: Lab, operator: Operator) -> None:
    lab.host(VICTIM).read_only("/etc/rancher")
    try:
        said = operator.deploy()
    finally:
        lab.host(VICTIM).read_write("/etc/rancher")
    assert_told(said, VICTIM, "cannot be written", why="read-only", next="findmnt")
    assert_others_finished(said)


def test_a_host_whose_clock_is_a_day_off(lab: Lab, operator: Operator) -> None:
    lab.host(VICTIM).set_clock(-86400)
    try:
        said = operator.deploy()
    finally:
        lab.host(VICTIM).set_clock(0)
    assert_told(said, VICTIM, "its clock is 24 h 0 min behind", why="certificates", next="timedatectl")
    assert_others_finished(said)


def test_a_host_whose_gpus_do_not_answer(lab: Lab, operator: Operator) -> None:
    fault = lab.host(VICTIM).root / "etc/lab/gpu-fault"
    fault.write_text("no-driver\n")
    try:
        said = operator.deploy()
    finally:
        fault.unlink()
    assert_told(said, VICTIM, "its GPUs do not answer", why="NVIDIA-SMI has failed", next="nvidia-smi")
    assert_others_finished(said)
    wait_for_gpus(lab)


def wait_for_gpus(lab: Lab) -> None:
    """Until Kubernetes gives out the victim's GPU again."""
    gpus = "jsonpath={.status.allocatable.nvidia\\.com/gpu}"
    lab.host(VICTIM).wait_for(lambda: kubectl(lab, "get", "node", VICTIM, "-o", gpus) == "1")


def test_a_harbor_that_is_away(lab: Lab, operator: Operator) -> None:
    lab.host("staging-1").cut()
    try:
        said = operator.deploy()
    finally:
        lab.host("staging-1").restore()
    for host in (VICTIM, *OTHERS):
        assert_told(said, host, "Harbor does not answer this host", why="harbor.staging.example.edu", next="harbor")


def test_a_host_key_that_changed(lab: Lab, operator: Operator) -> None:
    address = lab.host(VICTIM).address
    lines = (operator.site / "known_hosts").read_text().splitlines()
    changed = [f"{address} {KeyPair.generate().public}" if line.split()[0] == address else line for line in lines]
    (operator.site / "known_hosts").write_text("\n".join(changed) + "\n")
    said = operator.deploy()
    assert_told(said, VICTIM, "host key", why="SHA256:", next="inv trust-host")
    assert_others_finished(said)


def test_a_host_key_that_nobody_knows(lab: Lab, operator: Operator) -> None:
    address = lab.host(VICTIM).address
    known = operator.site / "known_hosts"
    known.write_text("".join(line for line in known.read_text().splitlines(True) if not line.startswith(address)))
    said = operator.deploy()
    assert_told(said, VICTIM, "host key", why="SHA256:", next="inv trust-host")
    assert_others_finished(said)


def test_a_node_of_another_name(operator: Operator) -> None:
    operator.edit("phi", lambda phi: phi["hosts"][VICTIM].update(node_name="gpu2"))
    said = operator.deploy()
    assert_told(said, VICTIM, "no node named gpu2", why=VICTIM, next="node_name")


def test_k3s_that_does_not_run(lab: Lab, operator: Operator) -> None:
    lab.host(VICTIM).run(["systemctl", "stop", "k3s"])
    try:
        said = operator.deploy()
    finally:
        lab.host(VICTIM).run(["systemctl", "start", "k3s"])
    assert_told(said, VICTIM, "K3s is not running", next="systemctl start k3s")
    assert_others_finished(said)
    kubectl(lab, "wait", "--for=condition=Ready", f"node/{VICTIM}", "--timeout=60s")


def test_an_image_that_harbor_lacks(operator: Operator) -> None:
    operator.edit("phi", lambda phi: phi["ollama"].update(version="0.99.0"))
    said = operator.deploy()
    assert_told(said, VICTIM, "cannot pull docker.io/ollama/ollama:0.99.0", why="not found", next="ollama.version")
    assert "held back: change DaemonSet ollama/ollama" in said.err


@contextmanager
def restarting(lab: Lab, operator: Operator) -> Iterator[subprocess.Popen[str]]:
    """A deploy at the moment when it restarts K3s on the victim, because the victim's registries had gone."""
    victim = lab.host(VICTIM)
    (victim.root / "etc/rancher/k3s/registries.yaml").unlink()
    with operator.typing("deploy-ollama", "--hosts", "phi", "--yes") as process:
        victim.wait_for(lambda: "restart-k3s" in victim.run(["ps", "-eo", "args"]).stdout)
        yield process


def restarted(lab: Lab) -> None:
    """The restart that had begun has ended, though nobody waited for it."""
    victim = lab.host(VICTIM)
    victim.wait_for(lambda: "restart-k3s" not in victim.run(["ps", "-eo", "args"]).stdout)
    assert victim.run(["systemctl", "is-active", "k3s"]).stdout.strip() == "active"


def test_ctrl_c_in_the_middle(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted" in err
    assert "Traceback" not in err
    restarted(lab)


def test_a_link_that_is_cut_half_way(lab: Lab, operator: Operator) -> None:
    with restarting(lab, operator) as process:
        lab.host(VICTIM).cut()
        try:
            _, err = process.communicate(timeout=200)
        finally:
            lab.host(VICTIM).restore()
    restarted(lab)
    said = Said(process.returncode, "", err)
    assert_told(said, VICTIM, "lost")
    assert_others_finished(said)
