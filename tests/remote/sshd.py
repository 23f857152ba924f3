"""A real sshd on the loopback interface, as many as a test wants, each in its own directory with its own keys."""

from __future__ import annotations

import base64
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from scout_ollama.inventory import Host, Ssh
from scout_ollama.known_hosts import HostKey, add, name_of

ADDRESS = "127.0.0.1"
START_SECONDS = 10.0


class Sshd:
    """A stock sshd, except for where its files are; it lets ``user`` in with the key in ``user_key``.

    ``settings`` are lines for sshd_config, which win over the ones below as sshd takes the first. ``etc`` maps names of
    files in /etc to what that sshd and all that it starts see there: real users and a real sudo, without touching the
    machine's own (a mount namespace, so it needs root).
    """

    def __init__(
        self,
        directory: Path,
        user_key: Path,
        *,
        user: str = getpass.getuser(),
        settings: str = "",
        etc: Mapping[str, str] | None = None,
        host_key_type: str = "ed25519",
        port: int = 0,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.user = user
        self.user_key = user_key
        self.port = port or free_port()
        self.host_key_file = directory / "host_key"
        if not self.host_key_file.exists():
            keygen(self.host_key_file, host_key_type)
        self._etc = dict(etc or {})
        self._config = directory / "sshd_config"
        self._config.write_text(
            f"{settings}\n"
            f"ListenAddress {ADDRESS}:{self.port}\n"
            f"HostKey {self.host_key_file}\n"
            f"AuthorizedKeysFile {user_key}.pub\n"
            f"SetEnv HOME={directory}\n"  # so that nobody's own .bashrc has a say
            "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host_key(self) -> HostKey:
        """The public host key."""
        return public_key(self.host_key_file)

    @property
    def name(self) -> str:
        """Its name in known_hosts."""
        return name_of(ADDRESS, self.port)

    def host(
        self,
        name: str = "gpu-1",
        *,
        jump: Sshd | None = None,
        key_file: Path | None = None,
        connect_timeout: float = 10,
    ) -> Host:
        """The inventory's entry for this sshd, behind ``jump`` if that is given."""
        ssh = Ssh(
            user=self.user,
            port=self.port,
            key_file=key_file or self.user_key,
            jump=f"{jump.user}@{ADDRESS}:{jump.port}" if jump else None,
            connect_timeout=connect_timeout,
        )
        return Host(name=name, cluster="test", address=ADDRESS, roles=frozenset({"server"}), ssh=ssh)

    def trusted_in(self, known_hosts: Path) -> None:
        """Add the host key to a known_hosts file."""
        add(known_hosts, self.name, self.host_key)

    def start(self) -> None:
        """Start it and wait until it answers."""
        Path("/run/sshd").mkdir(exist_ok=True)  # where a stock sshd confines its unprivileged half
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"sshd did not start: {self.log()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Stop it and every session of its."""
        if self._process:
            for pid in [*self.sessions(), self._process.pid]:
                send(pid, signal.SIGCONT)
                send(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def sessions(self) -> list[int]:
        """Process ids of all that serves a connection now: sshd's descendants."""
        return descendants(self._process.pid) if self._process else []

    def log(self) -> str:
        """What it has written so far."""
        return (self.directory / "log").read_text()

    def _command(self) -> list[str]:
        sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self._config)]
        if not self._etc:
            return sshd
        mounts = []
        for name, text in self._etc.items():
            file = self.directory / f"etc-{name}"
            file.write_text(text)
            file.chmod(0o440 if name == "sudoers" else 0o644)
            mounts.append(shlex.join(["mount", "--bind", str(file), f"/etc/{name}"]))
        return ["unshare", "--mount", "sh", "-ec", "\n".join([*mounts, "exec " + shlex.join(sshd)])]

    def _answers(self) -> bool:
        try:
            with socket.create_connection((ADDRESS, self.port), timeout=1) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False


def with_user(name: str, home: Path, *, shell: str = "/bin/sh", sudoers: str = "") -> dict[str, str]:
    """Files for Sshd's ``etc`` that add a user, and what sudo allows; the home directory is made for that user."""
    number = 4711
    home.mkdir()
    os.chown(home, number, number)
    return {
        "passwd": Path("/etc/passwd").read_text() + f"{name}:x:{number}:{number}::{home}:{shell}\n",
        "shadow": Path("/etc/shadow").read_text() + f"{name}:*:20000:0:99999:7:::\n",
        "group": Path("/etc/group").read_text() + f"{name}:x:{number}:\n",
        "sudoers": f"root ALL=(ALL) ALL\n{sudoers}\n",
    }


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> None:
    """Make a key pair at ``path`` and ``path.pub``."""
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", path], check=True)


def public_key(path: Path) -> HostKey:
    """The public half of a key pair made by keygen."""
    kind, blob, *_ = Path(f"{path}.pub").read_text().split()
    return HostKey(kind, base64.b64decode(blob))


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def descendants(pid: int) -> list[int]:
    """Process ids of all children of a process, and of theirs."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(entry.parent.name)] = int(fields[1])
    found = [pid]
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found[1:]


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, which may have ended."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


HAVE_SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin") is not None
