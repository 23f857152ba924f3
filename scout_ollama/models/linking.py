"""A node's own pull becomes part of its store: the same files under a second name, so that nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass

from scout_ollama.models.blob import Blob, blob_lines, counted_blobs
from scout_ollama.remote import Remote, Script
from scout_ollama.store import blob_file


@dataclass(frozen=True)
class LinkBlobs:
    """Give verified blobs of one directory their names in the store on the same file system."""

    host: str
    pulled: str
    store: str
    blobs: tuple[Blob, ...]

    @property
    def title(self) -> str:
        """``take over N blobs``."""
        return f"take over {counted_blobs(self.blobs)}, from its own pull"

    def difference(self) -> list[str]:
        """Each blob with its size."""
        return blob_lines("+", self.blobs)

    def make(self, remote: Remote) -> None:
        """Link them; a rename puts each in its place."""
        files = [blob_file(blob.digest) for blob in self.blobs]
        stdin = "\n".join([*files, "end\n"]).encode()
        remote.run(Script.load("link-blobs"), self.pulled, self.store, stdin=stdin, sudo=True, timeout=600)
