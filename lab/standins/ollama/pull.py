"""POST /api/pull: a model from a registry, with the real server's order and its surprises (0.24.0).

A blob that is there by name is taken for whole, whatever is in it. A new one grows as ``…-partial``, which has its
full size from the start, gets its final name when all bytes are there, and is verified only after all the others are:
what is killed in between stays. The manifest comes last, written in place.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.standins.ollama import golang
from lab.standins.ollama.names import Name
from lab.standins.ollama.store import MANIFEST_TYPE, Layer, Manifest, Store

AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
WAITS = Path("/etc/lab/pull-waits")
_PIECE = 1 << 20
_SECONDS = 30

Values = Iterator[dict[str, Any]]


class PullError(Exception):
    """A pull that ends with this message."""


def pull(store: Store, name: Name, *, prune: bool) -> Values:
    """Bring a model into the store, yielding what the API reports. Raises PullError, StoreError, OSError."""
    yield {"status": "pulling manifest"}
    registry = Registry(name)
    value = registry.manifest()
    layers = [Layer.from_json(layer) for layer in [*value["layers"], value.get("config") or {}] if layer.get("digest")]
    before = _before(store, name)
    fresh = []
    for layer in layers:
        if store.blob_path(layer.digest).exists():
            yield _progress(layer, layer.size)
        else:
            yield from _download(store, registry, layer)
            fresh.append(layer)
    yield {"status": "verifying sha256 digest"}
    for layer in fresh:
        _verify(store, layer)
    yield {"status": "writing manifest"}
    path = store.root / "manifests" / name.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(golang.encode_json(value).rstrip(b"\n"))
    if before and prune:
        yield {"status": "removing unused layers"}
        store.remove_unused(before.digests)
    yield {"status": "success"}


def _before(store: Store, name: Name) -> Manifest | None:
    return store.manifests().get(name)


def _download(store: Store, registry: Registry, layer: Layer) -> Values:
    final = store.blob_path(layer.digest)
    partial = final.with_name(f"{final.name}-partial")
    part = final.with_name(f"{final.name}-partial-0")
    done = 0
    with partial.open("wb") as file:
        file.truncate(layer.size)
        for piece in registry.blob(layer.digest):
            yield from _held(registry.name, layer)
            done += file.write(piece)
            part.write_text(json.dumps({"N": 0, "Offset": 0, "Size": layer.size, "Completed": done}))
            yield _progress(layer, done)
    part.unlink(missing_ok=True)
    partial.rename(final)


def _held(name: Name, layer: Layer) -> Values:
    """Stand still, as behind a slow registry, while `/etc/lab/pull-waits` names the model."""
    while WAITS.exists() and name.short in WAITS.read_text().split():
        yield _progress(layer, 0)
        time.sleep(0.1)


def _progress(layer: Layer, done: int) -> dict[str, Any]:
    short = layer.digest.removeprefix("sha256:")[:12]
    return {"status": f"pulling {short}", "digest": layer.digest, "total": layer.size, "completed": done}


def _verify(store: Store, layer: Layer) -> None:
    path = store.blob_path(layer.digest)
    with path.open("rb") as file:
        found = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    if found != layer.digest:
        path.unlink()
        raise PullError(f"digest mismatch, file must be downloaded again: want {layer.digest}, got {found}")


@dataclass(frozen=True)
class Registry:
    """Where one model's registry has it."""

    name: Name

    def manifest(self) -> dict[str, Any]:
        """The manifest. Raises PullError."""
        response = self._get(f"manifests/{self.name.tag}")
        if response.status == 404:
            raise PullError("pull model manifest: file does not exist")
        if response.status != 200:
            raise PullError(f"pull model manifest: {response.status}: {response.read().decode(errors='replace')}")
        value: dict[str, Any] = json.loads(response.read())
        return value

    def blob(self, digest: str) -> Iterator[bytes]:
        """The bytes of a blob. Raises PullError."""
        response = self._get(f"blobs/{digest}")
        if response.status != 200:
            raise PullError(f"max retries exceeded: {response.status}")
        while piece := response.read(_PIECE):
            yield piece

    def _get(self, path: str) -> http.client.HTTPResponse:
        authorities = str(AUTHORITIES) if AUTHORITIES.exists() else None
        context = ssl.create_default_context(cafile=authorities)
        connection = http.client.HTTPSConnection(self.name.host, timeout=_SECONDS, context=context)
        url = f"/v2/{self.name.namespace}/{self.name.model}/{path}"
        try:
            connection.request("GET", url, headers={"Accept": MANIFEST_TYPE})
            return connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            why = os.strerror(error.errno).lower() if isinstance(error, OSError) and error.errno else str(error)
            raise PullError(f'pull model manifest: Get "https://{self.name.host}{url}": dial tcp: {why}') from error
