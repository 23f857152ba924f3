"""One host of a lab, and what can happen to it: the part that is the same however hosts are run."""

import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.process import holds_in_time
from scout_ollama.errors import Trouble

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ENVIRONMENT = {"HOME": "/root", "LANG": "C.UTF-8", "PATH": PATH}
WAIT_SECONDS = 120  # what k3s.service is given to start


class LabHost(ABC):
    """A host of a running lab. Every fault stays until it is undone; a host may have several."""

    def __init__(self, name: str, address: str, endpoint: tuple[str, int]) -> None:
        self.name = name
        self.address = address
        self.endpoint = endpoint

    @property
    @abstractmethod
    def root(self) -> Path:
        """Its file system, seen from this machine. Valid until the host stops or reboots."""

    @abstractmethod
    def run(self, argv: Sequence[str], input: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` as root on the host, not by SSH; it works while the host is frozen or cut off.

        Raises ``Trouble`` under ``check`` when it fails, and when the host is off.
        """

    def run_module(self, *arguments: str) -> None:
        """Run one of the lab's own modules on the host: its name, then what it takes. Raises ``Trouble``."""
        self.run(["env", "PYTHONPATH=/opt/lab/src:/opt/lab/site-packages", "python3", "-m", *arguments])

    @abstractmethod
    def cut(self) -> None:
        """Cut the host's network link: packets are lost without an answer."""

    @abstractmethod
    def restore(self) -> None:
        """Make the network link whole again: neither cut, nor limited, nor losing anything."""

    @abstractmethod
    def limit(self, rate: str) -> None:
        """Limit both directions of the network link to ``rate``, in tc's notation such as ``20mbit``."""

    @abstractmethod
    def lose(self, percent: int) -> None:
        """Lose so many of a hundred packets, at random, in both directions."""

    @abstractmethod
    def freeze(self) -> None:
        """Stop every process of the host where it is."""

    @abstractmethod
    def thaw(self) -> None:
        """Let the processes go on."""

    @abstractmethod
    def power_off(self) -> None:
        """Pull the plug. What was written to the disk stays."""

    @abstractmethod
    def power_on(self) -> None:
        """Start the host; returns when its sshd answers, unless its link is cut."""

    @abstractmethod
    def fill(self, path: str) -> None:
        """Fill the disk that ``path`` is on: writing more gives ENOSPC, what is there stays."""

    @abstractmethod
    def free(self, path: str) -> None:
        """Give the disk that ``path`` is on its space back."""

    @abstractmethod
    def console(self) -> str:
        """What the host said while it started; for messages."""

    def reboot(self) -> None:
        """Reboot from inside, as an operator would; returns when sshd answers again."""
        before = self.boot_id()
        self.run(["reboot"], check=False)
        self.wait_for(lambda: self._is_rebooted(before))
        self.wait_for_ssh()

    def boot_id(self) -> str:
        """Identifies this boot of the host. Raises ``Trouble`` while it is down."""
        return self.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()

    def read_only(self, path: str) -> None:
        """Make the directory ``path`` read-only for everything that opens it from now on."""
        bind_to_itself = 'mountpoint -q "$1" || mount --bind "$1" "$1"'
        self.run(["sh", "-ec", f'{bind_to_itself}; mount -o remount,bind,ro "$1"', "-", path])

    def read_write(self, path: str) -> None:
        """Undo ``read_only``."""
        self.run(["mount", "-o", "remount,bind,rw", path])

    def set_clock(self, offset_seconds: int) -> None:
        """Make the host's ``date`` lie by this much: ahead, or behind if negative; 0 is right again."""
        self.run(["tee", "/etc/lab/clock"], input=f"{offset_seconds}\n")

    def wait_for_ssh(self) -> None:
        """Return when sshd answers. Raises ``Trouble`` if it does not in time."""
        self.wait_for(self.answers)

    def wait_for_units(self) -> None:
        """Return when every enabled unit has been started, or has failed to."""
        self.wait_for_file("/run/started")

    def wait_for_file(self, path: str) -> None:
        """Return when there is a file of that name on the host."""
        self.wait_for(lambda: self.run(["test", "-e", path], check=False).returncode == 0, self._units)

    def wait_for(self, condition: Callable[[], bool], story: Callable[[], str] | None = None) -> None:
        """Return when ``condition`` holds. Raises ``Trouble`` with the story, or the host's console, if not in time."""
        if not holds_in_time(condition, WAIT_SECONDS):
            told = story or self.console
            raise Trouble("the lab host does not get where it should", host=self.name, why=told())

    def answers(self) -> bool:
        """Whether sshd greets whoever connects."""
        try:
            with socket.create_connection(self.endpoint, timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _units(self) -> str:
        """How far its units are: the end of each one's journal, and what runs."""
        return self.run(["sh", "-c", "tail -n 5 /var/log/journal/*; ps -eo etimes,stat,args"], check=False).stdout

    def _is_rebooted(self, before: str) -> bool:
        try:
            return self.boot_id() != before
        except Trouble:
            return False
