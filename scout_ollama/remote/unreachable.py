"""Why a host could not be connected to, in words for a person."""

from __future__ import annotations

import errno
import socket

import fabric
import paramiko
from paramiko.common import OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
from paramiko.ssh_exception import IncompatiblePeer

from scout_ollama.remote.protocol import RemoteError
from scout_ollama.remote.route import Hop


class Unreachable(RemoteError):
    """A hop could not be connected to; ``passing`` if it may be over at the next try."""

    check = "network"

    def __init__(self, hop: Hop, what: str, why: str, next: str, *, passing: bool = False) -> None:
        super().__init__(what, host=hop.title, why=why, next=next)
        self.passing = passing


class NameUnknown(Unreachable):
    """The name of a hop does not resolve."""

    check = "name"


def explained(error: Exception, hop: Hop, via: fabric.Connection | None) -> Unreachable:
    """The same error for a person; ``via`` is the connection to the jump host, if that is how it was tried."""
    if via:
        return _behind_jump_host(error, hop, via) or _while_logging_in(error, hop)
    return _direct(error, hop) or _while_logging_in(error, hop)


def _direct(error: Exception, hop: Hop) -> Unreachable | None:
    place = f"{hop.address} port {hop.port}"
    match error:
        case socket.gaierror():
            why = f"{hop.address}: {error.strerror}"
            return NameUnknown(hop, "has a name that does not resolve", why, "correct its address in the inventory")
        case ConnectionRefusedError():
            why = f"nothing listens at {place}"
            return Unreachable(hop, "refuses the connection", why, "on its console: systemctl status ssh", passing=True)
        case TimeoutError():
            why = f"no answer from {place} within {hop.timeout:g} s"
            return Unreachable(hop, "does not answer", why, f"ping {hop.address}: is it on, is a firewall between?")
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            why = f"{place}: {error.strerror}"
            return Unreachable(hop, "cannot be reached", why, f"ip route get {hop.address}")
    return None


def _behind_jump_host(error: Exception, hop: Hop, via: fabric.Connection) -> Unreachable | None:
    place = f"{hop.address} port {hop.port}"
    ask = f"on {via.host}: ssh-keyscan -p {hop.port} {hop.address}"
    match error:
        case paramiko.ChannelException(code=code) if code == OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED:
            why = f"{via.host} does not forward to {place}"
            return Unreachable(
                hop, "is cut off by its jump host", why, f"AllowTcpForwarding in {via.host}'s sshd_config"
            )
        case paramiko.ChannelException():
            why = f"from its jump host {via.host} to {place}: {error.text}"
            return Unreachable(hop, "cannot be reached", why, ask, passing=True)
        case _ if "Timeout opening channel" in str(error):
            why = f"no answer to its jump host {via.host} from {place} within {hop.timeout:g} s"
            return Unreachable(hop, "does not answer", why, ask)
    return None


def _while_logging_in(error: Exception, hop: Hop) -> Unreachable:
    place = f"{hop.address} port {hop.port}"
    if isinstance(error, IncompatiblePeer):
        return Unreachable(hop, "has no SSH algorithm in common with us", str(error), "update its OpenSSH server")
    if "Indecipherable protocol version" in str(error):
        why = f"something else answers at {place}"
        return Unreachable(hop, "is not an SSH server", why, "correct its address or ssh.port in the inventory")
    next_step = "on its console: uptime; journalctl -u ssh"
    if isinstance(error.__context__, TimeoutError) or "No existing session" in str(error):
        why = f"{place} is open, but its SSH server says nothing for {hop.timeout:g} s"
        return Unreachable(hop, "does not answer", why, next_step)
    why = f"{place}: {str(error) or 'closed by the other side'}"
    return Unreachable(hop, "ended the connection before the login was complete", why, next_step, passing=True)
