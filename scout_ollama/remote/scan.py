"""Which host keys a host presents, asked without logging in to it, as ssh-keyscan does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fabric
import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from scout_ollama.inventory import Host
from scout_ollama.known_hosts import HostKey, KnownHosts
from scout_ollama.remote import connection
from scout_ollama.remote.route import Hop, route
from scout_ollama.remote.unreachable import explained

# One connection for each kind of key: a server presents only one.
_KINDS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)


def scan(host: Host, known_hosts: KnownHosts) -> Iterator[tuple[Hop, list[HostKey]]]:
    """The keys of each hop to a host, nearest first; a host behind a jump host is reached by logging in to that.

    Raises RemoteError; HostKeyRefused for a jump host that is not known, after its keys were given.
    """
    hops = route(host)
    yield hops[0], _keys(hops[0], None)
    for at, hop in enumerate(hops[1:], 1):
        via = connection.connect_hops(hops[:at], known_hosts)
        try:
            keys = _keys(hop, via)
        finally:
            connection.close(via)
        yield hop, keys


def _keys(hop: Hop, via: fabric.Connection | None) -> list[HostKey]:
    return [key for kind in _KINDS if (key := _key(hop, via, kind))]


def _key(hop: Hop, via: fabric.Connection | None, algorithms: tuple[str, ...]) -> HostKey | None:
    """The key that the host signs with one of these algorithms, if it has such a key."""
    with connection.handshake(hop):
        transport: paramiko.Transport | None = None
        try:
            transport = paramiko.Transport(_socket(hop, via))
            transport.get_security_options().key_types = algorithms
            transport.start_client(timeout=hop.timeout)
            key = transport.get_remote_server_key()
        except IncompatiblePeer:
            return None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise explained(error, hop, via) from error
        finally:
            if transport:
                transport.close()
    return HostKey(key.get_name(), key.asbytes())


def _socket(hop: Hop, via: fabric.Connection | None) -> Any:
    if not via:
        return connection.open_socket(hop)
    destination = (hop.address, hop.port)
    return via.transport.open_channel("direct-tcpip", destination, ("", 0), timeout=hop.timeout)
