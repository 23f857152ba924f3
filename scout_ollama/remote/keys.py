"""Which private keys are offered to a host, and the answer when it takes none of them."""

from __future__ import annotations

import getpass
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from scout_ollama.known_hosts import HostKey
from scout_ollama.remote.protocol import LoginRefused

_loaded: dict[Path, paramiko.PKey | LoginRefused] = {}
_loading = threading.Lock()


@dataclass(frozen=True)
class Offer:
    """A key to try, and where it comes from."""

    source: str
    key: paramiko.PKey

    def __str__(self) -> str:
        """Where it comes from and its fingerprint."""
        return f"{self.source} {HostKey(self.key.get_name(), self.key.asbytes()).fingerprint}"


@contextmanager
def offers(host: str, key_file: Path | None) -> Iterator[list[Offer]]:
    """The keys to log in with: the key file's, or without one the agent's. To be used before the context ends.

    With a key file no other key is offered, so that a well-filled agent cannot use up the server's MaxAuthTries; the
    agent serves for it if it holds that key. Asks for a passphrase where there is no other way; so this comes before
    the connection, which would not wait for a person. Raises LoginRefused when the file cannot be used.
    """
    agent = paramiko.Agent()
    try:
        if key_file:
            public = _public_half(key_file)
            held = next((key for key in agent.get_keys() if key.asbytes() == public), None)
            yield [Offer(str(key_file), held or private_key(host, key_file))]
        else:
            yield [Offer(f"agent key {key.comment}".strip(), key) for key in agent.get_keys()]
    finally:
        agent.close()


@dataclass(frozen=True)
class PublicKeyAuthentication:
    """Logs in with the first key that is taken; Paramiko calls ``authenticate``. ``host`` is for messages."""

    host: str
    user: str
    offers: list[Offer]

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Try each key in turn. Raises LoginRefused when none is taken, EOFError when the connection is lost."""
        for number, offer in enumerate(self.offers):
            try:
                missing = transport.auth_publickey(self.user, offer.key)
            except paramiko.BadAuthenticationType as error:
                raise self._second_factor(error.allowed_types) from None
            except paramiko.AuthenticationException as error:
                if number and not transport.is_active():
                    raise self._hung_up(self.offers[: number + 1]) from None
                if not transport.is_active() or "timeout" in str(error):
                    raise EOFError(str(error)) from None
                continue
            if missing:
                raise self._second_factor(missing)
            return
        raise self._refused()

    def _refused(self) -> LoginRefused:
        if not self.offers:
            return LoginRefused(
                f"no key to log in as {self.user} with",
                host=self.host,
                why="ssh.key_file is not set and the SSH agent holds no keys",
                next="ssh-add ~/.ssh/id_ed25519, or set ssh.key_file in the cluster's file",
            )
        return LoginRefused(
            f"does not let {self.user} log in",
            host=self.host,
            why="it refused " + ", ".join(map(str, self.offers)),
            next=f"add the public key to ~{self.user}/.ssh/authorized_keys there, or correct ssh.user or ssh.key_file",
        )

    def _hung_up(self, tried: list[Offer]) -> LoginRefused:
        return LoginRefused(
            f"hung up while {self.user} was logging in",
            host=self.host,
            why=f"after {len(tried)} keys: " + ", ".join(map(str, tried)),
            next="set ssh.key_file in the cluster's file, so that only that key is offered (sshd's MaxAuthTries)",
        )

    def _second_factor(self, methods: list[str]) -> LoginRefused:
        return LoginRefused(
            f"does not let {self.user} log in with a key alone",
            host=self.host,
            why="it asks for " + ", ".join(methods),
            next=f"allow AuthenticationMethods publickey for {self.user} in the host's sshd_config",
        )


def private_key(host: str, path: Path) -> paramiko.PKey:
    """The key in the file, read once a run: parsing an RSA key costs as much CPU as dozens of connections.

    Asks for a passphrase on a terminal. Raises LoginRefused when the file cannot be used.
    """
    with _loading:
        if path not in _loaded:
            try:
                _loaded[path] = _parse(path)
            except LoginRefused as error:
                _loaded[path] = error
        outcome = _loaded[path]
    if isinstance(outcome, LoginRefused):
        raise LoginRefused(outcome.what, host=host, why=outcome.why, next=outcome.next)
    return outcome


def _parse(path: Path) -> paramiko.PKey:
    try:
        try:
            return paramiko.PKey.from_path(path)
        except TypeError:  # cryptography's way to say that a passphrase is needed
            return _parse_encrypted(path)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error), f"correct ssh.key_file, or create {path}") from None
    except (ValueError, UnsupportedAlgorithm, paramiko.SSHException, paramiko.UnknownKeyType) as error:
        raise _unusable(
            path, f"it is not a private key that can be read ({error})", f"ssh-keygen -y -f {path}"
        ) from None


def _parse_encrypted(path: Path) -> paramiko.PKey:
    if not sys.stdin.isatty():
        raise _unusable(path, "it has a passphrase, and there is no terminal to ask for it on", f"ssh-add {path}")
    passphrase = getpass.getpass(f"Passphrase for {path}: ")
    try:
        return paramiko.PKey.from_path(path, password=passphrase.encode())
    except ValueError:
        raise _unusable(path, "that is not its passphrase", f"ssh-add {path}") from None


def _unusable(path: Path, why: str, next_step: str) -> LoginRefused:
    return LoginRefused(f"cannot use key file {path}", why=why, next=next_step)


def _public_half(path: Path) -> bytes:
    try:
        blob: bytes = paramiko.PublicBlob.from_file(f"{path}.pub").key_blob
    except (OSError, ValueError):
        return b""
    return blob
