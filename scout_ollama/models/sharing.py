"""Reading blobs from node to node: a key for one run, which every host that serves lets do that one thing."""

from __future__ import annotations

import base64
import secrets
import shlex
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from scout_ollama.models.chain import Chain
from scout_ollama.remote import Remote, Script

HOURS = 24
"""After so long the key is worth nothing, whatever became of the run."""


@dataclass(frozen=True)
class RunKey:
    """A key pair that nobody keeps. ``name`` stands in every line of authorized_keys that is about it."""

    cluster: str
    name: str
    public: str
    private: bytes = field(repr=False)

    @classmethod
    def make(cls, cluster: str) -> RunKey:
        """Return a new one."""
        key = Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        return cls(cluster, f"scout-ollama-{cluster}-{secrets.token_hex(8)}", public, private)


@dataclass(frozen=True)
class ExpectBlobs:
    """Make one node ready for what is to arrive: it can be followed from now on, and nothing else is on its way."""

    host: str
    store: str
    files: tuple[str, ...]

    @property
    def title(self) -> str:
        """``make ready``."""
        return "make ready for what is to arrive"

    def difference(self) -> list[str]:
        """What goes."""
        return ["- bytes that have arrived of blobs that are not wanted any more"]

    def make(self, remote: Remote) -> None:
        """Remove what no wanted blob begins with."""
        stdin = "".join(f"{line}\n" for line in (*self.files, "end")).encode()
        remote.run(Script.load("expect-blobs"), self.store, stdin=stdin, sudo=True, timeout=120)


@dataclass(frozen=True)
class ShareBlobs:
    """Let the run's key read blobs on one host, from the receivers' addresses.

    ``readable`` are files that must be readable to the user that logs in.
    """

    host: str
    key: RunKey = field(repr=False)
    directories: tuple[str, ...]
    receivers: tuple[str, ...]
    readable: tuple[str, ...]
    chain: Chain = field(repr=False)

    @property
    def title(self) -> str:
        """``let the other nodes read blobs``."""
        return "let the other nodes read blobs"

    def difference(self) -> list[str]:
        """What the key may do, and for how long."""
        return [f"+ authorized_keys: blobs, to be read from {', '.join(self.receivers)}, for {HOURS} h at the most"]

    def make(self, remote: Remote) -> None:
        """Add the line; from now on the host can be followed."""
        user = remote.host.ssh.user
        script = Script.load("share-blobs")
        remote.run(script, self.key.name, self.key.cluster, user, str(HOURS), stdin=self._request(), sudo=True)
        self.chain.opened(self.host)

    def _request(self) -> bytes:
        text = f"set -- {shlex.join(self.directories)}\n{Script.load('serve-blobs').text}"
        lines = [f"script {base64.b64encode(text.encode()).decode()}", f"key {self.key.public}"]
        lines += [f"from {address}" for address in self.receivers]
        lines += [f"readable {file}" for file in self.readable]
        return "".join(f"{line}\n" for line in (*lines, "end")).encode()


@dataclass(frozen=True)
class UnshareBlobs:
    """Take the run's key back on one host."""

    host: str
    key: RunKey = field(repr=False)

    @property
    def title(self) -> str:
        """``let nobody read blobs any more``."""
        return "let nobody read blobs any more"

    def difference(self) -> list[str]:
        """What goes."""
        return ["- authorized_keys: the key of this run"]

    def make(self, remote: Remote) -> None:
        """Remove the line."""
        remote.run(Script.load("unshare-blobs"), self.key.name, remote.host.ssh.user, sudo=True, timeout=60)
