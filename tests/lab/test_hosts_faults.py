"""What can happen to a lab host, and that it can be undone."""

import threading
import time
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from lab.lab import Lab
from lab.labhost import LabHost
from lab.process import holds_in_time
from scout_ollama.errors import Trouble
from tests.faults.faults import kill_sshd, start_sshd

pytestmark = pytest.mark.lab

Ssh = Callable[[str, str], CompletedProcess[str]]


@pytest.fixture
def host(lab: Lab) -> LabHost:
    return lab.host("node-1")


def test_a_cut_link_loses_everything_until_it_is_restored(host: LabHost, ssh: Ssh) -> None:
    host.cut()
    lost = ssh("node-1", "true")
    assert lost.returncode == 255
    assert "timed out" in lost.stderr or "No route to host" in lost.stderr
    host.restore()
    assert ssh("node-1", "echo back").stdout == "back\n"


def test_a_link_stays_cut_through_a_reboot(host: LabHost) -> None:
    host.cut()
    host.power_off()
    host.power_on()
    assert not host.answers()
    host.restore()
    host.wait_for_ssh()


def test_a_limited_link_is_as_slow_as_it_should_be(host: LabHost, ssh: Ssh) -> None:
    def seconds_for_a_megabyte() -> float:
        begun = time.monotonic()
        assert ssh("node-1", "head -c 1000000 /dev/zero").stdout.count("\0") == 1_000_000
        return time.monotonic() - begun

    host.limit("4mbit")
    limited = seconds_for_a_megabyte()
    assert limited > 1.5, "8 Mbit at 4 Mbit/s"
    host.restore()
    assert seconds_for_a_megabyte() < limited


def test_a_link_that_loses_packets_sends_them_again_and_loses_no_byte(host: LabHost, ssh: Ssh) -> None:
    def segments_sent_again() -> int:
        counters = host.run(["cat", "/proc/net/snmp"]).stdout.splitlines()
        names, counts = (line.split() for line in counters if line.startswith("Tcp:"))
        return int(dict(zip(names, counts, strict=True))["RetransSegs"])

    def a_megabyte_needs_some_again() -> bool:
        """The link may lose none of this one, or lose what opens the connection, for which two seconds are given."""
        got = ssh("node-1", "head -c 1000000 /dev/zero")
        assert got.returncode == 255 or got.stdout.count("\0") == 1_000_000
        return got.returncode == 0 and segments_sent_again() > before

    before = segments_sent_again()
    host.lose(5)
    assert holds_in_time(a_megabyte_needs_some_again)
    host.restore()
    assert ssh("node-1", "head -c 1000000 /dev/zero").stdout.count("\0") == 1_000_000


def test_a_frozen_host_says_nothing_and_goes_on_when_thawed(host: LabHost, ssh: Ssh) -> None:
    assert ssh("node-1", "(while sleep 0.05; do date >>/tmp/ticks; done) </dev/null >/dev/null 2>&1 &").returncode == 0
    ticks = host.root / "tmp/ticks"
    assert holds_in_time(ticks.exists)
    host.freeze()
    size = ticks.stat().st_size
    assert not host.answers()
    assert ticks.stat().st_size == size
    host.thaw()
    assert host.answers()
    assert holds_in_time(lambda: ticks.stat().st_size > size)


def test_the_plug_is_pulled_and_the_disk_is_kept(host: LabHost, ssh: Ssh) -> None:
    assert ssh("node-1", "echo kept >file; echo lost >/tmp/file").returncode == 0
    host.power_off()
    assert not host.answers()
    with pytest.raises(Trouble, match="node-1: the lab host is off"):
        host.run(["true"])
    host.power_on()
    assert ssh("node-1", "cat file; ls /tmp").stdout == "kept\n"


