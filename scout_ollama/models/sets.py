"""Published sets: what each tag meant when it was published, with the manifests themselves, so that it can be again.

A set is a file on each node, ``/var/lib/scout-ollama/models/N.json``: the names of its models and their manifests, in
base64. The same number is the same set on every node.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scout_ollama.outside import from_json
from scout_ollama.shapes import check
from scout_ollama.store import Manifest, ModelName, manifest_digest


@dataclass(frozen=True)
class ModelSet:
    """Models as they were published together: name to the bytes of its manifest."""

    manifests: Mapping[ModelName, bytes]

    @property
    def digests(self) -> dict[ModelName, str]:
        """The digest of each model, as ``/api/tags`` shows it."""
        return {name: manifest_digest(text) for name, text in self.manifests.items()}

    @property
    def blobs(self) -> dict[str, int]:
        """Every blob that its models need: digest to size in bytes."""
        return closure(self.manifests.values())

    def dump(self) -> bytes:
        """Return the file's content, the same for the same set."""
        models = {_path(name): base64.b64encode(text).decode() for name, text in sorted(self.manifests.items())}
        return (json.dumps({"models": models}, indent=1) + "\n").encode()

    @classmethod
    def parse(cls, content: bytes) -> ModelSet | None:
        """Read a file; None for one that is no set."""
        try:
            document = from_json(content)
            check(document, {"models!": {"*": str}})
            models = document["models"].items()
            named = {ModelName.from_manifest_path(path): base64.b64decode(text) for path, text in models}
            for text in named.values():
                Manifest.parse(text)
        except ValueError:  # StoreError is one
            return None
        return cls({name: text for name, text in named.items() if name})


def closure(manifests: Iterable[bytes]) -> dict[str, int]:
    """Return the blobs that manifests name, each once: digest to size in bytes."""
    return {digest: size for text in manifests for digest, size in Manifest.parse(text).blobs.items()}


def number_for(wanted: ModelSet, kept: Iterable[Mapping[int, ModelSet]]) -> int:
    """Return the number of a set that is about to be published, given those that the nodes keep.

    It is the newest one's if that is the same set, as on a node that was away, else the next one.
    """
    newest: dict[int, list[ModelSet]] = {}
    for sets in kept:
        for number, known in sets.items():
            newest.setdefault(number, []).append(known)
    if not newest:
        return 1
    last = max(newest)
    return last if all(known == wanted for known in newest[last]) else last + 1


def _path(name: ModelName) -> str:
    return str(name.manifest_path)
