"""Lab hosts made of Linux namespaces: root on Linux needs nothing else, and they start in a fraction of a second.

One process, the lab's switch, owns a network, a mount and a pid namespace; every host lives inside them in namespaces
of its own (``host/switch``, ``host/power``, ``host/boot``). On the machine itself a lab is that process, one network
interface, and one small directory.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lab import air_gap, networks, open_webui, paths, rootfs
from lab.labhost import ENVIRONMENT, LabHost
from lab.process import holds_in_time, run
from lab.record import Record
from scout_ollama.errors import Trouble

_SCRIPTS = paths.PACKAGE / "host"
_DISK_SIZE = "16g"
_NAMESPACES = {"net": "net", "mount": "mnt", "uts": "uts", "ipc": "ipc", "pid": "pid"}


class Namespaces:
    """All hosts of one lab."""

    name = "namespaces"

    def __init__(self, record: Record) -> None:
        self._record = record
        self._switch = Switch(record)

    @classmethod
    def reserve(cls, record: Record) -> Record:
        """``record`` with a network that this lab alone has from now on."""
        return replace(record, network=networks.reserve(record.directory))

    @staticmethod
    def are_possible() -> bool:
        """Whether this machine and user can have them."""
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "true"]
        return sys.platform == "linux" and os.geteuid() == 0 and run(unshare, check=False).returncode == 0

    def up(self) -> None:
        """Start the switch and all hosts; they boot in the background."""
        self._switch.start()
        for name in self._record.hosts:
            self.host(name).start()

    def down(self) -> None:
        """Kill the switch and with it everything."""
        self._switch.stop()

    def host(self, name: str) -> "NamespaceHost":
        """One host."""
        return NamespaceHost(self._switch, name)

    def tried_to_leave(self) -> dict[str, list[str]]:
        """What each host sent to addresses outside the lab."""
        tried = air_gap.by_port(self._switch.filter("list table bridge air_gap", "--json"))
        hosts = {host.port: host.name for host in map(self.host, self._record.hosts)}
        return {name: tried[port] for port, name in hosts.items() if port in tried}


class Switch:
    """The process that a lab consists of: all its hosts end with it."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.interface = f"scout-lab{record.network}"
        self._reservation = networks.RESERVATIONS / str(record.network)

    @property
    def pid(self) -> int:
        """Its process id. Raises ``Trouble`` when it does not run."""
        with suppress(FileNotFoundError, ValueError):
            pid, start = (self._reservation / "switch").read_text().split()
            if _start_time(int(pid)) == start:
                return int(pid)
        raise Trouble(f"the lab {self.record.name} is not running", next="inv lab-down, then inv lab-up")

    @property
    def root(self) -> Path:
        """The file system that the switch and ``host/power`` see, with the hosts' state in ``run/lab``."""
        return Path(f"/proc/{self.pid}/root")

    def run(self, argv: Sequence[str], check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of the machine in the switch's namespaces."""
        return run(["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--", *argv], check=check)

    def filter(self, command: str, *options: str) -> str:
        """What nft, the hosts' own, says to a command about the packets that pass."""
        return self.run(["chroot", str(rootfs.directory()), "nft", *options, command]).stdout

    def start(self) -> None:
        """Start it, and plug the machine in."""
        unshare = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        files = [self._reservation / "switch", rootfs.directory(), self.record.common]
        script = [_SCRIPTS / "switch", *files, f"198.18.{self.record.network}"]
        log = self._reservation / "log"
        with log.open("w") as output:
            subprocess.run(["setsid", "--fork", *unshare, *map(str, script)], stdout=output, stderr=output, check=True)
        # What it writes before it is ready is why it never will be.
        holds_in_time(lambda: self._is_ready() or log.stat().st_size > 0)
        if not self._is_ready():
            raise Trouble("the lab's switch did not start", why=log.read_text())
        link = ["ip", "link", "add", self.interface, "type", "veth", "peer", "name", "machine", "netns", str(self.pid)]
        run(link)
        run(["ip", "address", "add", f"198.18.{self.record.network}.1/24", "dev", self.interface])
        run(["ip", "link", "set", self.interface, "up"])
        self.run(["ip", "link", "set", "machine", "master", "switch", "up"])

    def _is_ready(self) -> bool:
        with suppress(Trouble):
            return (self.root / "run/ready").exists()
        return False

    def stop(self) -> None:
        """Kill it if it runs, wait for the end of everything in it, and give its network back."""
        with suppress(Trouble, ProcessLookupError):
            _kill(self.pid)
        run(["ip", "link", "delete", self.interface], check=False)
        networks.release(self.record.directory)


class NamespaceHost(LabHost):
    """A host inside the namespaces of its lab's switch."""

    def __init__(self, switch: Switch, name: str) -> None:
        super().__init__(name, switch.record.address(name), switch.record.endpoint(name))
        self._switch = switch
        self.port = f"port{self.address.rpartition('.')[2]}"

    @property
    def _state(self) -> Path:
        return self._switch.root / "run/lab" / self.name

    @property
    def _init(self) -> int:
        """The process id of the host's init, as the switch sees it."""
        try:
            return int((self._state / "init").read_text())
        except (FileNotFoundError, ValueError):
            raise Trouble("the lab host is off", host=self.name) from None

    @property
    def _process(self) -> Path:
        return self._switch.root / "proc" / str(self._init)

    @property
    def root(self) -> Path:
        return self._process / "root"

    def run(self, argv: Sequence[str], input: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        namespaces = [f"--{option}={self._process}/ns/{file}" for option, file in _NAMESPACES.items()]
        inside = ["nsenter", *namespaces, f"--root={self.root}", f"--wd={self.root}", "--"]
        return run([*inside, *argv], input=input, check=check, host=self.name, env=ENVIRONMENT)

    @property
    def _is_on(self) -> bool:
        with suppress(Trouble):
            return bool(self._init)
        return False

    def answers(self) -> bool:
        # To ask for a host before it is there costs the second that the kernel waits before it asks again.
        return self._is_on and super().answers()

    def power_on(self) -> None:
        if not self._is_on:
            self.start()
        self.wait_for(lambda: self._is_on)
        if not (self._state / "cut").exists():
            self.wait_for_ssh()

    def start(self) -> None:
        """Switch the host on without waiting for it; its disk is made if it has none yet."""
        record = self._switch.record
        script = [_SCRIPTS / "power", self.name, self.address, rootfs.directory(), paths.PACKAGE]
        web = open_webui.directory() if record.has_open_webui(self.name) else ""
        real = [record.inference, web, record.kubernetes]
        self._switch.run(["setsid", "--fork", *map(str, [*script, record.files(self.name), _DISK_SIZE, *real])])

    def power_off(self) -> None:
        self._signal("KILL", [self._init])
        self.wait_for(lambda: not self._is_on)

    def cut(self) -> None:
        (self._state / "cut").touch()
        self._switch.run(["ip", "link", "set", self.port, "down"])

    def restore(self) -> None:
        (self._state / "cut").unlink(missing_ok=True)
        self._switch.run(["ip", "link", "set", self.port, "up"])
        if (self._state / "limit").exists():
            (self._state / "limit").unlink()
            self._switch.run(["tc", "qdisc", "delete", "dev", self.port, "root"])
            self._switch.run(["tc", "-netns", self.name, "qdisc", "delete", "dev", "eth0", "root"])
        if (self._state / "lose").exists():
            (self._state / "lose").unlink()
            self._switch.filter(f"delete table bridge lose_{self.port}")

    def limit(self, rate: str) -> None:
        self._switch.run([str(_SCRIPTS / "limit"), self.name, self.port, rate])
        (self._state / "limit").write_text(rate)

    def lose(self, percent: int) -> None:
        (self._state / "lose").touch()
        table = f"bridge lose_{self.port}"
        lost = f"numgen random mod 100 < {percent} drop"
        chain = f"add chain {table} link {{ type filter hook forward priority filter + 1; }}"
        rules = [f"add rule {table} link {side} {self.port} {lost}" for side in ("iifname", "oifname")]
        self._switch.filter("; ".join([f"add table {table}", f"flush table {table}", chain, *rules]))

    def freeze(self) -> None:
        # A process that is about to be stopped may still start another: look again until there is none.
        while running := [pid for pid, state in self._processes().items() if state not in "tTZ"]:
            self._signal("STOP", running)

    def thaw(self) -> None:
        self._signal("CONT", list(self._processes()))

    def fill(self, path: str) -> None:
        self._must_be_on_disk(path)
        # The kernel refuses a size below what is in use, and somebody may be writing.
        if not holds_in_time(lambda: self._resize_disk(str(self._disk_usage()))):
            raise Trouble("the disk cannot be filled", host=self.name, why="its use keeps growing")

    def free(self, path: str) -> None:
        self._must_be_on_disk(path)
        self._resize_disk(_DISK_SIZE)

    def console(self) -> str:
        with suppress(FileNotFoundError):
            return (self._state / "console").read_text(errors="replace")[-2000:]
        return ""

    def _must_be_on_disk(self, path: str) -> None:
        kind = self.run(["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path]).stdout.strip()
        if kind != "overlay":
            raise Trouble(f"{path} cannot be filled", host=self.name, why=f"it is on a {kind}, not on the host's disk")

    def _disk_usage(self) -> int:
        """Bytes on the host's disk."""
        disk = os.statvfs(self._state / "disk")
        return (disk.f_blocks - disk.f_bfree) * disk.f_frsize

    def _resize_disk(self, size: str) -> bool:
        remount = ["mount", "-o", f"remount,size={size}", f"/run/lab/{self.name}/disk"]
        return self._switch.run(remount, check=False).returncode == 0

    def _signal(self, name: str, pids: Sequence[int]) -> None:
        # One that has ended meanwhile is no trouble.
        self._switch.run(["sh", "-c", f'kill -s {name} "$@" || :', "kill", *map(str, pids)])

    def _processes(self) -> dict[int, str]:
        """The state letter of each process of the host, its init first, as ps(1) shows it."""
        parents: dict[int, tuple[int, str]] = {}
        for stat in (self._switch.root / "proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                state, parent = stat.read_text().rpartition(")")[2].split()[:2]
                parents[int(stat.parent.name)] = (int(parent), state)
        found = {self._init: parents[self._init][1]}
        while more := {pid: state for pid, (parent, state) in parents.items() if parent in found and pid not in found}:
            found.update(more)
        return found


def _kill(pid: int) -> None:
    """Kill a process and wait for its end, which for the first of a pid namespace is the end of all in it."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        ended, _, _ = select.select([process], [], [], 60)
    finally:
        os.close(process)
    if not ended:
        raise Trouble(f"process {pid} of the lab does not end", next="inv lab-down again, after a while")


def _start_time(pid: int) -> str | None:
    """When a process started, in clock ticks since boot: tells it from a later one with its id. None if it ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[19] if fields[0] != "Z" else None
    return None
