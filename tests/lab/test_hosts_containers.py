"""The same lab where hosts are containers: what an engine can do, and a clear word about what it cannot."""

import os
import time
from collections.abc import Iterator

import pytest

from lab.lab import Lab
from lab.topology import ssh_hosts
from scout_ollama.errors import Trouble
from scout_ollama.inventory import load_site

docker = pytest.importorskip("docker", reason="the docker extra is not installed")

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def engine() -> str:
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine answers; start one and name it in DOCKER_HOST: {error}")
    return "containers"


@pytest.fixture(scope="module")
def lab(engine: str) -> Iterator[Lab]:
    name = f"test-{os.getpid()}"
    with Lab.running(name, ssh_hosts(2), k3s=False, engine=engine) as running:
        yield running
    client = docker.from_env()
    ours = {"label": f"scout-lab={name}"}
    assert client.containers.list(all=True, filters=ours) == []
    assert client.networks.list(filters=ours) + client.volumes.list(filters=ours) == []


def test_a_host_runs_commands_as_root_and_knows_the_others(lab: Lab) -> None:
    host = lab.host("node-1")
    assert host.run(["sh", "-c", "id -un; hostname; cat"], input="given").stdout == "root\nnode-1\ngiven"
    assert host.run(["ping", "-c", "1", "-W", "2", "node-2"]).returncode == 0
    with pytest.raises(Trouble, match="node-1: cat failed with status 1"):
        host.run(["cat", "/no/such/file"])


def test_there_is_no_way_out(lab: Lab) -> None:
    assert lab.host("node-1").run(["ip", "route", "show", "default"]).stdout == ""


def test_a_link_is_cut_and_restored(lab: Lab) -> None:
    host = lab.host("node-1")
    host.cut()
    assert not host.answers()
    host.restore()
    host.wait_for_ssh()


def test_a_host_is_frozen_and_thawed(lab: Lab) -> None:
    host = lab.host("node-1")
    host.freeze()
    assert not host.answers()
    host.thaw()
    host.wait_for_ssh()


def test_the_disk_is_kept_when_the_plug_is_pulled_and_through_a_reboot(lab: Lab) -> None:
    host = lab.host("node-1")
    host.run(["touch", "/etc/kept"])
    host.power_off()
    with pytest.raises(Trouble, match="node-1: the lab host is off"):
        host.run(["true"])
    host.power_on()
    before = host.boot_id()
    host.reboot()
    assert host.boot_id() != before
    host.run(["test", "-e", "/etc/kept"])


def test_a_directory_is_made_read_only_and_the_clock_lies(lab: Lab) -> None:
    host = lab.host("node-1")
    host.read_only("/etc/lab")
    assert "Read-only" in host.run(["touch", "/etc/lab/new"], check=False).stderr
    host.read_write("/etc/lab")
    host.set_clock(-86400)
    assert abs(time.time() - 86400 - int(host.run(["date", "+%s"]).stdout)) < 5


def test_what_an_engine_cannot_do_is_said(lab: Lab) -> None:
    host = lab.host("node-1")
    for impossible in (lambda: host.fill("/etc"), lambda: host.limit("1mbit"), lambda: host.lose(5), lambda: host.root):
        with pytest.raises(Trouble, match=r"node-1: .*cannot be"):
            impossible()


def test_where_the_containers_are_out_of_reach_ssh_is_published(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.containers._is_ours", lambda _: False)
    with Lab.running(f"test-{os.getpid()}-ports", k3s=False, engine=engine) as lab:
        hosts = load_site(lab.site).hosts
        known = (lab.site / "known_hosts").read_text()
        assert {host.address for host in hosts} == {"127.0.0.1"}
        assert all(f"[127.0.0.1]:{host.ssh.port} ssh-ed25519 " in known for host in hosts)
        assert all(lab.host(host.name).endpoint == ("127.0.0.1", host.ssh.port) for host in hosts)
