"""What a lab host is: a machine of its own, as far as an operator with SSH can tell."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from lab.lab import Lab
from scout_ollama.errors import Trouble

pytestmark = pytest.mark.lab

Ssh = Callable[[str, str], CompletedProcess[str]]


def test_an_operator_who_is_not_root_logs_in_and_may_use_sudo(ssh: Ssh) -> None:
    assert ssh("node-1", "id -un; hostname; sudo -n id -un").stdout.split() == ["scout", "node-1", "root"]


def test_each_host_has_its_address_and_knows_the_others_by_name(lab: Lab, ssh: Ssh) -> None:
    addresses = ssh("node-1", "hostname -I; getent hosts node-2").stdout.split()
    assert addresses[:2] == [lab.host("node-1").address, lab.host("node-2").address]
    assert ssh("node-1", "ping -c 1 -W 2 node-2").returncode == 0


def test_a_host_sees_its_own_processes_only(ssh: Ssh) -> None:
    processes = ssh("node-1", "ps -e -o args=").stdout
    assert processes.count("[listener]") == 1
    assert "pytest" not in processes


def test_what_one_host_writes_no_other_has(lab: Lab, ssh: Ssh) -> None:
    assert ssh("node-1", "echo mine | sudo tee /etc/motd").returncode == 0
    assert (lab.host("node-1").root / "etc/motd").read_text() == "mine\n"
    assert "mine" not in ssh("node-2", "cat /etc/motd").stdout


def test_root_on_a_host_can_do_what_k3s_does(ssh: Ssh) -> None:
    script = """
        sudo ip netns add pod
        sudo ip link add veth0 type veth peer name eth0 netns pod
        sudo ip netns exec pod ip link set eth0 up
        sudo nft 'add table ip nat; add chain ip nat in { type nat hook prerouting priority -100; }'
        sudo sysctl -qw net.ipv4.ip_forward=1
        sudo mkdir -p /mnt/volume
        sudo mount -t tmpfs none /mnt/volume
        sudo unshare --net --mount --pid --fork true
        echo done
    """
    done = ssh("node-1", f"set -e; {script}")
    assert done.stdout == "done\n", done.stderr


def test_root_on_a_host_cannot_change_the_machine(ssh: Ssh) -> None:
    forwarding = Path("/proc/sys/net/ipv4/ip_forward")
    before = forwarding.read_text()
    other = "0" if before.strip() == "1" else "1"
    assert ssh("node-1", f"sudo sysctl -qw net.ipv4.ip_forward={other}").returncode == 0
    assert forwarding.read_text() == before
    assert ssh("node-1", "sudo sysctl -qw vm.swappiness=1").returncode != 0
    assert ssh("node-1", "sudo touch /opt/lab/src/lab/standins/mine").returncode != 0


def test_units_start_stop_and_restart_and_their_log_is_kept(ssh: Ssh) -> None:
    unit = r"[Unit]\nDescription=Test\n[Service]\nExecStart=/bin/sh -c \"echo began; exec sleep 1000\"\n"
    script = f"""
        printf '{unit}[Install]\nWantedBy=multi-user.target\n' | sudo tee /etc/systemd/system/some.service >/dev/null
        systemctl is-active some
        sudo systemctl enable some
        sudo systemctl restart some
        systemctl is-active some
        systemctl show some --property ActiveState,SubState
        sudo systemctl restart some
        journalctl -u some -n 20 --no-pager
        sudo systemctl stop some
        systemctl is-active some
    """
    said = ssh("node-1", script).stdout.split()
    assert said[:2] == ["inactive", "active"]
    assert {"ActiveState=active", "SubState=running"} <= set(said)
    assert said[-3:] == ["began", "began", "inactive"]
    assert "authentication required" in ssh("node-1", "systemctl restart some").stderr


def test_a_share_of_one_host_is_mounted_on_another(ssh: Ssh) -> None:
    assert ssh("node-1", "sudo mkdir /srv/nfs/models; echo blob | sudo tee /srv/nfs/models/one").returncode == 0
    mount = "sudo mkdir /mnt/models; sudo mount -t nfs -o ro,vers=4.2,soft node-1:/srv/nfs/models /mnt/models"
    assert ssh("node-2", f"{mount} && cat /mnt/models/one").stdout == "blob\n"
    assert "Read-only file system" in ssh("node-2", "sudo touch /mnt/models/two").stderr
    assert "Failed to resolve server" in ssh("node-2", "sudo mount -t nfs nowhere:/srv/nfs/models /mnt").stderr
    assert "No such file" in ssh("node-2", "sudo mount -t nfs node-1:/srv/nfs/other /mnt").stderr


def test_a_command_that_fails_says_so_and_on_which_host(lab: Lab) -> None:
    with pytest.raises(Trouble, match=r"node-1: ") as refused:
        lab.host("node-1").run(["cat", "/no/such/file"])
    assert "No such file" in refused.value.why


def test_a_host_that_the_lab_has_not(lab: Lab) -> None:
    with pytest.raises(Trouble, match="has no host node-9"):
        lab.host("node-9")
