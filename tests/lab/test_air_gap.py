"""The air gap of a lab: nothing gets out of it, and what tries is counted and named."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from lab import air_gap, record
from lab.containers import Containers
from lab.lab import Lab
from lab.namespaces import Switch
from lab.process import holds_in_time
from lab.record import Record
from lab.topology import ssh_hosts
from scout_ollama.errors import Trouble

Ssh = Callable[[str, str], CompletedProcess[str]]

POD = """
    ip netns add pod
    ip link add veth0 type veth peer name eth0 netns pod
    ip address add 10.42.1.1/24 dev veth0
    ip link set veth0 up
    ip -n pod address add 10.42.1.2/24 dev eth0
    ip -n pod link set eth0 up
    ip -n pod route add default via 10.42.1.1
    sysctl -qw net.ipv4.ip_forward=1
"""


@pytest.mark.lab
def test_hosts_of_one_lab_reach_each_other_and_that_is_not_leaving(lab: Lab, ssh: Ssh) -> None:
    assert ssh("node-1", "ping -c 1 -W 2 node-2").returncode == 0
    assert ssh("node-2", "sudo -n ping -c 1 -W 2 node-1").returncode == 0
    assert lab.tried_to_leave() == {}


@pytest.mark.lab
def test_who_tries_to_leave_gets_nothing_at_once_and_is_named(lab: Lab, ssh: Ssh) -> None:
    refused = ssh("node-1", "ping -c 1 -W 5 192.0.2.1")
    assert "100% packet loss" in refused.stdout
    assert "Packet filtered" in refused.stdout
    assert "Couldn't connect" in ssh("node-1", "curl -sS --max-time 5 http://192.0.2.7").stderr
    assert lab.tried_to_leave() == {"node-1": ["192.0.2.1: 1 packet", "192.0.2.7: 1 packet"]}


@pytest.mark.lab
def test_a_name_that_the_lab_does_not_know_is_asked_for_outside(lab: Lab, ssh: Ssh) -> None:
    assert "Could not resolve" in ssh("node-2", "curl -sS --max-time 5 https://registry-1.docker.io").stderr
    (tried,) = lab.tried_to_leave()["node-2"]
    assert tried.startswith("192.0.2.53: ")


@pytest.mark.lab
def test_ipv6_is_counted_too(lab: Lab) -> None:
    ping = ["ping", "-c", "1", "-W", "1", "2001:db8::1"]
    assert lab.host("node-1").run(ping, check=False).returncode != 0
    # A new address is used once nobody else is found to have it: the packet may wait for that.
    assert holds_in_time(lambda: "2001:db8::1: 1 packet" in lab.tried_to_leave().get("node-1", []))


@pytest.mark.lab
def test_a_pod_is_counted_as_its_host(lab: Lab) -> None:
    host = lab.host("node-2")
    host.run(["sh", "-ec", POD])
    host.run(["ip", "netns", "exec", "pod", "ping", "-c", "1", "-W", "1", "192.0.2.1"], check=False)
    assert lab.tried_to_leave() == {"node-2": ["192.0.2.1: 1 packet"]}


@pytest.mark.lab
@pytest.mark.parametrize("route", ["default via {machine}", "default dev eth0"], ids=["by the machine", "on the link"])
def test_another_route_leads_nowhere_either(lab: Lab, route: str) -> None:
    host = lab.host("node-1")
    machine = host.address.rpartition(".")[0] + ".1"
    host.run(["ip", "route", "replace", *route.format(machine=machine).split()])
    assert "100% packet loss" in host.run(["ping", "-c", "1", "-W", "1", "192.0.2.1"], check=False).stdout
    (tried,) = lab.tried_to_leave()["node-1"]
    assert tried.startswith("192.0.2.1: ")


@pytest.mark.lab
def test_the_switch_has_one_port_for_each_host_and_one_for_the_machine(lab: Lab) -> None:
    links = json.loads(Switch(record.load(lab.name)).run(["ip", "-json", "link"]).stdout)
    assert {link["ifname"] for link in links} == {"lo", "switch", "machine", "port11", "port12"}
    for host in lab.hosts:
        assert host.run(["ls", "/sys/class/net"]).stdout.split() == ["eth0", "lo"]


@pytest.mark.lab
def test_it_is_there_after_a_reboot_and_forgets_nothing(lab: Lab) -> None:
    host = lab.host("node-1")
    ping = ["ping", "-c", "1", "-W", "1", "192.0.2.1"]
    host.run(ping, check=False)
    host.reboot()
    assert "Packet filtered" in host.run(ping, check=False).stdout
    assert lab.tried_to_leave() == {"node-1": ["192.0.2.1: 2 packets"]}


@pytest.mark.lab
def test_a_person_is_told_in_one_line(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    assert air_gap.main(lab.name) == 0
    assert capsys.readouterr().out == "air gap: no packet tried to leave the lab's hosts\n"
    lab.host("node-1").run(["ping", "-c", "1", "-W", "1", "192.0.2.1"], check=False)
    assert air_gap.main(lab.name) == 1
    assert capsys.readouterr().out == "air gap: node-1 tried to reach 192.0.2.1: 1 packet\n"


def test_where_hosts_are_containers_it_is_not_offered() -> None:
    containers = Containers(Record("some", "containers", 1, ssh_hosts(1), False, "", {}))
    with pytest.raises(Trouble, match="cannot be counted") as refused:
        containers.tried_to_leave()
    assert "namespaces" in refused.value.next


def test_a_lab_of_containers_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Record("some", "containers", 1, ssh_hosts(1), False, "", {}).claim()
    assert air_gap.main("some") == 0
    assert capsys.readouterr().out.startswith("air gap: not counted")


def test_a_lab_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert air_gap.main("no-such-lab") == 1
    assert "there is no lab no-such-lab" in capsys.readouterr().err
