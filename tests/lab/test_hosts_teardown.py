"""A lab that is gone has left nothing; labs side by side do not touch each other."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab import commands, networks, paths, record
from lab.lab import Lab
from lab.labhost import LabHost
from lab.process import holds_in_time, run
from lab.topology import ssh_hosts
from scout_ollama.errors import Trouble

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("namespaces")]

NAME = f"test-{os.getpid()}"


@pytest.fixture(autouse=True)
def no_lab_outlives_its_test() -> Iterator[None]:
    yield
    for name in record.names():
        if name.startswith(NAME):
            Lab.load(name).down()


@dataclass(frozen=True)
class Footprint:
    """What a running lab has of this machine."""

    lab: str
    network: int
    namespaces: frozenset[str]

    @classmethod
    def of(cls, lab: str) -> "Footprint":
        network = json.loads((paths.labs() / lab / "lab.json").read_text())["network"]
        switch = int((networks.RESERVATIONS / str(network) / "switch").read_text().split()[0])
        ours = _namespaces_of(os.getpid())
        return cls(lab, network, frozenset().union(*map(_namespaces_of, _family(switch))) - ours)

    def left(self) -> dict[str, list[str]]:
        """What of it is still there; nothing is left out, so that a failing test shows all of it."""
        there = {
            "processes": [str(pid) for pid in _pids() if _namespaces_of(pid) & self.namespaces],
            "mounts": [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if self.lab in line],
            "links": [link["ifname"] for link in json.loads(run(["ip", "-json", "link"]).stdout)],
            "files": [str(paths.labs() / self.lab), str(networks.RESERVATIONS / str(self.network))],
        }
        there["links"] = [name for name in there["links"] if name == f"scout-lab{self.network}"]
        there["files"] = [name for name in there["files"] if Path(name).exists()]
        return {kind: found for kind, found in there.items() if found}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _namespaces_of(pid: int) -> frozenset[str]:
    with suppress(OSError):
        return frozenset(str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("net", "mnt", "pid"))
    return frozenset()


def _family(ancestor: int) -> set[int]:
    """A process and all that descend from it."""
    parents = {}
    for pid in _pids():
        with suppress(OSError):
            parents[pid] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family


def trouble_of(host: LabHost) -> str:
    try:
        host.run(["true"])
    except Trouble as trouble:
        return str(trouble)
    return ""


def test_down_leaves_nothing() -> None:
    with Lab.running(NAME, ssh_hosts(3), k3s=False) as lab:
        lab.host("node-1").fill("/home")
        lab.host("node-2").freeze()
        lab.host("node-3").cut()
        footprint = Footprint.of(NAME)
        assert len(footprint.namespaces) == 3 + 3 * 3, "those of the switch and of each host"
        assert set(footprint.left()) == {"processes", "links", "files"}
    assert footprint.left() == {}


def test_a_lab_whose_maker_was_killed_is_taken_down_by_name() -> None:
    program = f"""
import os, signal
from lab.lab import Lab
from lab.labhost import LabHost
from lab.topology import ssh_hosts
with Lab.running({NAME!r}, ssh_hosts(2), k3s=False):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", program], cwd=paths.CHECKOUT, check=False)
    assert killed.returncode == -signal.SIGKILL
    footprint = Footprint.of(NAME)
    assert Lab.load(NAME).host("node-1").answers()
    commands.down(NAME)
    assert footprint.left() == {}


def test_a_lab_that_was_never_started_is_taken_down() -> None:
    lab = Lab.create(NAME, ssh_hosts(1), k3s=False)
    network = json.loads((paths.labs() / NAME / "lab.json").read_text())["network"]
    assert (networks.RESERVATIONS / str(network)).exists()
    lab.down()
    assert Footprint(NAME, network, frozenset()).left() == {}


def test_a_lab_whose_switch_died_is_taken_down() -> None:
    lab = Lab.create(NAME, ssh_hosts(1), k3s=False)
    lab.up()
    footprint = Footprint.of(NAME)
    switch = networks.RESERVATIONS / str(footprint.network) / "switch"
    os.kill(int(switch.read_text().split()[0]), signal.SIGKILL)
    assert holds_in_time(lambda: "is not running" in trouble_of(lab.host("node-1")))
    lab.down()
    assert holds_in_time(lambda: footprint.left() == {}), "the kernel is still ending what the switch left"


def test_a_process_that_has_the_id_of_a_dead_switch_is_not_killed() -> None:
    lab = Lab.create(NAME, ssh_hosts(1), k3s=False)
    network = json.loads((paths.labs() / NAME / "lab.json").read_text())["network"]
    with subprocess.Popen(["sleep", "1000"]) as bystander:
        (networks.RESERVATIONS / str(network) / "switch").write_text(f"{bystander.pid} 1\n")
        lab.down()
        assert bystander.poll() is None
        bystander.kill()


def test_labs_run_side_by_side_and_end_alone() -> None:
    with Lab.running(f"{NAME}-a", ssh_hosts(1), k3s=False) as one:
        with Lab.running(f"{NAME}-b", ssh_hosts(1), k3s=False) as other:
            assert one.host("node-1").address != other.host("node-1").address
            assert other.host("node-1").answers()
        assert not other.host("node-1").answers()
        assert one.host("node-1").answers()


def test_a_name_is_one_lab_s() -> None:
    lab = Lab.create(NAME, ssh_hosts(1), k3s=False)
    with pytest.raises(Trouble, match=f"there is a lab {NAME} already"):
        Lab.create(NAME, ssh_hosts(1))
    lab.down()
    with pytest.raises(Trouble, match=f"there is no lab {NAME}"):
        Lab.load(NAME)
    with pytest.raises(Trouble, match="cannot name a lab"):
        Lab.create("../etc")
