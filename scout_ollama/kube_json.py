"""Kubernetes objects in what kubectl prints as JSON: each is what its kind should be, or the whole is refused."""

from __future__ import annotations

from typing import Any

from scout_ollama.kube_shapes import KINDS, OBJECT
from scout_ollama.manifests import KubeObject
from scout_ollama.outside import Unreadable, from_json
from scout_ollama.shapes import check


def objects_in(text: str) -> list[KubeObject]:
    """Return the objects in kubectl's output: a list, one object or nothing. What is null is left out: it means that.

    Raises:
        Unreadable: it is no such thing.
    """
    if not text.strip():
        return []
    document = _without_nulls(from_json(text))
    try:
        check(document, {"kind!": str})
        objects: list[Any] = document["items"] if document["kind"].endswith("List") else [document]
        check(objects, [OBJECT])
        for obj in objects:
            check(obj, KINDS.get(obj["kind"], {}), f"{obj['kind']} {obj['metadata']['name']}: ")
    except (ValueError, KeyError) as error:
        raise Unreadable(f"it is not what kubectl prints: {error}") from None
    return objects


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
