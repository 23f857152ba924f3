"""One SSH connection through Fabric: the site's own host keys, bounded retries, few handshakes at once.

Nothing of the operator's own SSH or Fabric configuration is read: the inventory says everything.
"""

from __future__ import annotations

import logging
import random
import socket
import threading
import time

import fabric
import paramiko

from scout_ollama.inventory import Host
from scout_ollama.known_hosts import KnownHosts
from scout_ollama.remote.keys import Offer, PublicKeyAuthentication, offers
from scout_ollama.remote.policy import OnlyKnown
from scout_ollama.remote.route import Hop, route
from scout_ollama.remote.transport import factory
from scout_ollama.remote.unreachable import Unreachable, explained

_TRIES = 3
_FIRST_PAUSE_SECONDS = 0.25

# A stock sshd drops connections at random from the tenth on that is not logged in yet (MaxStartups 10:30:100). While it
# is busy it may learn late that one is: some are kept in reserve.
_HANDSHAKES_AT_ONCE = 6
_handshakes: dict[tuple[str, int], threading.Semaphore] = {}
_handshakes_lock = threading.Lock()

# Without a handler Paramiko's log of an error, with its traceback, would end up on the operator's terminal.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def connect(host: Host, known_hosts: KnownHosts) -> fabric.Connection:
    """Connect and log in, through the jump host if there is one.

    Raises RemoteError; HostKeyRefused when a key on the way is not one that known_hosts has.
    """
    return connect_hops(route(host), known_hosts)


def connect_hops(hops: list[Hop], known_hosts: KnownHosts) -> fabric.Connection:
    """Connect to the last of the hops through the ones before it. Raises as connect."""
    connection: fabric.Connection | None = None
    try:
        for hop in hops:
            connection = _persist(hop, connection, known_hosts)
    except BaseException:
        if connection:
            close(connection)
        raise
    return connection


def close(connection: fabric.Connection) -> None:
    """Close a connection and the jump host's before it, which Fabric would leave open.

    The jump host's goes first: the other one would say goodbye through it, and wait if that link is dead.
    """
    if connection.gateway:
        close(connection.gateway)
    connection.client.close()


def open_socket(hop: Hop) -> socket.socket:
    """A TCP connection that sends small packets at once. Raises OSError."""
    connection = socket.create_connection((hop.address, hop.port), timeout=hop.timeout)
    # Paramiko leaves Nagle's algorithm on, which costs 40 ms for each channel that is opened and 50 ms at login.
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def handshake(hop: Hop) -> threading.Semaphore:
    """Enter this while logging in: it lets a few through at once for each address and port."""
    with _handshakes_lock:
        return _handshakes.setdefault((hop.address, hop.port), threading.Semaphore(_HANDSHAKES_AT_ONCE))


def _persist(hop: Hop, via: fabric.Connection | None, known_hosts: KnownHosts) -> fabric.Connection:
    pause = _FIRST_PAUSE_SECONDS
    for _ in range(_TRIES - 1):
        try:
            return _attempt(hop, via, known_hosts)
        except Unreachable as trouble:
            if not trouble.passing:
                raise
        time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
        pause *= 2
    return _attempt(hop, via, known_hosts)


def _attempt(hop: Hop, via: fabric.Connection | None, known_hosts: KnownHosts) -> fabric.Connection:
    with handshake(hop), offers(hop.title, hop.key_file) as keys:
        connection = _prepare(hop, via, known_hosts, keys)
        try:
            if not via:
                connection.connect_kwargs["sock"] = open_socket(hop)
            connection.open()
        except (OSError, EOFError, paramiko.SSHException) as error:
            connection.client.close()
            raise explained(error, hop, via) from error
        except BaseException:
            connection.client.close()
            raise
        return connection


def _prepare(hop: Hop, via: fabric.Connection | None, known_hosts: KnownHosts, keys: list[Offer]) -> fabric.Connection:
    connection = fabric.Connection(
        hop.address,
        user=hop.user,
        port=hop.port,
        # A Config for each connection, as threads that share one race; lazy, as it would else read ~/.ssh/config and
        # ~/.fabric.yaml, and a gateway that these name accepts any host key.
        config=fabric.Config(lazy=True),
        gateway=via,
        connect_kwargs={
            "timeout": hop.timeout,
            "transport_factory": factory([entry.key.type for entry in known_hosts.of(hop.known_as)], hop.timeout),
            "auth_strategy": PublicKeyAuthentication(hop.title, hop.user, keys),
        },
    )
    connection.client.set_missing_host_key_policy(OnlyKnown(hop, known_hosts))
    return connection
