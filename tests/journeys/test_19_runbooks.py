"""Each runbook is followed on the lab as it is written, against the fault that it is for."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from lab.keys import KeyPair
from lab.lab import Lab
from tests.journeys import runbooks
from tests.journeys.conftest import Operator, kubectl
from tests.journeys.runbooks import ByHand, Engineer
from tests.journeys.test_15_models import SHARE, push

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

Story = Callable[[Lab, Operator, Engineer], Iterator[None]]
"""Causes the fault up to its first ``yield``; each further step is what the runbook leaves to a person."""
STORIES: dict[str, Story] = {}


def story(function: Story) -> Story:
    """Tell the story of the runbook of the same name."""
    STORIES[function.__name__.replace("_", "-")] = function
    return function


@pytest.fixture(scope="module")
def deployed(lab: Lab) -> None:
    """Everything here happens to a cluster that serves."""
    said = Operator(lab.site).deploy()
    assert said.status == 0, said.err


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("name", runbooks.names())
def test_a_runbook_does_what_it_says(name: str, lab: Lab, operator: Operator, tmp_path: Path) -> None:
    engineer = Engineer.with_site(tmp_path / "checkout", operator.site)
    by_hand = STORIES[name](lab, operator, engineer)
    next(by_hand)
    engineer.follows(name, by_hand)


def test_what_the_lab_cannot_do_is_listed() -> None:
    listed = (runbooks.DIRECTORY / "README.md").read_text().rpartition("These are all of them:\n\n")[2].splitlines()
    assert listed == [
        f"- [{name}]({name}.md): {step.why}"
        for name in runbooks.names()
        for step in runbooks.steps(name)
        if isinstance(step, ByHand)
    ]


def test_every_runbook_has_its_sections_and_is_in_the_index() -> None:
    index = (runbooks.DIRECTORY / "README.md").read_text()
    for name in runbooks.names():
        text = (runbooks.DIRECTORY / f"{name}.md").read_text()
        assert [line for line in text.splitlines() if line.startswith("## ")] == [
            "## Look",
            "## Do",
            "## It worked",
            "## Undo",
        ], name
        assert "**Symptom.**" in text, name
        assert f"| [{name}]({name}.md) |" in index


# -- the stories


@story
def node_lost(lab: Lab, _: Operator, __: Engineer) -> Iterator[None]:
    lab.host("phi-gpu-3").power_off()
    not_ready(lab, "phi-gpu-3")
    yield
    lab.host("phi-gpu-3").power_on()
    yield


@story
def gpu_fell_off(lab: Lab, _: Operator, __: Engineer) -> Iterator[None]:
    """A fault that a reboot mends: /run is empty after it."""
    host = lab.host("phi-gpu-2")
    host.run(["sh", "-ec", "echo lost:0 >/run/gpu-fault; ln -s /run/gpu-fault /etc/lab/gpu-fault"])
    yield
    yield
    host.run(["rm", "/etc/lab/gpu-fault"])


@story
def certificate_expires(lab: Lab, operator: Operator, _: Engineer) -> Iterator[None]:
    names = ["ollama.phi.example.edu"]
    files = operator.site / "secrets/phi.crt", operator.site / "secrets/phi.key"
    operator.authority.issue(names, valid=timedelta(days=10)).write(*files)
    said = operator.inv("rotate-tls", "--hosts", "phi", "--reason", "a short one", "--yes")
    assert said.status == 0, said.err
    yield
    operator.authority.issue(names).write(*files)
    yield
    for file in files:
        shutil.copy(file, lab.site / "secrets")


@story
def model_update_gone_wrong(lab: Lab, operator: Operator, _: Engineer) -> Iterator[None]:
    """The tag has moved, and moves here."""
    push(lab.host("staging-1"), "tiny:latest=another")
    said = operator.inv("pull-models", "--hosts", "phi", "--update", "--yes")
    assert said.status == 0, said.err
    yield
    shutil.copy(operator.site / "models.lock", lab.site)


@story
def nfs_stale(lab: Lab, _: Operator, __: Engineer) -> Iterator[None]:
    """The share is a mount that is gone, and fstab has it."""
    staging = lab.host("staging-1")
    fstab = f"staging-1:{SHARE}-real {SHARE} nfs defaults 0 0"
    staging.run(["sh", "-ec", f"mv {SHARE} {SHARE}-real; mkdir {SHARE}; echo '{fstab}' >/etc/fstab"])
    yield
    staging.run(["sh", "-ec", f"umount {SHARE}; rmdir {SHARE}; mv {SHARE}-real {SHARE}; : >/etc/fstab"])


@story
def scout_cannot_reach_ollama(lab: Lab, operator: Operator, _: Engineer) -> Iterator[None]:
    """What is deployed was made before there was this Scout."""
    files = operator.site / "scout-prod.yaml", operator.site / "phi.yaml"
    now = [file.read_text() for file in files]
    client = f"{lab.host('scout-prod-1').address}/32"
    files[0].unlink()
    operator.edit("phi", lambda phi: phi["ollama"]["allowed_clients"].remove(client))
    said = operator.deploy()
    assert said.status == 0, said.err
    for file, text in zip(files, now, strict=True):
        file.write_text(text)
    yield


@story
def staging_rebuilt(lab: Lab, operator: Operator, engineer: Engineer) -> Iterator[None]:
    """Another host key is known than it has, and its share is empty."""
    staging = lab.host("staging-1")
    known = operator.site / "known_hosts"
    (line,) = (line for line in known.read_text().splitlines() if line.startswith(staging.address))
    another = f"{staging.address} {KeyPair.generate().public}"
    known.write_text(known.read_text().replace(line, another))
    staging.run(["sh", "-ec", f"rm -r {SHARE}/*; mkdir {SHARE}/blobs {SHARE}/manifests"])
    yield
    engineer.variables["FINGERPRINT"] = fingerprint(line)
    yield
    known.write_text(known.read_text().replace(f"{another}\n", ""))
    yield


@story
def new_gpu_node(lab: Lab, operator: Operator, engineer: Engineer) -> Iterator[None]:
    """Its successor is the same machine, which the cluster does not know yet and which has no models."""
    host = lab.host("phi-gpu-3")
    known, described = operator.site / "known_hosts", operator.site / "phi.yaml"
    (line,) = (line for line in known.read_text().splitlines() if line.startswith(host.address))
    host.run(["systemctl", "stop", "k3s"])
    host.run(["sh", "-ec", "rm -r /var/lib/ollama; mkdir -p /var/lib/ollama"])
    kubectl(lab, "delete", "node", "phi-gpu-3")
    known.write_text(known.read_text().replace(f"{line}\n", ""))
    complete = described.read_text()
    operator.edit("phi", lambda phi: phi["hosts"].pop("phi-gpu-3"))
    yield
    host.run(["systemctl", "start", "k3s"])
    host.wait_for(lambda: "phi-gpu-3" in kubectl(lab, "get", "nodes"))
    kubectl(lab, "wait", "--for=condition=Ready", "node/phi-gpu-3", "--timeout=60s")
    engineer.variables["FINGERPRINT"] = fingerprint(line)
    yield
    described.write_text(complete)
    yield


@story
def k3s_upgrade(lab: Lab, _: Operator, __: Engineer) -> Iterator[None]:
    host = lab.host("phi-gpu-2")
    yield
    described = json.loads(host.run(["cat", "/etc/lab/host.json"]).stdout)
    described["k3s"]["version"] = "v1.36.4+k3s1"
    host.run(["tee", "/etc/lab/host.json"], input=json.dumps(described))
    host.run(["systemctl", "restart", "k3s"])
    yield


@story
def full_disk(lab: Lab, _: Operator, __: Engineer) -> Iterator[None]:
    lab.host("phi-gpu-2").fill("/var/lib/rancher")
    yield
    lab.host("phi-gpu-2").free("/var/lib/rancher")
    yield


@story
def whole_site_cold_start(lab: Lab, _: Operator, __: Engineer) -> Iterator[None]:
    for host in lab.hosts:
        host.power_off()
    yield
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: host.power_on(), lab.hosts))
    yield


@story
def handover(lab: Lab, operator: Operator, engineer: Engineer) -> Iterator[None]:
    yield
    key = KeyPair.generate()
    directory = engineer.checkout.with_name("home") / ".ssh"
    directory.mkdir(parents=True)
    (directory / "scout-ollama.pub").write_text(f"{key.public} newcomer@example.edu\n")
    yield
    (operator.site / "keys/operator").write_text(key.private)
    yield
    for host in lab.hosts:
        host.run(["sed", "-i", "/newcomer@example.edu/d", "/home/scout/.ssh/authorized_keys"])


def not_ready(lab: Lab, node: str) -> None:
    """Return when the cluster has noticed."""
    kubectl(lab, "wait", "--for=condition=Ready=Unknown", f"node/{node}", "--timeout=60s")


def fingerprint(known_hosts_line: str) -> str:
    """As ssh-keygen shows it on the console."""
    digest = hashlib.sha256(base64.b64decode(known_hosts_line.split()[2])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"
