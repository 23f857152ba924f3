"""Removing from a node what no kept set names: first the manifest, so that nothing is listed that is half gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scout_ollama import sizes
from scout_ollama.lock import STATE
from scout_ollama.models.pods import Pod
from scout_ollama.models.sets import closure
from scout_ollama.models.stored import Stored
from scout_ollama.remote import Remote, Script
from scout_ollama.store import ModelName, blob_file, short


@dataclass(frozen=True)
class Prune:
    """Remove models, blobs and kept sets from one node; sizes are bytes."""

    host: str
    store: str
    models: tuple[ModelName, ...]
    blobs: Mapping[str, int] = field(repr=False)
    sets: tuple[int, ...]
    pod: Pod | None

    @property
    def title(self) -> str:
        """``remove N models and M blobs, SIZE``."""
        freed = sizes.shown(sum(self.blobs.values()))
        forgotten = f", forget {sizes.counted(len(self.sets), 'set')}" if self.sets else ""
        models, blobs = sizes.counted(len(self.models), "model"), sizes.counted(len(self.blobs), "blob")
        return f"remove {models} and {blobs}, {freed}{forgotten}"

    def difference(self) -> list[str]:
        """Each model, each blob with its size, each set."""
        lines = [f"- {name}" for name in self.models]
        lines += [f"- blob {short(d)} {sizes.shown(size)}" for d, size in self.blobs.items()]
        return lines + [f"- set {number}" for number in self.sets]

    def make(self, remote: Remote) -> None:
        """Remove them, manifests first; a blob that a manifest names after all stays."""
        in_memory = {there.name for there in self.pod.loaded} if self.pod else set()
        lines = [f"unload {name}" for name in self.models if name in in_memory]
        lines += [f"manifest {name.manifest_path}" for name in self.models]
        lines += [f"blob {blob_file(digest)}" for digest in self.blobs]
        lines += [f"set {number}" for number in self.sets]
        stdin = "".join(f"{line}\n" for line in [*lines, "end"]).encode()
        address = self.pod.address if self.pod else ""
        remote.run(Script.load("prune-models"), self.store, STATE, address, stdin=stdin, sudo=True, timeout=600)


def prune(host: str, store: str, node: Stored, *, keep: int, pod: Pod | None) -> Prune | None:
    """Return what removes from a node all that its newest ``keep`` sets do not name; None if there is nothing.

    Served is the newest set: a model that only older sets name keeps its blobs, and is listed no more.
    """
    kept = sorted(node.sets)[-keep:]
    if not kept:
        return None
    newest = node.sets[kept[-1]]
    models = [name for name in sorted({*node.manifests, *node.broken}) if name not in newest.manifests]
    named = {digest for number in kept for digest in node.sets[number].blobs}
    staying = closure(text for name, text in node.manifests.items() if name not in models)
    blobs = {d: file.size for d, file in node.blobs.items() if d not in named and d not in staying}
    forgotten = tuple(number for number in node.sets if number not in kept)
    if not (models or blobs or forgotten):
        return None
    return Prune(host, store, tuple(models), dict(sorted(blobs.items())), forgotten, pod)
