"""The model store on disk: `manifests/<host>/<namespace>/<model>/<tag>` and `blobs/sha256-<hex>`.

Everything here touches the disk as often as the real server does: manifests are read anew for every request,
directories are made whenever a path is asked for, so a read-only or vanishing store fails in the same places.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from lab.standins.ollama import golang
from lab.standins.ollama.golang import log
from lab.standins.ollama.names import Name

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG_TYPE = "application/vnd.docker.container.image.v1+json"
DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
"""A digest, with `:` as in manifests or `-` as in file names."""
_READ_SIZE = 1 << 20


class StoreError(Exception):
    """A refusal of the store in the real server's words; `missing` if a file was not there."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class Source(Protocol):
    """What bytes are read from: a file, or the body of a request."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def image_type(kind: str) -> str:
    """The media type of a layer: model, template, params, license …"""
    return f"application/vnd.ollama.image.{kind}"


@dataclass(frozen=True)
class Layer:
    """One entry of a manifest: which blob, of which size in bytes, as what."""

    media_type: str
    digest: str
    size: int
    origin: str = ""
    """The short name of the model it was taken from (`from` in the file)."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Layer:
        return cls(value.get("mediaType", ""), value.get("digest", ""), value.get("size", 0), value.get("from", ""))

    def to_json(self) -> dict[str, Any]:
        value = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        return {**value, "from": self.origin} if self.origin else value


@dataclass(frozen=True)
class Manifest:
    """A model's manifest as found on disk."""

    config: Layer
    layers: tuple[Layer, ...]
    digest: str
    """SHA-256 of the file's bytes, in hexadecimal: what /api/tags calls digest."""
    modified: float
    """Modification time of the file, in seconds since 1970."""

    @property
    def size(self) -> int:
        """Bytes that the manifest promises, whether the blobs are there or not."""
        return self.config.size + sum(layer.size for layer in self.layers)

    @property
    def digests(self) -> set[str]:
        return {layer.digest for layer in (self.config, *self.layers) if layer.digest}