@pytest.mark.parametrize("command", ["sudo reboot", "sudo systemctl reboot"])
def test_a_reboot_from_inside_is_another_boot_with_its_units(host: LabHost, ssh: Ssh, command: str) -> None:
    unit = r"[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n"
    made = ssh("node-1", f"printf '{unit}' | sudo tee /etc/systemd/system/some.service; sudo systemctl enable some")
    assert made.returncode == 0
    before = ssh("node-1", "cat /proc/sys/kernel/random/boot_id").stdout
    assert ssh("node-1", command).returncode in (0, 255), "the connection may be lost before the command has ended"
    assert holds_in_time(lambda: ssh("node-1", "cat /proc/sys/kernel/random/boot_id").stdout not in ("", before))
    host.wait_for_units()
    assert ssh("node-1", "systemctl is-active some").stdout == "active\n"


def test_a_unit_that_fails_at_first_is_started_again_at_boot(host: LabHost, ssh: Ssh) -> None:
    fails_once = r"ExecStartPre=/bin/sh -c \"test -e /root/tried || { touch /root/tried; false; }\""
    service = rf"[Service]\n{fails_once}\nExecStart=/bin/sleep 1000\nRestart=always\n"
    unit = rf"{service}[Install]\nWantedBy=multi-user.target\n"
    made = ssh("node-1", f"printf '{unit}' | sudo tee /etc/systemd/system/once.service; sudo systemctl enable once")
    assert made.returncode == 0
    host.reboot()
    host.wait_for_units()
    assert ssh("node-1", "sudo ls /root/tried; systemctl is-active once").stdout == "/root/tried\nactive\n"


def test_reboot_returns_when_the_host_is_back(host: LabHost, ssh: Ssh) -> None:
    before = host.boot_id()
    host.reboot()
    assert host.boot_id() != before
    assert ssh("node-1", "true").returncode == 0


def test_a_full_disk_takes_nothing_more_and_loses_nothing(host: LabHost, ssh: Ssh) -> None:
    assert ssh("node-1", "mkdir store; echo old >store/old").returncode == 0
    host.fill("/home/scout/store")
    full = ssh("node-1", "cat store/old; df --output=avail store | tail -1; echo new >store/new")
    assert full.stdout.split() == ["old", "0"]
    assert "No space left on device" in full.stderr
    host.free("/home/scout/store")
    assert ssh("node-1", "echo new >store/new; cat store/old store/new").stdout == "old\nnew\n"


def test_what_is_not_on_the_disk_cannot_be_filled(host: LabHost) -> None:
    with pytest.raises(Trouble, match="node-1: /run cannot be filled"):
        host.fill("/run")


def test_a_directory_becomes_read_only_and_writable_again(host: LabHost, ssh: Ssh) -> None:
    assert ssh("node-1", "mkdir store; echo old >store/old").returncode == 0
    host.read_only("/home/scout/store")
    refused = ssh("node-1", "cat store/old; touch store/new; touch elsewhere")
    assert refused.stdout == "old\n"
    assert refused.stderr.strip().endswith("touch: cannot touch 'store/new': Read-only file system")
    host.read_write("/home/scout/store")
    assert ssh("node-1", "touch store/new").returncode == 0


def test_the_clock_lies_by_as_much_as_asked(host: LabHost, ssh: Ssh) -> None:
    host.set_clock(-86400)
    day_off = int(ssh("node-1", "date +%s").stdout)
    assert abs(time.time() - 86400 - day_off) < 5
    assert ssh("node-1", "date -u -d @0 +%Y").stdout == "1970\n", "a date that is given is not changed"
    host.set_clock(0)
    assert abs(time.time() - int(ssh("node-1", "date +%s").stdout)) < 5


def test_a_killed_sshd_is_gone_while_others_log_in_and_comes_back(host: LabHost, ssh: Ssh) -> None:
    over = threading.Event()

    def keep_logging_in() -> None:
        while not over.is_set():
            ssh("node-1", "true")

    guests = [threading.Thread(target=keep_logging_in) for _ in range(3)]
    for guest in guests:
        guest.start()
    try:
        for _ in range(10):
            kill_sshd(host)
            assert host.run(["pgrep", "sshd"], check=False).returncode == 1
            start_sshd(host)
            host.wait_for_ssh()
    finally:
        over.set()
        for guest in guests:
            guest.join()
