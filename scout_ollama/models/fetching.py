"""One node's part in copying: it follows one upstream after the other until every blob is there."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from scout_ollama.errors import Trouble
from scout_ollama.models.blob import Blob, blob_lines, counted_blobs
from scout_ollama.models.chain import SOURCE, Chain
from scout_ollama.models.copy_progress import CopyProgress
from scout_ollama.models.sharing import RunKey, UnshareBlobs
from scout_ollama.remote import Remote, RemoteError, Result, Script
from scout_ollama.store import blob_digest, blob_file, short

LONGEST_SECONDS = 86400
DAMAGED, UNREACHABLE, UNWRITABLE, STALLED = 65, 69, 74, 75  # how fetch-blobs.sh ends


@dataclass(frozen=True)
class Upstream:
    """Where blobs are fetched from: ``USER@ADDRESS`` with the port of its sshd and its known_hosts lines, or a path."""

    name: str
    place: str
    port: int = 22
    known: str = field(default="", repr=False)


@dataclass
class Fetch:
    """Bring blobs to one node. ``upstreams`` are where it may get them from, by the name of the node, and of SOURCE."""

    host: str
    blobs: tuple[Blob, ...]
    store: str
    cluster: str
    upstreams: Mapping[str, Upstream] = field(repr=False)
    chain: Chain = field(repr=False)
    key: RunKey = field(repr=False)
    progress: CopyProgress = field(repr=False)
    _done: set[str] = field(default_factory=set)
    _current: str = ""
    _damaged: set[str] = field(default_factory=set)
    _there: dict[str, int] = field(default_factory=dict)
    _there_at_trouble: dict[str, int] | None = None

    @property
    def title(self) -> str:
        """``copy N blobs, SIZE``."""
        return f"copy {counted_blobs(self.blobs)}"

    def difference(self) -> list[str]:
        """Each blob with its size."""
        return blob_lines("+", self.blobs)

    def make(self, remote: Remote) -> None:
        """Follow an upstream, and when it fails the next one up the chain, in the end the source."""
        try:
            while True:
                upstream = self.chain.upstream_of(self.host)
                result = self._follow(remote, self.upstreams[upstream])
                if result.status == 0:
                    return
                self._judge(upstream, result)
        except Trouble:
            self._give_up(remote)
            raise

    def _follow(self, remote: Remote, upstream: Upstream) -> Result:
        lines = [f"known {_encoded(upstream.known.encode())}", f"key {_encoded(self.key.private)}"]
        left = (blob for blob in self.blobs if blob.digest not in self._done)
        lines += [f"blob {blob_file(blob.digest)} {blob.size}" for blob in left]
        stdin = "".join(f"{line}\n" for line in (*lines, "end")).encode()
        arguments = (self.store, upstream.place, str(upstream.port))
        return remote.run(
            Script.load("fetch-blobs"),
            *arguments,
            stdin=stdin,
            sudo=True,
            timeout=LONGEST_SECONDS,
            check=False,
            on_line=self._hear,
        )

    def _hear(self, line: str) -> None:
        """Take in a line of fetch-blobs.sh, or something else."""
        verb, *words = line.split(" ")
        digest = blob_digest(words[0]) if words else None
        size = next((blob.size for blob in self.blobs if blob.digest == digest), None)
        if digest is None or size is None:
            return
        if verb == "done":
            self._done.add(digest)
        elif verb in ("begin", "progress") and len(words) == 2 and words[1].isdecimal() and len(words[1]) < 19:
            size, self._current = int(words[1]), digest
        else:
            return
        self._there[digest] = size
        self.chain.arrived(self.host, digest, size)
        (self.progress.begins if verb == "begin" else self.progress.arrived)(self.host, digest, size)

    def _judge(self, upstream: str, result: Result) -> None:
        """Settle whom to follow next. Raises Trouble when nobody is left."""
        why = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
        place = self.upstreams[upstream].name
        if result.status == DAMAGED:
            self._distrust(upstream, place)
        elif result.status in (STALLED, UNREACHABLE) and self._came_on():
            return  # to the same upstream once more
        elif result.status == UNREACHABLE and upstream != SOURCE:
            self.chain.passes(self.host, upstream)
        elif result.status == STALLED and upstream != SOURCE:
            self.chain.goes_on(self.host, upstream, self._current)
        elif result.status in (STALLED, UNREACHABLE):
            raise Trouble(f"blobs do not arrive from {place}", host=self.host, why=why, next=_AGAIN)
        elif result.status == UNWRITABLE:
            raise Trouble("a blob cannot be written", host=self.host, why=why, next=f"make room there, then {_AGAIN}")
        else:
            raise Trouble(f"copying ended with status {result.status}", host=self.host, why=why, next=_AGAIN)

    def _came_on(self) -> bool:
        """Whether any byte has arrived since the last time that none did, or that the connection broke."""
        before, self._there_at_trouble = self._there_at_trouble, dict(self._there)
        return before != self._there_at_trouble

    def _distrust(self, upstream: str, place: str) -> None:
        """What is damaged is fetched once more, from the source; what was there before may have been to blame."""
        if upstream == SOURCE and self._current in self._damaged:
            raise Trouble(
                f"blob {short(self._current)} is damaged on {place}",
                host=self.host,
                why="it was fetched twice, and is not what its name says",
                next=f"inv pull-models --hosts {self.cluster} --repair",
            )
        self._damaged.add(self._current)
        self.chain.passes_all(self.host)

    def _give_up(self, remote: Remote) -> None:
        """Nobody shall follow this node any more, nor have a key for it."""
        self.chain.gone(self.host)
        try:
            UnshareBlobs(self.host, self.key).make(remote)
        except RemoteError:
            return  # the key expires


_AGAIN = "the same command again: what has arrived stays"


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
