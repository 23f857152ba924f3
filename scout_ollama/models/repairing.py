"""Taking damaged blobs away from the store that models are pulled into: Ollama would never fetch them again."""

from __future__ import annotations

from dataclasses import dataclass, field

from scout_ollama import sizes
from scout_ollama.models.blob import Blob, blob_lines
from scout_ollama.models.pulling import Lock
from scout_ollama.remote import Remote, Script
from scout_ollama.store import blob_file


@dataclass(frozen=True)
class RemoveBlobs:
    """Remove blobs from a store."""

    host: str
    store: str
    blobs: tuple[Blob, ...]
    lock: Lock = field(repr=False)

    @property
    def title(self) -> str:
        """``remove N damaged blobs``."""
        return f"remove {sizes.counted(len(self.blobs), 'damaged blob')} from {self.store}"

    def difference(self) -> list[str]:
        """Each blob with the size that it should have."""
        return blob_lines("-", self.blobs)

    def make(self, remote: Remote) -> None:
        """Remove them; what has one open reads on."""
        files = [blob_file(blob.digest) for blob in self.blobs]
        with self.lock():
            remote.run(Script.load("remove-blobs"), self.store, stdin="\n".join([*files, "end\n"]).encode(), sudo=True)
