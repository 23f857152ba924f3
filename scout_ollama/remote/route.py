"""The way to a host: the host itself, or its jump host and then the host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scout_ollama.inventory import Host
from scout_ollama.known_hosts import SSH_PORT, name_of


@dataclass(frozen=True)
class Hop:
    """One sshd on the way to ``host``. ``title`` is what messages call it; ``timeout`` is in seconds."""

    host: str
    title: str
    user: str
    address: str
    port: int
    key_file: Path | None
    timeout: float

    @property
    def known_as(self) -> str:
        """Its name in known_hosts."""
        return name_of(self.address, self.port)


def route(host: Host) -> list[Hop]:
    """The hops to a host, nearest first. The jump host is logged in to with the host's key and, by default, user."""
    ssh = host.ssh
    hops = [Hop(host.name, host.name, ssh.user, host.address, ssh.port, ssh.key_file, ssh.connect_timeout)]
    if ssh.jump:
        user, _, place = ssh.jump.rpartition("@")
        address, port = _address_and_port(place)
        title = f"{host.name} (its jump host {address})"
        hops.insert(0, Hop(host.name, title, user or ssh.user, address, port, ssh.key_file, ssh.connect_timeout))
    return hops


def _address_and_port(place: str) -> tuple[str, int]:
    """Split ``host``, ``host:port``, ``[IPv6]`` or ``[IPv6]:port``."""
    address, _, port = place.removeprefix("[").partition("]:" if "]:" in place else "]" if "]" in place else ":")
    return address, int(port or SSH_PORT)