class Store:
    """The store under one directory, the value of OLLAMA_MODELS."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def blob_path(self, digest: str) -> Path:
        """The file of a digest. Raises StoreError if it is not one, or if blobs/ cannot be made."""
        if not DIGEST.fullmatch(digest):
            raise StoreError("invalid digest format")
        return self.blobs() / digest.replace(":", "-")

    def blobs(self) -> Path:
        """The directory blobs/, made if missing."""
        return _make_directory(self.root / "blobs")

    def _manifests(self) -> Path:
        return _make_directory(self.root / "manifests")

    def manifest(self, name: Name) -> Manifest:
        """The manifest of `name`. Raises StoreError (`missing` if there is none) if it cannot be read."""
        path = self._manifests() / name.path
        try:
            with path.open("rb") as file:
                content, modified = file.read(), os.fstat(file.fileno()).st_mtime
        except OSError as error:
            raise _refusal(error, "open", path) from error
        try:
            # Go's decoder reads one value and leaves what follows it.
            text = content.decode().lstrip()
            if not text:
                raise StoreError("EOF")
            value, _ = json.JSONDecoder().raw_decode(text)
            config, layers = value.get("config") or {}, value.get("layers") or []
            return Manifest(
                Layer.from_json(config),
                tuple(Layer.from_json(layer) for layer in layers),
                hashlib.sha256(content).hexdigest(),
                modified,
            )
        except (ValueError, AttributeError, TypeError) as error:
            raise StoreError(f"invalid manifest: {error}") from error

    def manifests(self, *, strict: bool = False) -> dict[Name, Manifest]:
        """All manifests. A bad one is left out with a warning, or is an error if `strict`.

        Only names at depth four count, dot files too. A match that cannot be looked at (it vanished, or is a
        dangling link) fails the whole walk, as in the real server.
        """
        base = self._manifests()
        found = {}
        for path in sorted(_matches(base, depth=4)):
            try:
                is_directory = path.is_dir() if path.exists() else (path.stat() and False)
            except OSError as error:
                raise _refusal(error, "stat", path) from error
            if is_directory:
                continue
            relative = PurePosixPath(path.relative_to(base))
            name = Name.from_path(relative)
            if name is None:
                if strict:
                    raise StoreError(f"{relative} is no model name")
                log("WARN", "bad manifest name", path=relative)
                continue
            try:
                found[name] = self.manifest(name)
            except StoreError as error:
                if strict:
                    raise
                log("WARN", "bad manifest", name=name, error=error)
        return found

    def existing(self, name: Name) -> Name:
        """`name` with each part spelled as it is on disk: names match without regard to case."""
        parts = {field: getattr(name, field) for field in ("host", "namespace", "model", "tag")}
        for other in self.manifests():
            for field, part in parts.items():
                if getattr(other, field).lower() == part.lower():
                    parts[field] = getattr(other, field)
        return Name(**parts)

    def read_blob(self, digest: str) -> bytes:
        """A small blob's content."""
        path = self.blob_path(digest)
        try:
            return path.read_bytes()
        except OSError as error:
            raise _refusal(error, "open", path) from error

    def add_blob(self, source: Source, media_type: str) -> tuple[Layer, str]:
        """Store what `source` holds under its digest; the layer and what happened.

        A blob that is there already is kept, and its modification time becomes now.
        """
        hashed, size = hashlib.sha256(), 0
        try:
            with tempfile.NamedTemporaryFile(dir=self.blobs(), prefix="sha256-", delete=False) as file:
                temporary = Path(file.name)
                while chunk := source.read(_READ_SIZE):
                    hashed.update(chunk)
                    size += file.write(chunk)
        except OSError as error:
            raise _refusal(error, "open", self.blobs() / "sha256-") from error
        digest = f"sha256:{hashed.hexdigest()}"
        path, status = self.blob_path(digest), "using existing layer"
        try:
            if not path.exists():
                status = "creating new layer"
                temporary.rename(path)
                path.chmod(0o644)
            os.utime(path)
        finally:
            temporary.unlink(missing_ok=True)
        return Layer(media_type, digest, size), f"{status} {digest}"

    def reuse_blob(self, layer: Layer, origin: str) -> tuple[Layer, str]:
        """The same blob as a layer of another model: its modification time becomes now."""
        path = self.blob_path(layer.digest)
        try:
            size = path.stat().st_size
            os.utime(path)
        except OSError as error:
            raise _refusal(error, "stat", path) from error
        return Layer(layer.media_type, layer.digest, size, origin), f"using existing layer {layer.digest}"

    def write_manifest(self, name: Name, config: Layer, layers: Iterable[Layer]) -> None:
        """Write the manifest in place, as the real server does: a reader may see it empty."""
        value = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        path = self._manifests() / name.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(golang.encode_json(value))
        except OSError as error:
            raise _refusal(error, "open", path) from error

    def copy_manifest(self, source: Name, target: Name) -> None:
        """Give a model a second name. Raises StoreError (`missing` if there is no `source`)."""
        if source == target:
            return
        base = self._manifests()
        try:
            (base / target.path).parent.mkdir(parents=True, exist_ok=True)
            (base / target.path).write_bytes((base / source.path).read_bytes())
        except OSError as error:
            raise _refusal(error, "open", base / source.path) from error

    def remove(self, name: Name, manifest: Manifest) -> None:
        """Delete a model: its manifest, directories left empty, then blobs that nothing else uses."""
        path = self._manifests() / name.path
        try:
            path.unlink()
        except OSError as error:
            raise _refusal(error, "remove", path) from error
        prune_directory(self._manifests())
        self.remove_unused(manifest.digests)

    def remove_unused(self, digests: Iterable[str]) -> None:
        """Delete those of `digests` that no manifest names."""
        used = {digest for manifest in self.manifests().values() for digest in manifest.digests}
        for digest in set(digests) - used:
            path = self.blob_path(digest)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise _refusal(error, "remove", path) from error


def prune_directory(path: Path) -> None:
    """Remove empty directories below `path`, and `path` itself if it ends up empty.

    Raises StoreError at the first that cannot be removed: on a read-only store `ollama serve` exits over this.
    """
    for child in sorted(path.iterdir()):
        if child.is_dir() and not child.is_symlink():
            prune_directory(child)
    try:
        if not any(path.iterdir()):
            path.rmdir()
    except OSError as error:
        raise _refusal(error, "remove", path) from error


def _make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = golang.error_text(error, "mkdir", path)
        raise StoreError(f"{cause}: ensure path elements are traversable") from error
    return path


def _matches(base: Path, depth: int) -> Iterator[Path]:
    """Paths `depth` below `base`; what cannot be listed is passed over."""
    try:
        children = list(base.iterdir())
    except OSError:
        return
    for child in children:
        if depth == 1:
            yield child
        elif child.is_dir():
            yield from _matches(child, depth - 1)


def _refusal(error: OSError, operation: str, path: Path) -> StoreError:
    return StoreError(golang.error_text(error, operation, path), missing=error.errno == errno.ENOENT)
