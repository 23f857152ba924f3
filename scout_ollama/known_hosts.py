"""The site's known_hosts file: the only truth about which key each host has. Reads OpenSSH's format (man 8 sshd)."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from scout_ollama import files
from scout_ollama.errors import Trouble

SSH_PORT = 22


@dataclass(frozen=True)
class HostKey:
    """A public host key: its type as SSH names it, such as ``ssh-ed25519``, and its bytes."""

    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``, as ``ssh-keygen -l`` prints it."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        """Fingerprint and type, as a person compares them."""
        return f"{self.fingerprint} ({self.type})"


class Verdict(Enum):
    """What known_hosts says about a key that a host presents."""

    KNOWN = "known"
    UNKNOWN = "unknown"  # the file says nothing about this host
    CHANGED = "changed"  # the file has other keys for this host
    REVOKED = "revoked"


@dataclass(frozen=True)
class Entry:
    """A line of known_hosts."""

    line: int
    revoked: bool
    names: tuple[str, ...]
    key: HostKey

    @property
    def is_plain(self) -> bool:
        """Whether its names are nothing but names: none is hashed, has a wildcard or excludes."""
        return not any(name.startswith(("|1|", "!")) or "*" in name or "?" in name for name in self.names)

    def matches(self, name: str) -> bool:
        """Whether the line is about ``name``: one of its patterns matches and none of its ``!`` patterns does."""
        excluded = any(_matches(pattern[1:], name) for pattern in self.names if pattern.startswith("!"))
        return not excluded and any(_matches(pattern, name) for pattern in self.names if not pattern.startswith("!"))


@dataclass(frozen=True)
class KnownHosts:
    """The entries of one file."""

    path: Path
    entries: tuple[Entry, ...]

    @classmethod
    def load(cls, path: Path) -> KnownHosts:
        """Read the file, once for as long as it stays the same; a file that is not there knows nobody.

        Raises Trouble for a line that cannot be read: were it skipped, a revocation could be lost.
        """
        try:
            status = path.stat()
        except FileNotFoundError:
            return cls(path, ())
        return _load(path, status.st_mtime_ns, status.st_size)

    def of(self, name: str) -> list[Entry]:
        """The entries that vouch for ``name``, as ``name_of`` writes it."""
        return [entry for entry in self._about(name) if not entry.revoked]

    def rivals(self, name: str, key: HostKey) -> list[Entry]:
        """The entries that say that ``name`` has another key of the same type."""
        return [entry for entry in self.of(name) if entry.key.type == key.type and entry.key != key]

    def verdict(self, name: str, key: HostKey) -> Verdict:
        """Whether ``name`` may present ``key``."""
        if any(entry.revoked and entry.key == key for entry in self._about(name)):
            return Verdict.REVOKED
        entries = self.of(name)
        if any(entry.key == key for entry in entries):
            return Verdict.KNOWN
        return Verdict.CHANGED if entries else Verdict.UNKNOWN

    def _about(self, name: str) -> list[Entry]:
        matching = (entry for entry in self._patterns if entry.matches(name))
        return sorted([*self._plain.get(name, ()), *matching], key=lambda entry: entry.line)

    @functools.cached_property
    def _plain(self) -> dict[str, list[Entry]]:
        """Plain entries by name: a thousand hosts are looked up in thousands of lines."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            for name in {name.lower() for name in entry.names} if entry.is_plain else ():
                found.setdefault(name, []).append(entry)
        return found

    @functools.cached_property
    def _patterns(self) -> list[Entry]:
        return [entry for entry in self.entries if not entry.is_plain]


def name_of(address: str, port: int) -> str:
    """How known_hosts writes an address and a port: ``address``, or ``[address]:port`` off the standard port."""
    address = address.lower()
    return address if port == SSH_PORT else f"[{address}]:{port}"


def add(path: Path, name: str, key: HostKey) -> None:
    """Add a line for ``name`` to known_hosts; what is there stays, and the file is replaced in one step."""
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    text += f"{name} {key.type} {base64.b64encode(key.blob).decode()}\n"
    files.write(path, text.encode())


@functools.lru_cache(maxsize=8)
def _load(path: Path, _mtime_ns: int, _size: int) -> KnownHosts:
    return KnownHosts(path, tuple(_entries(path)))


def _entries(path: Path) -> Iterator[Entry]:
    for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
        fields = text.split()
        # Host certificates are not used: a line for their authority vouches for no plain key.
        if not fields or fields[0].startswith("#") or fields[0] == "@cert-authority":
            continue
        try:
            yield _entry(number, fields)
        except ValueError:
            raise Trouble(
                f"{path}: line {number} is not a known_hosts entry",
                why=f"expected: [@revoked] name[,name…] type key, found: {text[:60]}",
                next=f"correct or delete line {number} of {path}",
            ) from None


def _entry(number: int, fields: list[str]) -> Entry:
    """Raises ValueError unless the fields are those of a line with a plain key."""
    revoked = fields[0] == "@revoked"
    names, kind, blob, *_comment = fields[1:] if revoked else fields
    entry = Entry(number, revoked, tuple(names.split(",")), HostKey(kind, base64.b64decode(blob, validate=True)))
    entry.matches("")  # a hashed name must be one that can be compared
    # A key begins with its own type, length first: the two fields of the line must agree.
    if names.startswith("@") or not entry.key.blob.startswith(len(kind).to_bytes(4) + kind.encode()):
        raise ValueError
    return entry


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        salt, digest = (base64.b64decode(part) for part in pattern[3:].split("|"))
        return hmac.compare_digest(hmac.digest(salt, name.encode(), "sha1"), digest)
    if "*" not in pattern and "?" not in pattern:
        return pattern.lower() == name
    # Not fnmatch: in known_hosts the brackets of [address]:port are just brackets.
    expression = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name) is not None
