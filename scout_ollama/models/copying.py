"""Bringing blobs to nodes: each comes verified under its final name. Through this machine, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from scout_ollama.changes import Change, Stage
from scout_ollama.errors import Trouble
from scout_ollama.job import Job
from scout_ollama.models import sizes
from scout_ollama.models.blob import Blob
from scout_ollama.remote import Remote, Script
from scout_ollama.store import blob_file

_SEND = Script("send-blob", 'base64 -w 0 "$1"')
_RECEIVE = Script(
    "receive-blob",
    'mkdir -p "$1/.scout-ollama/incoming" && cd "$1/.scout-ollama/incoming" && base64 -d >"$2" && '
    '[ "sha256-$(sha256sum <"$2" | cut -d " " -f 1)" = "$2" ] && chmod 644 "$2" && mv "$2" "$1/blobs/$2"',
)


@dataclass(frozen=True)
class Source:
    """The ``blobs/`` directory that everything comes from, on a host; without one, each node sees it itself."""

    host: str | None
    directory: str


@dataclass(frozen=True)
class CopyBlobs:
    """Bring blobs to one node."""

    host: str
    blobs: tuple[Blob, ...]
    source: Source
    store: str
    job: Job = field(repr=False)

    @property
    def title(self) -> str:
        """``copy N blobs, SIZE``."""
        size = sizes.shown(sum(blob.size for blob in self.blobs))
        return f"copy {sizes.counted(len(self.blobs), 'blob')}, {size}"

    def difference(self) -> list[str]:
        """Each blob with its size."""
        return [f"+ blob {blob.digest.removeprefix('sha256:')[:12]} {sizes.shown(blob.size)}" for blob in self.blobs]

    def make(self, remote: Remote) -> None:
        """Copy one after the other."""
        for blob in self.blobs:
            file = blob_file(blob.digest)
            content = self._read(f"{self.source.directory}/{file}")
            if remote.run(_RECEIVE, self.store, file, stdin=content, sudo=True, check=False).status:
                raise Trouble(f"{file} did not arrive as it should", host=self.host, next="the same command again")

    def _read(self, path: str) -> bytes:
        host = self.source.host or self.host
        read = self.job.fleet.read(lambda remote: remote.read(_SEND, path, sudo=True), [host])
        return read.values_or_raise()[host].stdout.encode()


def stages(
    job: Job,
    source: Source,
    missing: Mapping[str, Sequence[Blob]],
    whole: Mapping[str, Collection[Blob]],
    *,
    store: str,
    direct: bool = False,
) -> list[Stage]:
    """Return what brings to each node the blobs that it misses; ``whole`` are those that it has, verified."""
    del whole, direct
    changes: list[Change] = [CopyBlobs(h, tuple(blobs), source, store, job) for h, blobs in missing.items() if blobs]
    return [Stage("copy", tuple(changes))]
