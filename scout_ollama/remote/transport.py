"""A Paramiko transport that negotiates for the host keys we know, and notices when nobody answers any more."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import paramiko
from paramiko.common import cMSG_GLOBAL_REQUEST

KEEPALIVE_SECONDS = 5
SILENCE_SECONDS = 3 * KEEPALIVE_SECONDS


class Silence(paramiko.SSHException):  # type: ignore[misc]  # Paramiko has no type hints
    """The other side has said nothing for SILENCE_SECONDS, though it was asked."""


class _Listened:
    """A socket, or a channel through a jump host, that remembers when it last heard something."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.heard_at = time.monotonic()
        # sshd leaves Nagle's algorithm on: it holds back its answer to the first channel until the packets before it
        # are acknowledged, which Linux puts off for 40 ms.
        self._acknowledges_late = isinstance(sock, socket.socket) and hasattr(socket, "TCP_QUICKACK")

    def recv(self, size: int) -> bytes:
        data: bytes = self._sock.recv(size)
        self.heard_at = time.monotonic()
        if self._acknowledges_late:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # holds for a moment only
        return data

    def close(self) -> None:
        # A channel says goodbye through its jump host, which may be gone; Paramiko's thread would print a traceback.
        with contextlib.suppress(EOFError, OSError):
            self._sock.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class Transport(paramiko.Transport):  # type: ignore[misc]  # Paramiko has no type hints
    """OpenSSH's ServerAliveInterval: Paramiko's own keepalive wants no answer, so a cut link would go unnoticed."""

    def __init__(self, sock: Any, *, known_types: Sequence[str], timeout: float, **options: Any) -> None:
        """``known_types``: the key types known_hosts has for this host; ``timeout`` seconds for each phase."""
        self._listened = _Listened(sock)
        self._asked_at: float | None = None  # since when a sign of life is owed
        super().__init__(self._listened, **options)
        self.banner_timeout = self.handshake_timeout = self.auth_timeout = self.channel_timeout = timeout
        security = self.get_security_options()
        security.key_types = sorted(security.key_types, key=lambda kind: _signs_for(kind) not in known_types)
        # With the others Python compares a checksum of each packet, byte by byte: a tenth of what a connection costs.
        security.ciphers = sorted(security.ciphers, key=lambda cipher: "-gcm@" not in cipher)
        self.packetizer.set_keepalive(KEEPALIVE_SECONDS, self._ask)

    def expect_life(self) -> None:
        """Raise Silence if nothing has been heard for too long.

        For whoever waits for this connection: its own thread, which asks for a sign of life and notices first, may be
        blocked by a write that never ends.
        """
        self._expect_life_within(2 * SILENCE_SECONDS)

    def _expect_life_within(self, seconds: float) -> None:
        silence = time.monotonic() - self._listened.heard_at
        if silence >= seconds:
            raise Silence(f"nothing was heard for {silence:.0f} s")

    def _ask(self) -> None:
        # Called in the transport's own thread when nothing has been sent for KEEPALIVE_SECONDS. What was sent before
        # need not have been something to answer, so silence counts from when a sign of life was asked for.
        if self._asked_at is None or self._listened.heard_at > self._asked_at:
            self._asked_at = time.monotonic()
        elif time.monotonic() - self._asked_at >= SILENCE_SECONDS - KEEPALIVE_SECONDS:
            self._expect_life_within(SILENCE_SECONDS - KEEPALIVE_SECONDS)
        if not self.clear_to_send.is_set():
            return  # keys are being exchanged: a message sent by this thread would wait for itself
        request = paramiko.Message()
        request.add_byte(cMSG_GLOBAL_REQUEST)
        request.add_string("keepalive@openssh.com")
        request.add_boolean(True)  # want an answer; the answer is a refusal, and that is enough
        self._send_user_message(request)


def factory(known_types: Sequence[str], timeout: float) -> Callable[..., Transport]:
    """What SSHClient.connect takes as ``transport_factory``."""

    def make(sock: Any, **options: Any) -> Transport:
        return Transport(sock, known_types=known_types, timeout=timeout, **options)

    return make


def _signs_for(algorithm: str) -> str:
    """The key type behind a signature algorithm: known_hosts says ssh-rsa for RSA keys whatever hash they sign with."""
    return "ssh-rsa" if algorithm.startswith("rsa-sha2-") else algorithm
