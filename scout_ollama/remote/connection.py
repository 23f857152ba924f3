"""One SSH connection through Fabric, with the site's own host keys and a message for everything that can go wrong.

Nothing of the operator's own SSH or Fabric configuration is read: the inventory says everything.
"""

from __future__ import annotations

import errno
import logging
import random
import socket
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import fabric
import paramiko

from scout_ollama.known_hosts import HostKey, KnownHosts, Verdict, name_of
from scout_ollama.inventory import Host
from scout_ollama.remote.keys import PublicKeyAuthentication
from scout_ollama.remote.protocol import HostKeyRefused, RemoteError
from scout_ollama.remote.transport import factory

_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.25

# A stock sshd starts to drop connections at random when 10 are logging in at once (MaxStartups 10:30:100).
_HANDSHAKES_AT_ONCE = 8
_handshakes: defaultdict[tuple[str, int], threading.Semaphore] = defaultdict(
    lambda: threading.Semaphore(_HANDSHAKES_AT_ONCE)
)

# Without a handler of its own Paramiko's log of an error, with traceback, would end up on the operator's terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Hop:
    """One host on the way: the host itself, or its jump host. ``title`` is what messages call it."""

    title: str
    host: str
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
    """The hops to a host, nearest first."""
    ssh = host.ssh
    here = Hop(host.name, host.name, ssh.user, host.address, ssh.port, ssh.key_file, ssh.connect_timeout)
    if not ssh.jump:
        return [here]
    user, _, place = ssh.jump.rpartition("@")
    address, port = _split_port(place)
    jump = Hop(
        f"{host.name} (jump host {address})", host.name, user or ssh.user, address, port, ssh.key_file, here.timeout
    )
    return [jump, here]


def connect(host: Host, known_hosts: KnownHosts) -> fabric.Connection:
    """Connect and log in, through the jump host if there is one.

    Raises RemoteError; HostKeyRefused when a key on the way is not the one that known_hosts has.
    """
    connection: fabric.Connection | None = None
    try:
        for hop in route(host):
            connection = _persist(hop, connection, known_hosts)
    except BaseException:
        if connection:
            close(connection)
        raise
    return connection


def close(connection: fabric.Connection) -> None:
    """Close a connection and then the jump host's, which Fabric would leave open."""
    gateway = connection.gateway
    connection.client.close()
    if gateway:
        close(gateway)


class _Passing(Exception):
    """Trouble that may be over at the next try."""

    def __init__(self, trouble: RemoteError) -> None:
        self.trouble = trouble


