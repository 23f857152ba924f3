"""list-models: every model against staging, each node and the lock, and in plain words what does not agree. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from scout_ollama.models import needs
from scout_ollama.models.pods import Pod
from scout_ollama.models.stored import Stored
from scout_ollama.models.survey import Found
from scout_ollama.results import ModelCopyOutput, ModelOutput
from scout_ollama.store import Manifest, ModelName, manifest_digest


def rows(found: Found, locked: Mapping[ModelName, str]) -> list[ModelOutput]:
    """Return a row for each model that is wanted, locked, or on a node; what only staging has is others' business."""
    wanted = {model.name for model in found.wanted}
    there = {name for node in found.nodes.values() for name in [*node.manifests, *node.broken]}
    return [_row(found, name, name in wanted, locked.get(name)) for name in sorted(wanted | there | set(locked))]


def _row(found: Found, name: ModelName, wanted: bool, locked: str | None) -> ModelOutput:
    source = _copy(found.source, name, None)
    nodes = {host: _copy(node, name, found.pods.get(host)) for host, node in found.nodes.items()}
    text = found.source.text_of(name) or next((t for n in found.nodes.values() if (t := n.text_of(name))), None)
    return ModelOutput(
        cluster=found.cluster,
        model=str(name),
        wanted=wanted,
        size=sum(Manifest.parse(text).blobs.values()) if text else None,
        staging=source,
        nodes=nodes,
        lock=locked,
        drift="; ".join(_drift(found, wanted, source, nodes, locked)),
    )


def _copy(store: Stored, name: ModelName, pod: Pod | None) -> ModelCopyOutput:
    text = store.text_of(name)
    there = next((entry for entry in (pod.loaded if pod else ()) if entry.name.matches(name)), None)
    return ModelCopyOutput(
        digest=manifest_digest(text) if text else None,
        state=_state(store, name, text),
        in_memory=there is not None,
        in_vram=there is not None and there.vram >= there.size,
    )


def _state(store: Stored, name: ModelName, text: bytes | None) -> str:
    if text is None:
        return "broken" if any(other.matches(name) for other in store.broken) else "absent"
    blobs = Manifest.parse(text).blobs
    if needs.spoiled(store, [name]):
        return "damaged"
    if any(digest not in store.blobs for digest in blobs):
        return "incomplete"
    return "verified" if all(store.is_whole(digest, size) for digest, size in blobs.items()) else "not verified"


def _drift(
    found: Found, wanted: bool, source: ModelCopyOutput, nodes: Mapping[str, ModelCopyOutput], locked: str | None
) -> Iterator[str]:
    where = "staging" if found.place.is_staging else found.place.host.name
    bad = {host: copy.state for host, copy in nodes.items() if copy.state in ("broken", "damaged", "incomplete")}
    yield from (f"{state} on {host}" for host, state in bad.items())
    if source.state in ("broken", "damaged", "incomplete"):
        yield f"{source.state} on {where}"
    absent = [host for host, copy in nodes.items() if copy.state == "absent"]
    if absent and (wanted or len(absent) < len(nodes)):
        yield f"not on {', '.join(absent)}"
    digests = {copy.digest for copy in nodes.values() if copy.digest}
    if len(digests) > 1:
        yield "the nodes differ"
    elif digests and source.digest and source.digest not in digests:
        yield f"{where} has another one"
    if locked and digests - {locked}:
        yield "not what models.lock has"
    elif digests and not locked:
        yield "not in models.lock"
    if not wanted:
        yield "not wanted by the inventory"
