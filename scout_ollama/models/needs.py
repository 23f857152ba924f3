"""What has to be done so that every node serves the models that are wanted: from what was found, as data. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scout_ollama.facts import Space
from scout_ollama.models.blob import Blob
from scout_ollama.models.sets import ModelSet, closure
from scout_ollama.models.stored import Stored
from scout_ollama.models.survey import Found
from scout_ollama.models.wanted import WantedModel
from scout_ollama.outside import from_json
from scout_ollama.shapes import check
from scout_ollama.store import Manifest, ModelName

PARAMETERS = "application/vnd.ollama.image.params"
SPARE_FRACTION = 0.05
"""What a copy leaves free of a file system: K3s begins to evict pods below it."""


@dataclass(frozen=True)
class Call:
    """One request to Ollama's API on the store that models are pulled into."""

    model: ModelName
    path: str
    body: Mapping[str, object]


def calls(found: Found, *, update: bool, repair: bool) -> list[Call]:
    """Return what to pull, then what to make from it.

    A model that is there in whole stays what it is, also if its tag has moved, unless ``update``. A blob that is there
    and wrong would be taken for whole by Ollama: its models are pulled again only with ``repair``, which removes it.
    """
    pulls: dict[ModelName, Call] = {}
    creates: list[Call] = []
    for model in found.wanted:
        lacking = update or lacks(found.source, model.name) or (repair and spoiled(found.source, [model.name]))
        if model.base is None:
            if lacking:
                pulls[model.name] = _pull(model.name)
        elif lacking or not has_parameters(found.source, model):
            creates.append(_create(model, model.base))
            if update or lacks(found.source, model.base) or (repair and spoiled(found.source, [model.name])):
                pulls[model.base] = _pull(model.base)
    return [*pulls.values(), *creates]


def lacks(source: Stored, name: ModelName) -> bool:
    """Whether a store has no good manifest of a model, or lacks a blob that the manifest names."""
    text = source.text_of(name)
    return text is None or any(digest not in source.blobs for digest in Manifest.parse(text).blobs)


def spoiled(source: Stored, names: Iterable[ModelName]) -> list[Blob]:
    """Return the blobs of some models that are there and wrong: of another size, or known to have another hash."""
    texts = [text for name in names if (text := source.text_of(name))]
    return [Blob(digest, size) for digest, size in closure(texts).items() if source.is_spoiled(digest, size)]


def has_parameters(source: Stored, model: WantedModel) -> bool:
    """Whether a variant was made with the parameters that are wanted now."""
    text = source.text_of(model.name)
    layers = Manifest.parse(text).layers if text else ()
    found: dict[str, object] = {}
    for layer in layers:
        if layer.media_type == PARAMETERS:
            try:
                parameters = from_json(source.small.get(layer.digest, b"{}"))
                check(parameters, {})
            except ValueError:
                return False
            found |= parameters
    return all(found.get(name) == value for name, value in model.parameters.items())


def unverified(store: Stored, blobs: Mapping[str, int]) -> list[Blob]:
    """Return the blobs that are there in their size and whose bytes nobody has verified as they are now."""
    return [
        Blob(digest, size)
        for digest, size in blobs.items()
        if store.is_there(digest, size) and digest not in store.verified
    ]


def expected(found: Found, made: Sequence[Call]) -> dict[ModelName, Manifest]:
    """Return, as far as it is known beforehand, what each wanted model will be: of a variant its base's blobs."""
    changing = {call.model for call in made}
    known: dict[ModelName, Manifest] = {}
    for model in found.wanted:
        text = found.source.text_of(model.name)
        if text and model.name not in changing:
            known[model.name] = Manifest.parse(text)
        elif model.pulled in found.registry and (model.pulled in changing or not text):
            known[model.name] = found.registry[model.pulled]
        elif base := found.source.text_of(model.pulled):
            known[model.name] = Manifest.parse(base)
    return known


def publishable(found: Found) -> ModelSet:
    """Return the set that can be published: what staging has in whole, and for the rest what was published before."""
    before = latest(found.nodes.values())
    manifests: dict[ModelName, bytes] = {}
    for model in found.wanted:
        text = found.source.text_of(model.name)
        if text and all(found.source.is_whole(digest, size) for digest, size in Manifest.parse(text).blobs.items()):
            manifests[model.name] = text
        elif before and model.name in before.manifests:
            manifests[model.name] = before.manifests[model.name]
    return ModelSet(manifests)


def latest(nodes: Iterable[Stored]) -> ModelSet | None:
    """Return the newest set that any node keeps."""
    kept = [(number, found) for node in nodes for number, found in node.sets.items()]
    return max(kept, key=lambda pair: pair[0])[1] if kept else None


def missing(node: Stored, wanted: ModelSet) -> list[Blob]:
    """Return the blobs of a set that a node has not in whole, the largest first."""
    lacking = [Blob(digest, size) for digest, size in wanted.blobs.items() if not node.is_whole(digest, size)]
    return sorted(lacking, key=lambda blob: (-blob.size, blob.digest))


def lacking_space(node: Stored, blobs: Iterable[Blob]) -> int:
    """Return how many bytes a node's file system has too few for some blobs and the space that is to stay free."""
    wanted = sum(max(blob.size - node.incoming.get(blob.digest, 0), 0) for blob in blobs)
    free, total = node.space or Space(wanted, 0)
    return max(round(wanted + SPARE_FRACTION * total) - free, 0) if wanted else 0


def _pull(name: ModelName) -> Call:
    return Call(name, "/api/pull", {"model": str(name)})


def _create(model: WantedModel, base: ModelName) -> Call:
    body = {"model": str(model.name), "from": str(base), "parameters": dict(model.parameters)}
    return Call(model.name, "/api/create", body)
