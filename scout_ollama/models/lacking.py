"""Why a wanted model cannot come from where models are pulled: told with the command that mends it."""

from __future__ import annotations

from collections.abc import Iterator

from scout_ollama import sizes
from scout_ollama.errors import Trouble
from scout_ollama.hints import on
from scout_ollama.models import needs
from scout_ollama.models.survey import Found
from scout_ollama.store import Manifest, ModelName, short


def troubles(found: Found) -> list[Trouble]:
    """Return a trouble for the blobs that are damaged, if there are any, and one for each model that is not there."""
    return [*_damaged(found), *_not_there(found)]


def warnings(found: Found) -> list[Trouble]:
    """Return what is odd in the stores and keeps nobody from anything, and damage that is known beforehand."""
    return [*_damaged(found), *_odd(found), *_sharing(found)]


def _damaged(found: Found) -> Iterator[Trouble]:
    lines: list[str] = []
    digests: set[str] = set()
    for model in found.wanted:
        for blob in needs.spoiled(found.source, [model.name]):
            digests.add(blob.digest)
            size = found.source.blobs[blob.digest].size
            what = "damaged" if size == blob.size else f"{size} of {blob.size} bytes"
            lines.append(f"{model.name}: blob {short(blob.digest)} is {what}")
    if digests:
        yield Trouble(
            f"damaged: {sizes.counted(len(digests), 'blob')} in {found.place.store}",
            host=found.place.host.name,
            why="\n".join([*lines, "Ollama takes them for whole, also when it pulls again; no node gets them"]),
            next=f"inv pull-models --hosts {found.cluster} --repair",
        )


def _not_there(found: Found) -> Iterator[Trouble]:
    for model in found.wanted:
        if not needs.lacks(found.source, model.name):
            continue
        yield Trouble(
            f"{model.name} is not published",
            host=found.place.host.name,
            why=_reason(found, model.name),
            next=f"inv pull-models --hosts {found.cluster}",
        )


def _reason(found: Found, name: ModelName) -> str:
    broken = next((why for there, why in found.source.broken.items() if there.matches(name)), "")
    if broken:
        return f"its manifest in {found.place.store} cannot be read: {broken}"
    text = found.source.text_of(name)
    gone = [digest for digest in (Manifest.parse(text).blobs if text else {}) if digest not in found.source.blobs]
    return "\n".join(f"blob {short(digest)} is missing" for digest in gone) or "it was not pulled"


def _odd(found: Found) -> Iterator[Trouble]:
    for host, node in found.nodes.items():
        for name, why in node.broken.items():
            yield Trouble(
                f"its manifest of {name} cannot be read",
                host=host,
                why=f"{why}\nOllama passes it over",
                next=f"inv list-models --hosts {found.cluster}",
            )
    if found.source.odd:
        store = f"{found.place.store}/manifests"
        yield Trouble(
            f"no manifests: {sizes.counted(len(found.source.odd), 'file')} below {store}",
            host=found.place.host.name,
            why="\n".join(repr(path) for path in found.source.odd[:5]) + "\nthey are passed over",
            next=on(found.place.host, f"ls -laR {store}"),
        )


def _sharing(found: Found) -> Iterator[Trouble]:
    weights: dict[str, list[ModelName]] = {}
    for model in found.wanted:
        text = found.source.text_of(model.name)
        layer = Manifest.parse(text).weights if text else None
        if layer:
            weights.setdefault(layer.digest, []).append(model.name)
    for names in weights.values():
        if len(names) > 1:
            yield Trouble(
                f"{', '.join(map(str, names))} share their weights",
                why="Ollama holds weights once, with one name's parameters: requests that alternate reload them",
                next=f"leave one of them in {found.cluster}.yaml: ollama.models and ollama.scout_models",
            )
