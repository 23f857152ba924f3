"""The Ollama model store as data: names, manifests, and the blobs that they name.

A store is a directory with two others in it, the value of ``OLLAMA_MODELS``:

``manifests/<host>/<namespace>/<model>/<tag>``
    one JSON file for each model, without extension; the SHA-256 of its bytes is the ``digest`` in ``/api/tags``
``blobs/sha256-<64 hex digits>``
    everything else, named by its own SHA-256; many models may share one, above all the weights

Nothing here reads or writes: listings and file contents come from elsewhere. Ollama itself never checks that a model's
blobs are there, so this is the only place that can tell. Source: ``manifest/`` and ``types/model/name.go`` of
https://github.com/ollama/ollama, v0.24.0.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Self

from scout_ollama.errors import Trouble
from scout_ollama.outside import from_json
from scout_ollama.shapes import check, size

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

MODEL = "application/vnd.ollama.image.model"
"""Media type of the layer that holds the weights. Others end in template, params, license, system, projector …"""
CONFIG = "application/vnd.docker.container.image.v1+json"
"""Media type of the configuration."""

LAYER = {"digest!": str, "size!": size, "mediaType": str, "from": (None, str)}
"""What a manifest says of one blob."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BLOB_FILE = re.compile(r"sha256-[0-9a-f]{64}")


class StoreError(Trouble, ValueError):
    """Text that should be a model's name, a digest or a manifest, and is not."""


@dataclass(frozen=True, order=True)
class ModelName:
    """A model's full name: ``host/namespace/model:tag``, every part present and valid.

    Two names that differ only in case are one model to Ollama but two files on disk; `==` tells them apart, `matches`
    does not.
    """

    host: str
    namespace: str
    model: str
    tag: str

    def __post_init__(self) -> None:
        shapes = ((_HOST, self.host), (_NAMESPACE, self.namespace), (_PART, self.model), (_PART, self.tag))
        if not all(shape.fullmatch(part) for shape, part in shapes):
            raise StoreError(
                f"{self.host}/{self.namespace}/{self.model}:{self.tag} is no model name",
                why="a name is [[host/]namespace/]model[:tag]; parts are letters, digits, _ - . (no . in a namespace)",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name as people write it; what is left out is ``registry.ollama.ai``, ``library`` and ``latest``.

        Raises:
            StoreError: it is no model name.
        """
        rest, tag = text, DEFAULT_TAG
        if text.rfind(":") > text.rfind("/"):
            rest, _, tag = text.rpartition(":")
        *before, model = rest.rsplit("/", maxsplit=2)
        host, namespace = [*(DEFAULT_HOST, DEFAULT_NAMESPACE)[: 2 - len(before)], *before]
        return cls(host, namespace, model, tag)

    @classmethod
    def from_manifest_path(cls, path: str | PurePosixPath) -> Self | None:
        """Return the name of the manifest at ``host/namespace/model/tag`` below ``manifests/``.

        None for a path that Ollama passes over: another depth, or a file such as ``.DS_Store`` that is no name.
        """
        parts = PurePosixPath(path).parts
        try:
            return cls(*parts) if len(parts) == 4 else None
        except StoreError:
            return None

    @property
    def manifest_path(self) -> PurePosixPath:
        """Where its manifest is, below ``manifests/``."""
        return PurePosixPath(self.host, self.namespace, self.model, self.tag)

    def matches(self, other: "ModelName") -> bool:
        """Whether Ollama takes the two for one model: case does not count."""
        return str(self.manifest_path).lower() == str(other.manifest_path).lower()

    def __str__(self) -> str:
        """Return the short form that Ollama lists: default host and namespace left out, the tag always there."""
        if self.host.lower() != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"
        if self.namespace.lower() != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"


def blob_file(digest: str) -> str:
    """Return the name of the file in ``blobs/`` that holds ``digest`` (``sha256:…``).

    Raises:
        StoreError: it is no such digest.
    """
    if not _DIGEST.fullmatch(digest):
        raise StoreError(f"{digest} is no digest", why="a digest is sha256: and 64 hexadecimal digits")
    return digest.replace(":", "-")


def blob_digest(file: str) -> str | None:
    """Return the digest that a file in ``blobs/`` holds by its name; None for partial downloads and other files."""
    return file.replace("-", ":") if _BLOB_FILE.fullmatch(file) else None


def short(digest: str) -> str:
    """Return the first 12 hexadecimal digits of a digest, with or without ``sha256:``, as Ollama itself lists them."""
    return digest.removeprefix("sha256:")[:12]


def manifest_digest(content: bytes) -> str:
    """Return the SHA-256 of a manifest file, 64 hexadecimal digits, as ``/api/tags`` shows it for the model."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Layer:
    """One blob in its part in a model. ``size`` is in bytes."""

    media_type: str
    digest: str
    size: int
    origin: str | None = None
    """Short name of the model it was taken from, for a derived model."""


@dataclass(frozen=True)
class Manifest:
    """Which blobs make up a model. The configuration may be missing; a digest may occur more than once."""

    config: Layer | None
    layers: tuple[Layer, ...]

    @classmethod
    def parse(cls, content: bytes | str) -> Self:
        """Read a manifest file. An empty one, caught while Ollama writes it, is an error like any other.

        Raises:
            StoreError: it is no manifest, or gives one blob two sizes.
        """
        try:
            value = from_json(content)
            check(value, {"config": (None, {}), "layers": (None, [LAYER])})
            config = value.get("config") or {}
            if config.get("digest"):
                check(config, LAYER, "config")
            manifest = cls(
                _layer(config) if config.get("digest") else None,
                tuple(_layer(layer) for layer in value.get("layers") or []),
            )
        except ValueError as error:  # StoreError is one
            raise StoreError("not an Ollama manifest", why=str(error)) from error
        pairs = {(layer.digest, layer.size) for layer in manifest.parts}
        if len(pairs) != len(manifest.blobs):
            raise StoreError("not an Ollama manifest", why="it gives one blob two sizes")
        return manifest

    @property
    def parts(self) -> tuple[Layer, ...]:
        """The layers, and the configuration if there is one."""
        return (*self.layers, self.config) if self.config else self.layers

    @property
    def blobs(self) -> Mapping[str, int]:
        """Every blob the model needs, each once: digest to size in bytes."""
        return {layer.digest: layer.size for layer in self.parts}

    @property
    def weights(self) -> Layer | None:
        """The layer with the weights. Models with the same weights share one slot in memory, whatever their names."""
        return next((layer for layer in reversed(self.layers) if layer.media_type == MODEL), None)

    @property
    def base(self) -> ModelName | None:
        """The model this one was derived from, if it was."""
        origin = self.weights.origin if self.weights else None
        return ModelName.parse(origin) if origin else None


def _layer(value: Mapping[str, Any]) -> Layer:
    blob_file(value["digest"])
    return Layer(value.get("mediaType", ""), value["digest"], value["size"], _origin(value.get("from")))


def _origin(text: str | None) -> str | None:
    """Models made of an uploaded file name that file, not a model, as their origin."""
    return text if text and not text.startswith("/") else None
