"""Publishing a set on a node: manifests by rename, what they replace out of memory, what shall be there into it.

One node at a time: while one loads, the others serve, and a model that cannot be loaded stops at the first node, where
what was there before is put back.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from scout_ollama import sizes
from scout_ollama.changes import Say
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.lock import STATE
from scout_ollama.models.pods import Pod
from scout_ollama.models.sets import ModelSet, closure
from scout_ollama.models.stored import Stored
from scout_ollama.remote import CommandFailed, Remote, Script
from scout_ollama.store import ModelName, blob_file, manifest_digest

LONGEST_SECONDS = 14400


@dataclass(frozen=True)
class Publish:
    """Make a set what one node serves. ``before`` and ``after`` are manifests of what differs; None for what goes."""

    host: str
    store: str
    number: int
    wanted: ModelSet = field(repr=False)
    before: Mapping[ModelName, bytes] = field(repr=False)
    after: Mapping[ModelName, bytes | None] = field(repr=False)
    copied: tuple[str, ...]
    pod: Pod | None
    load: tuple[ModelName, ...]
    say: Say = field(repr=False)

    @property
    def title(self) -> str:
        """``publish set N``, ``load …``."""
        publish = f"publish set {self.number} of {sizes.counted(len(self.wanted.manifests), 'model')}"
        return publish + (f", load {', '.join(map(str, self.load))}" if self.load else "")

    def difference(self) -> list[str]:
        """Each model that comes, changes or goes, with its digest and its size; then what is loaded."""
        lines = [_line(name, self.before.get(name), text) for name, text in self.after.items()]
        lines += [f"+ in memory: {name}" for name in self.load]
        return lines or [f"+ set {self.number} on record; no model changes"]

    def make(self, remote: Remote) -> None:
        """Publish, and wait until what shall be loaded is; if it cannot be, everything is as before."""
        arguments = (self.store, STATE, str(self.number), self.pod.address if self.pod else "")
        script = Script.load("publish-models")
        try:
            remote.run(script, *arguments, stdin=self.request(), sudo=True, timeout=LONGEST_SECONDS, on_line=self._hear)
        except CommandFailed as failure:
            raise Trouble(
                f"set {self.number} was not published",
                host=self.host,
                why=failure.why,
                next=f"inv verify-models --hosts {remote.host.cluster}; then the same command again",
            ) from failure

    def request(self) -> bytes:
        """Return what ``publish-models.sh`` is told."""
        lines = [f"blob {blob_file(digest)} {size}" for digest, size in self.wanted.blobs.items()]
        lines += [f"copied {blob_file(digest)}" for digest in self.copied]
        lines += [f"unload {name}" for name in self._replaced_in_memory()]
        for name, text in self.after.items():
            path = name.manifest_path
            lines.append(f"remove {path}" if text is None else f"manifest {path} {base64.b64encode(text).decode()}")
        lines += [f"load {name}" for name in self.load]
        lines.append(f"set {base64.b64encode(self.wanted.dump()).decode()}")
        return "".join(f"{line}\n" for line in [*lines, "end"]).encode()

    def _replaced_in_memory(self) -> list[ModelName]:
        """What is in memory by a name that will mean something else: afterwards nobody could name it any more."""
        return [there.name for there in self.pod.loaded if there.name in self.after] if self.pod else []

    def _hear(self, line: str) -> None:
        if line.startswith("loading "):
            self.say(self.host, line)


def publish(
    host: Host,
    store: str,
    number: int,
    wanted: ModelSet,
    node: Stored,
    *,
    copied: Collection[str],
    pod: Pod | None,
    preload: Collection[ModelName],
    gone: Collection[ModelName] = (),
    say: Say,
) -> Publish | None:
    """Return what makes a set what a node serves; None if it does, has it on record, and all of ``preload`` in memory.

    ``gone`` are models that shall not be served any more.
    """
    before = {name: text for name in [*wanted.manifests, *gone] if (text := node.text_of(name))}
    after: dict[ModelName, bytes | None] = {n: t for n, t in wanted.manifests.items() if before.get(n) != t}
    after |= {name: None for name in gone if name in before}
    load = tuple(name for name in preload if pod and name in wanted.manifests and not _is_loaded(pod, name, wanted))
    if not (after or load or copied) and node.sets.get(number) == wanted:
        return None
    return Publish(host.name, store, number, wanted, before, after, tuple(copied), pod, load, say)


def _is_loaded(pod: Pod, name: ModelName, wanted: ModelSet) -> bool:
    return any(there.name == name and there.digest == wanted.digests[name] for there in pod.loaded)


def _line(name: ModelName, before: bytes | None, after: bytes | None) -> str:
    if after is None:
        return f"- {name} {manifest_digest(before)[:12]}" if before else f"- {name}"
    size = sizes.shown(sum(closure([after]).values()))
    if before is None:
        return f"+ {name} {manifest_digest(after)[:12]} {size}"
    return f"~ {name}: {manifest_digest(before)[:12]} → {manifest_digest(after)[:12]} {size}"
