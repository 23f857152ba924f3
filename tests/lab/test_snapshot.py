"""A lab that nothing happens to looks the same; whatever does happen to it is named."""

import json
import os
import subprocess
from collections.abc import Iterator

import pytest

from lab import snapshot
from lab.lab import Lab
from lab.labhost import LabHost
from lab.topology import ClusterSpec, HostSpec

from .k3s_cluster import Object, is_ready, wait

pytestmark = pytest.mark.lab

TOPOLOGY = (ClusterSpec("some", "scout", (HostSpec("server-1"), HostSpec("agent-1", roles=("agent",)))),)


@pytest.fixture(scope="module")
def lab(namespaces: None) -> Iterator[Lab]:  # noqa: ARG001  fixtures are asked for by name
    """A server and an agent; K3s has done all that it does when it begins."""
    with Lab.running(f"snapshot-{os.getpid()}", TOPOLOGY) as running:
        for kind, count in (("nodes", 2), ("pods", 1)):
            wait(lambda: len(found := items(running, kind)) == count and all(map(is_ready, found)))  # noqa: B023
        yield running


@pytest.fixture
def server(lab: Lab) -> LabHost:
    return lab.host("server-1")


def kubectl(lab: Lab, *words: str, given: str = "") -> str:
    return lab.host("server-1").run(["k3s", "kubectl", *words], input=given).stdout


def items(lab: Lab, kind: str) -> list[Object]:
    found: list[Object] = json.loads(kubectl(lab, "get", kind, "--all-namespaces", "-o", "json"))["items"]
    return found


def renewals(lab: Lab) -> set[str]:
    """When each node last said that it is there."""
    return {lease["spec"]["renewTime"] for lease in items(lab, "leases.coordination.k8s.io")}


def log_in(lab: Lab, host: LabHost, command: str) -> str:
    """A session with a terminal, as a person has it."""
    files = ["-o", f"UserKnownHostsFile={lab.site}/known_hosts", "-i", f"{lab.site}/keys/operator"]
    argv = ["ssh", "-F", "/dev/null", "-tt", "-o", "BatchMode=yes", *files, f"scout@{host.address}", command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout


def test_a_lab_that_people_only_look_at_stays_the_same(lab: Lab) -> None:
    before, first = snapshot.take(lab), renewals(lab)
    for host in lab.hosts:
        assert "root" in log_in(lab, host, "sudo -n id -un; sudo -n journalctl -u k3s -n 3; systemctl is-active k3s")
        host.run(["k3s", "crictl", "images"])
    assert "agent-1" in log_in(lab, lab.host("server-1"), "sudo -n k3s kubectl get nodes")
    wait(lambda: renewals(lab).isdisjoint(first))
    assert snapshot.difference(before, snapshot.take(lab)) == []
    assert len(before.files["server-1"]) > 10_000
    assert before.files["server-1"].keys() >= {"/etc/passwd", "/tmp", "/run/boot_id", "/home/scout/.ssh"}  # noqa: S108
    assert {key.kind for key in before.objects["server-1"]} >= {"Deployment", "Namespace", "Node", "Pod"}


def test_a_file_that_comes_changes_and_goes(lab: Lab, server: LabHost) -> None:
    directories = ("/etc", "/home/scout", "/run", "/tmp", "/var/lib/rancher/k3s")  # noqa: S108
    paths = [f"{directory}/some file" for directory in directories]
    steps = {
        "is new": ["touch", *paths],
        "changed: mode": ["chmod", "0600", *paths],
        "changed: owner": ["chown", "scout:scout", *paths],
        "is gone": ["rm", *paths],
    }
    nothing = before = snapshot.take(lab)
    for what, command in steps.items():
        server.run(command)
        after = snapshot.take(lab)
        assert snapshot.difference(before, after) == [f"server-1: {path} {what}" for path in paths]
        before = after
    assert snapshot.difference(nothing, after) == []


def test_a_byte_that_changes_behind_the_same_size_and_time(lab: Lab) -> None:
    host = lab.host("agent-1")
    script = """
        cp -p "$1" /run/stamp
        printf X | dd of="$1" bs=1 seek=2 conv=notrunc status=none
        touch -r /run/stamp "$1"
        rm /run/stamp
    """
    for path in ("/etc/lab/host.json", "/usr/bin/rsync"):
        before = snapshot.take(lab)
        host.run(["sh", "-ec", script, "-", path])
        (changed,) = snapshot.difference(before, snapshot.take(lab))
        assert changed == f"agent-1: {path} changed: content"


def test_a_file_of_the_root_file_system_that_is_removed_or_becomes_a_link(lab: Lab) -> None:
    host = lab.host("agent-1")
    before = snapshot.take(lab)
    host.run(["rm", "/usr/bin/curl"])
    host.run(["ln", "-sf", "/bin/true", "/usr/bin/openssl"])
    assert snapshot.difference(before, snapshot.take(lab)) == [
        "agent-1: /usr/bin/curl is gone",
        "agent-1: /usr/bin/openssl changed: mode, size, target, type",
    ]


def test_a_name_that_is_no_text(lab: Lab, server: LabHost) -> None:
    before = snapshot.take(lab)
    server.run(["sh", "-c", "touch \"$(printf '/srv/\\377')\""])
    assert snapshot.difference(before, snapshot.take(lab)) == [r"server-1: /srv/\xff is new"]


def test_an_object_that_comes_changes_and_goes(lab: Lab) -> None:
    nothing = snapshot.take(lab)
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
    kubectl(lab, "apply", "--server-side", "-n", "kube-system", "-f", "-", given=json.dumps(wanted))
    new = snapshot.take(lab)
    assert snapshot.difference(nothing, new) == ["server-1: ConfigMap kube-system/a is new"]
    kubectl(lab, "patch", "configmap", "a", "-n", "kube-system", "-p", '{"data": {"x": "2"}}')
    (changed,) = snapshot.difference(new, snapshot.take(lab))
    assert changed.startswith("server-1: ConfigMap kube-system/a changed: data.x, ")
    kubectl(lab, "delete", "configmap", "a", "-n", "kube-system")
    assert snapshot.difference(nothing, snapshot.take(lab)) == []


def test_a_heartbeat_is_no_change_and_a_label_is_one(lab: Lab) -> None:
    before = snapshot.take(lab)
    beat = '{"status": {"conditions": [{"type": "Ready", "lastHeartbeatTime": "2030-01-01T00:00:00Z"}]}}'
    written = json.loads(kubectl(lab, "get", "node", "agent-1", "--show-managed-fields", "-o", "json"))["metadata"]
    (agent,) = {entry["manager"] for entry in written["managedFields"] if entry.get("subresource") == "status"}
    words = ("patch", "node", "agent-1", "--subresource=status", f"--field-manager={agent}", "--patch", beat)
    assert "patched" in kubectl(lab, *words)
    assert snapshot.difference(before, snapshot.take(lab)) == []
    kubectl(lab, "label", "node", "agent-1", "rack=7")
    (changed,) = snapshot.difference(before, snapshot.take(lab))
    assert changed.startswith("server-1: Node agent-1 changed: ")
    assert "metadata.labels.rack" in changed
