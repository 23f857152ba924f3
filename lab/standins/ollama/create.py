"""POST /api/create: models derived from others in the store, or made of an uploaded GGUF blob.

The blobs and the manifest come out byte for byte as the real server writes them, so digests agree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from lab.standins.ollama import gguf, golang
from lab.standins.ollama.names import Name
from lab.standins.ollama.store import CONFIG_TYPE, Layer, Store, StoreError, image_type

_INHERITED = ("renderer", "parser", "requires", "model_format", "capabilities")
_WEIGHTS = {image_type("model"), image_type("projector"), image_type("adapter")}
_ORDER = (
    *("model_format", "model_family", "model_families", "model_type", "file_type"),
    *("renderer", "parser", "requires", "capabilities", "architecture", "os", "rootfs"),
)

Part = tuple[Layer, str]
"""A layer of the new model, with the status line that tells where it came from."""


class BadRequest(Exception):
    """The request itself is wrong: HTTP 400."""


def create(store: Store, name: Name, request: dict[str, Any]) -> Iterator[str]:
    """Create `name` as `request` says, yielding each status line; the manifest is written last.

    Raises BadRequest, or StoreError when the base is absent (the real server would pull it) or the store refuses.
    """
    config: dict[str, Any] = {key: request[key] for key in ("renderer", "parser", "requires") if request.get(key)}
    if request.get("from"):
        base = Name.parse(request["from"])
        if not base.is_valid:
            raise BadRequest("invalid model name")
        parts = _from_model(store, base, config)
    elif request.get("files") is not None:
        yield "parsing GGUF"
        parts = _from_files(store, request["files"])
    else:
        raise BadRequest("neither 'from' or 'files' was specified")
    _describe(store, parts, config)
    parts = _with_texts(store, parts, request)
    parts = _with_parameters(store, parts, request.get("parameters") or {})
    layers = [layer for layer, _ in parts]
    config.update(architecture="amd64", os="linux")
    config["rootfs"] = {"type": "layers", "diff_ids": [layer.digest for layer in layers]}
    ordered = {key: config[key] for key in _ORDER if key in config}
    config_layer, _ = _add(store, golang.encode_json(ordered), CONFIG_TYPE)
    for _, status in parts:
        yield status
    yield "writing manifest"
    store.write_manifest(name, config_layer, layers)


def _from_model(store: Store, base: Name, config: dict[str, Any]) -> list[Part]:
    try:
        manifest = store.manifest(base)
    except StoreError as error:
        if error.missing:
            raise StoreError(f"pull model manifest: the lab's stand-in pulls nothing ({base.short})") from error
        raise
    parts = [store.reuse_blob(layer, base.short) for layer in manifest.layers]
    if manifest.config.digest:
        inherited = json.loads(store.read_blob(manifest.config.digest))
        for key in _INHERITED:
            if inherited.get(key):
                config.setdefault(key, inherited[key])
    return parts


def _from_files(store: Store, files: dict[str, str]) -> list[Part]:
    parts = []
    for digest in files.values():
        path = store.blob_path(digest)
        if not gguf.opens(path):
            raise BadRequest("supplied file was not in GGUF format" if path.exists() else "unknown type")
        parts.append(store.reuse_blob(Layer(image_type("model"), digest, 0), str(path)))
    if not parts:
        raise BadRequest("unknown type")
    return parts


def _describe(store: Store, parts: list[Part], config: dict[str, Any]) -> None:
    """Fill in what the headers of the weights say."""
    for layer, _ in parts:
        if layer.media_type not in _WEIGHTS:
            continue
        try:
            header = gguf.read_header(store.blob_path(layer.digest))
        except (OSError, gguf.BadFile) as error:
            raise StoreError(str(error)) from error
        config.setdefault("model_format", "gguf")
        config.setdefault("model_family", header.architecture)
        config.setdefault("model_type", golang.human_count(header.parameter_count))
        config.setdefault("file_type", header.file_type)
        config.setdefault("model_families", []).append(header.architecture)


def _with_texts(store: Store, parts: list[Part], request: dict[str, Any]) -> list[Part]:
    """`parts` with the request's template and system prompt instead of the base's, and its licenses added."""
    for kind in ("template", "system"):
        if text := request.get(kind):
            parts = [*_without(parts, kind), _add(store, text.encode(), image_type(kind))]
    licenses = request.get("license") or []
    for text in [licenses] if isinstance(licenses, str) else licenses:
        parts = [*parts, _add(store, text.encode(), image_type("license"))]
    return parts


def _with_parameters(store: Store, parts: list[Part], parameters: dict[str, Any]) -> list[Part]:
    """`parts` with `parameters` laid over those of the base, in one new blob."""
    merged: dict[str, Any] = {}
    for layer, _ in parts:
        if layer.media_type == image_type("params"):
            merged.update(json.loads(store.read_blob(layer.digest)))
    merged.update(parameters)
    if not merged:
        return parts
    content = golang.encode_json(dict(sorted(merged.items())))
    return [*_without(parts, "params"), _add(store, content, image_type("params"))]


def _without(parts: list[Part], kind: str) -> list[Part]:
    return [(layer, status) for layer, status in parts if layer.media_type != image_type(kind)]


def _add(store: Store, content: bytes, media_type: str) -> Part:
    return store.add_blob(BytesIO(content), media_type)
