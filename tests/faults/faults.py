"""What happens to a host, or to the run itself, in the middle of a command; each returns what lifts it again."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress

from lab.labhost import LabHost
from lab.process import holds_in_time

Run = subprocess.Popen[str]
Lift = Callable[[], None]
Fault = Callable[[LabHost, Run], Lift]

DISK = "/var/lib"
OUR_SCRIPTS = "script starts"
"""Is in the arguments of every script of ours that runs on a host."""


def cut(host: LabHost, _: Run) -> Lift:
    """Its link is cut."""
    host.cut()
    return host.restore


def slow(host: LabHost, _: Run) -> Lift:
    """Its link is as slow as a modem's."""
    host.limit("256kbit")
    return host.restore


def lossy(host: LabHost, _: Run) -> Lift:
    """Its link loses one packet of four."""
    host.lose(25)
    return host.restore


def without_sshd(host: LabHost, _: Run) -> Lift:
    """Its sshd is killed, with every session."""
    kill_sshd(host)
    return lambda: start_sshd(host)


def kill_sshd(host: LabHost) -> None:
    """Kill sshd until none is left: who is still dying, or came meanwhile, would be taken for one that runs."""
    assert holds_in_time(lambda: host.run(["pkill", "-KILL", "sshd"], check=False).returncode == 1), "sshd lives on"


def start_sshd(host: LabHost) -> None:
    """Start sshd as the host's init does, unless it runs or the host has started anew."""
    start = "pgrep -f '^sshd: /usr/sbin/sshd' || /usr/sbin/sshd -o PerSourcePenalties=no 2>/dev/null || /usr/sbin/sshd"
    host.run(["sh", "-c", start])


def without_scripts(host: LabHost, _: Run) -> Lift:
    """Whatever script of ours runs there is killed, as by a kernel that is out of memory."""
    host.run(["pkill", "-KILL", "-f", OUR_SCRIPTS], check=False)
    return nothing


def without_copying(host: LabHost, _: Run) -> Lift:
    """What sends and receives blobs there is killed."""
    host.run(["pkill", "-KILL", "-f", "fetch-blobs|serve-blobs|tail --bytes|head -c|rsync"], check=False)
    return nothing


def without_k3s(host: LabHost, _: Run) -> Lift:
    """Its K3s is killed; systemd would start it again."""
    host.run(["systemctl", "kill", "--signal=KILL", "k3s"], check=False)
    return lambda: start_k3s(host)


def start_k3s(host: LabHost) -> None:
    """Start K3s unless it runs."""
    host.run(["sh", "-c", "systemctl is-active --quiet k3s || systemctl restart k3s"])


def full(host: LabHost, _: Run) -> Lift:
    """Its disk is full."""
    host.fill(DISK)
    return lambda: host.free(DISK)


def rebooted(host: LabHost, _: Run) -> Lift:
    """It is rebooted."""
    host.reboot()
    return nothing


def without_power(host: LabHost, _: Run) -> Lift:
    """The plug is pulled."""
    host.power_off()
    return host.power_on


def frozen(host: LabHost, _: Run) -> Lift:
    """It stands still."""
    host.freeze()
    return host.thaw


def signalled(number: signal.Signals) -> Fault:
    """The run itself gets a signal; it may have ended just now."""

    def strike(_: LabHost, run: Run) -> Lift:
        with suppress(ProcessLookupError):
            run.send_signal(number)
        return nothing

    return strike


def nothing() -> None:
    """There is nothing to lift."""


FAULTS: dict[str, Fault] = {
    "link cut": cut,
    "link slow": slow,
    "link loses packets": lossy,
    "sshd killed": without_sshd,
    "scripts killed": without_scripts,
    "copying killed": without_copying,
    "K3s killed": without_k3s,
    "disk full": full,
    "rebooted": rebooted,
    "power off": without_power,
    "frozen": frozen,
    "runner killed": signalled(signal.SIGKILL),
    "runner interrupted": signalled(signal.SIGINT),
    "runner terminated": signalled(signal.SIGTERM),
    "runner's terminal gone": signalled(signal.SIGHUP),
}
