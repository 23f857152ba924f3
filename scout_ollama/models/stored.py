"""What one host has in its model store: staging's share, or a node's copy. Read by one script, parsed into a value."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from scout_ollama.facts import Section, Space, facts_script, parse_sections, space_of
from scout_ollama.lock import STATE
from scout_ollama.models.sets import ModelSet
from scout_ollama.outside import understood, whole
from scout_ollama.remote import Reader
from scout_ollama.store import Manifest, ModelName, StoreError, blob_digest


@dataclass(frozen=True)
class BlobFile:
    """A file in ``blobs/``: its size in bytes, and what changes when somebody writes to it."""

    size: int
    stamp: str


@dataclass(frozen=True)
class Stored:
    """A store as it is now. ``flaw`` says why it is none, empty if it is one.

    ``manifests`` are those that can be read, as bytes; ``broken`` are those that cannot, with the reason; ``odd`` are
    paths that are no model's name. ``verified`` says of blobs that were hashed as they are now whether they are right.
    ``small`` are the contents of blobs of less than 5 kB. ``incoming`` are bytes that have arrived of blobs that are on
    their way.
    """

    flaw: str = ""
    space: Space | None = None
    manifests: Mapping[ModelName, bytes] = field(default_factory=dict)
    broken: Mapping[ModelName, str] = field(default_factory=dict)
    odd: tuple[str, ...] = ()
    blobs: Mapping[str, BlobFile] = field(default_factory=dict)
    verified: Mapping[str, bool] = field(default_factory=dict)
    small: Mapping[str, bytes] = field(default_factory=dict)
    incoming: Mapping[str, int] = field(default_factory=dict)
    sets: Mapping[int, ModelSet] = field(default_factory=dict)

    def text_of(self, name: ModelName) -> bytes | None:
        """Return a model's manifest, whatever the case of its name on disk; None if it has no good one."""
        if name in self.manifests:
            return self.manifests[name]
        return next((text for there, text in self.manifests.items() if there.matches(name)), None)

    def is_there(self, digest: str, size: int) -> bool:
        """Whether a blob has its size. That says nothing about its bytes."""
        return digest in self.blobs and self.blobs[digest].size == size

    def is_whole(self, digest: str, size: int) -> bool:
        """Whether a blob has its size, and its bytes were verified as they are now."""
        return self.is_there(digest, size) and self.verified.get(digest, False)

    def is_spoiled(self, digest: str, size: int) -> bool:
        """Whether a blob is there and wrong: Ollama would take it for whole."""
        return digest in self.blobs and (self.blobs[digest].size != size or self.verified.get(digest) is False)


def read(remote: Reader, store: str) -> Stored:
    """Read what a host has in a store: one script, as root.

    Raises:
        RemoteError: the host cannot be reached, or refuses the script.
    """
    script = facts_script("model-store")
    said = remote.read(script, store, STATE, sudo=True, timeout=180).stdout
    with understood(remote.host.name, script.name):
        return parse(parse_sections(said))


def parse(sections: Mapping[str, Section]) -> Stored:
    """Make sense of what ``model-store.sh`` printed."""
    sets = _sets(sections["sets"])
    answers = sections["answers"]
    if not answers.ok:
        why = "it does not answer within 20 s: a stale or dead mount" if answers.timed_out else answers.text
        return Stored(flaw=why.strip() or "it cannot be looked at", sets=sets)
    if not sections["directories"].ok:
        return Stored(flaw="blobs/ and manifests/ are not in it", sets=sets)
    manifests, broken, odd = _manifests(sections["manifests"])
    blobs = _blobs(sections["blobs"])
    return Stored(
        space=space_of(sections["space"]),
        manifests=manifests,
        broken=broken,
        odd=odd,
        blobs=blobs,
        verified=_verified(sections["verified"], blobs),
        small=_small(sections["small"]),
        incoming=_incoming(sections["incoming"]),
        sets=sets,
    )


def _lines(section: Section) -> list[str]:
    return section.text.splitlines() if section.ok else []


def _manifests(section: Section) -> tuple[dict[ModelName, bytes], dict[ModelName, str], tuple[str, ...]]:
    good: dict[ModelName, bytes] = {}
    broken: dict[ModelName, str] = {}
    odd: list[str] = []
    for line in _lines(section):
        encoded, _, text = line.partition(" ")
        path, content = base64.b64decode(encoded).decode(errors="replace"), base64.b64decode(text)
        name = ModelName.from_manifest_path(path)
        if name is None:
            odd.append(path)
            continue
        try:
            Manifest.parse(content)
            good[name] = content
        except StoreError as error:
            broken[name] = error.why if content else "it is empty: somebody writes it, or was cut off at it"
    return good, broken, tuple(sorted(odd))


def _blobs(section: Section) -> dict[str, BlobFile]:
    blobs: dict[str, BlobFile] = {}
    for line in _lines(section):
        words = line.split(" ")
        digest = blob_digest(words[0])
        if digest and len(words) == 4 and words[1].isdecimal():
            blobs[digest] = BlobFile(whole(words[1]), f"{words[2]} {words[3]}")
    return blobs


def _verified(section: Section, blobs: Mapping[str, BlobFile]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for line in _lines(section):
        words = line.split(" ")
        digest = blob_digest(words[0])
        there = blobs.get(digest or "")
        if digest and there and words[1:4] == [str(there.size), *there.stamp.split(" ")]:
            found[digest] = words[-1] == "ok"
    return found


def _small(section: Section) -> dict[str, bytes]:
    pairs = (line.split(" ") for line in _lines(section))
    return {digest: base64.b64decode(text) for file, text in pairs if (digest := blob_digest(file))}


def _incoming(section: Section) -> dict[str, int]:
    pairs = (line.split(" ") for line in _lines(section))
    return {digest: whole(size) for file, size in pairs if (digest := blob_digest(file))}


def _sets(section: Section) -> dict[int, ModelSet]:
    pairs = (line.split(" ") for line in _lines(section))
    parsed = {whole(number): ModelSet.parse(base64.b64decode(text)) for number, text in pairs if number.isdecimal()}
    return {number: found for number, found in sorted(parsed.items()) if found}
