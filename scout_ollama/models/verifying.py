"""Verifying blobs where they are: what was hashed once, and is the same file still, is not read again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scout_ollama import sizes
from scout_ollama.changes import Say, Stage
from scout_ollama.job import Job
from scout_ollama.lock import STATE
from scout_ollama.models.blob import Blob, counted_blobs
from scout_ollama.models.place import Place
from scout_ollama.remote import Remote, Script
from scout_ollama.store import blob_digest, blob_file, short

LONGEST_SECONDS = 86400
SAY_BYTES = 5_000_000_000
"""How much is hashed between two lines that say how far it is."""


@dataclass(frozen=True)
class VerifyBlobs:
    """Hash blobs on one host, and keep on record there what came of it."""

    host: str
    store: str
    blobs: tuple[Blob, ...]
    say: Say = field(repr=False)

    @property
    def title(self) -> str:
        """``verify N blobs, SIZE``."""
        return f"verify {counted_blobs(self.blobs)}"

    def difference(self) -> list[str]:
        """Why, and what of it stays."""
        return [f"+ verified: nobody has hashed them yet as they are now in {self.store}"]

    def make(self, remote: Remote) -> None:
        """Hash them; each that is not right is told, and on record: nobody will copy it, and a node fetches it anew."""
        bad = run(remote, self.store, self.blobs, lambda line: self.say(self.host, line))
        for digest, what in bad.items():
            self.say(self.host, f"blob {short(digest)} is {what}")


def stage(job: Job, place: Place, at_source: Sequence[Blob], on_nodes: Mapping[str, Sequence[Blob]]) -> Stage:
    """Return what hashes blobs at the source and, by host, in the nodes' own stores; nothing where there are none."""
    stores = [(place.host.name, place.store, at_source)]
    stores += [(name, job.ollama.store, blobs) for name, blobs in on_nodes.items()]
    changes = [VerifyBlobs(host, store, tuple(blobs), job.say) for host, store, blobs in stores if blobs]
    return Stage("verify", tuple(changes))


WORDS = {"bad": "damaged", "short": "of another size", "missing": "missing", "moving": "being written"}


def run(remote: Remote, store: str, blobs: Sequence[Blob], say: Callable[[str], None]) -> dict[str, str]:
    """Hash blobs on a host; return the digests of those that are not right, with what is wrong.

    Raises:
        RemoteError: the host cannot be reached, or the script failed.
    """
    size_of = {blob.digest: blob.size for blob in blobs}
    bad: dict[str, str] = {}
    total, done, told = sum(size_of.values()), 0, 0

    def hear(line: str) -> None:
        nonlocal done, told
        verdict, _, file = line.partition(" ")
        digest = blob_digest(file)
        if digest not in size_of:
            return
        if verdict in WORDS:
            bad[digest] = WORDS[verdict]
        done += size_of[digest]
        if done - told >= SAY_BYTES:
            told = done
            say(f"verified {sizes.shown(done)} of {sizes.shown(total)}")

    lines = [f"{blob_file(blob.digest)} {blob.size}\n" for blob in blobs]
    stdin = "".join([*lines, "end\n"]).encode()
    script = Script.load("verify-blobs")
    remote.run(script, store, STATE, stdin=stdin, sudo=True, timeout=LONGEST_SECONDS, on_line=hear)
    return bad