def _persist(hop: Hop, via: fabric.Connection | None, known_hosts: KnownHosts) -> fabric.Connection:
    for attempt in range(_TRIES):
        try:
            return _attempt(hop, via, known_hosts)
        except _Passing as passing:
            if attempt == _TRIES - 1:
                raise passing.trouble from passing.__cause__
        time.sleep(_FIRST_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
    raise AssertionError("unreachable")


def _attempt(hop: Hop, via: fabric.Connection | None, known_hosts: KnownHosts) -> fabric.Connection:
    with _handshakes[hop.address, hop.port]:
        connection = _prepare(hop, via, known_hosts)
        try:
            if via is None:
                connection.connect_kwargs["sock"] = _socket(hop)
            connection.open()
        except BaseException as error:
            connection.client.close()
            if isinstance(error, OSError | EOFError | paramiko.SSHException):
                raise _explained(error, hop, via) from error
            raise
        return connection


def _prepare(hop: Hop, via: fabric.Connection | None, known_hosts: KnownHosts) -> fabric.Connection:
    types = [entry.key.type for entry in known_hosts.of(hop.known_as)]
    connection = fabric.Connection(
        hop.address,
        user=hop.user,
        port=hop.port,
        # A Config for each connection, as threads that share one race; an explicit, empty SSHConfig keeps
        # ~/.ssh/config out and lazy keeps out ~/.fabric.yaml.
        config=fabric.Config(lazy=True, ssh_config=paramiko.SSHConfig()),
        gateway=via or False,  # None would ask the configuration for one
        connect_kwargs={
            "timeout": hop.timeout,
            "transport_factory": factory(types, hop.timeout),
            "auth_strategy": PublicKeyAuthentication(hop.title, hop.user, hop.key_file),
        },
    )
    # The client's own tables of host keys stay empty, so that every key there is comes before this policy.
    connection.client.set_missing_host_key_policy(_OnlyKnown(hop, known_hosts))
    return connection


def _socket(hop: Hop) -> socket.socket:
    sock = socket.create_connection((hop.address, hop.port), timeout=hop.timeout)
    # Nagle's algorithm costs 40 ms for each channel that is opened and 50 ms at login; Paramiko leaves it on.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@dataclass(frozen=True)
class _OnlyKnown(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]  # Paramiko has no type hints
    """Refuses every key but those that known_hosts has for the host."""

    hop: Hop
    known_hosts: KnownHosts

    def missing_host_key(self, client: object, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002 - Paramiko's
        presented = HostKey(key.get_name(), key.asbytes())
        verdict = self.known_hosts.verdict(self.hop.known_as, presented)
        if verdict is not Verdict.KNOWN:
            raise _refusal(verdict, presented, self.hop, self.known_hosts)


def _refusal(verdict: Verdict, key: HostKey, hop: Hop, known_hosts: KnownHosts) -> HostKeyRefused:
    path, name = known_hosts.path, hop.known_as
    trust = f"inv trust-host --hosts {hop.host} --fingerprint {key.fingerprint}"
    compare = "compare with `ssh-keygen -lf` of the host's key on its console; only if it is the same: "
    if verdict is Verdict.REVOKED:
        return HostKeyRefused(
            "presents a host key that is revoked",
            host=hop.title,
            why=f"{key} is marked @revoked in {path}",
            next="do not connect; find out who answers at this address",
        )
    if verdict is Verdict.UNKNOWN:
        return HostKeyRefused(
            "presents a host key that is not known",
            host=hop.title,
            why=f"{key}; {path} has no key for {name}",
            next=compare + trust,
        )
    stale = ", ".join(str(entry.line) for entry in known_hosts.rivals(name, key))
    return HostKeyRefused(
        "presents another host key than the known one: reinstalled, or somebody else answers",
        host=hop.title,
        why=f"received {key}\nexpected " + " or ".join(str(entry.key) for entry in known_hosts.of(name)),
        next=compare + (f"delete line {stale} of {path}, then " if stale else "") + trust,
    )


def _explained(error: Exception, hop: Hop, via: fabric.Connection | None) -> Exception:
    """The same error for a person; _Passing if the next try may succeed."""
    place = f"{hop.address} port {hop.port}" + (f", through {via.host}" if via else "")

    def trouble(what: str, why: str, next_step: str) -> RemoteError:
        return RemoteError(what, host=hop.title, why=why, next=next_step)

    match error:
        case socket.gaierror():
            return trouble(
                "has an address that does not resolve",
                f"{hop.address}: {error.strerror}",
                "correct its address in the cluster's file",
            )
        case ConnectionRefusedError():
            return _Passing(
                trouble("refuses connections", f"nothing listens at {place}", "on its console: systemctl status ssh")
            )
        case TimeoutError():
            return trouble(
                "does not answer",
                f"no connection to {place} within {hop.timeout:g} s",
                f"ping {hop.address}; is it on, is a firewall between?",
            )
        case paramiko.ChannelException(code=paramiko.common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED):
            return trouble(
                "cannot be reached through its jump host",
                f"{via and via.host} forbids forwarding to {place}",
                "AllowTcpForwarding in the jump host's sshd_config",
            )
        case paramiko.ChannelException():
            return _Passing(
                trouble(
                    "cannot be reached from its jump host",
                    f"{error.text} ({place})",
                    f"on the jump host: nc -vz {hop.address} {hop.port}",
                )
            )
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return trouble("cannot be reached", f"{place}: {error.strerror}", f"ip route get {hop.address}")
        case paramiko.ssh_exception.IncompatiblePeer():
            return trouble(
                "shares no SSH algorithm with us", str(error), f"ssh -v {hop.user}@{hop.address} -p {hop.port}"
            )
        case _ if "Indecipherable protocol version" in str(error):
            return trouble(
                "is not an SSH server",
                f"{place} answers with something else",
                "correct its address or ssh.port in the cluster's file",
            )
    return _Passing(
        trouble(
            "hung up before the login was complete",
            f"{place}: {error or type(error).__name__}",
            "on its console: journalctl -u ssh",
        )
    )


def _split_port(place: str) -> tuple[str, int]:
    if place.startswith("["):
        address, _, port = place[1:].partition("]")
        return address, int(port.removeprefix(":") or 22)
    address, _, port = place.partition(":")
    return address, int(port or 22)
