"""A model as the server knows it: what its manifest's small blobs say, and what its weights let it do."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.standins.ollama import gguf
from lab.standins.ollama.golang import log
from lab.standins.ollama.names import Name
from lab.standins.ollama.store import Manifest, Store, image_type

DEFAULT_TEMPLATE = "{{ .Prompt }}"


@dataclass
class Model:
    """A model read from the store. The weights themselves were not opened."""

    name: Name
    manifest: Manifest
    config: dict[str, Any] = field(default_factory=dict)
    weights: Path | None = None
    parent: str = ""
    """Short name of the model this one was derived from."""
    adapters: tuple[Path, ...] = ()
    projectors: tuple[Path, ...] = ()
    template: str = DEFAULT_TEMPLATE
    system: str = ""
    licenses: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def slot(self) -> str:
        """What the scheduler keeps it under: the weights file, so tags that share weights share a slot."""
        return str(self.weights) if self.weights else f"digest:{self.manifest.digest}"

    @property
    def details(self) -> dict[str, Any]:
        """The `details` of /api/tags, /api/show and /api/ps."""
        return details(self.config, self.parent)

    def capabilities(self) -> list[str]:
        """What it can do, as far as a look at the head of its weights tells; nothing if they are missing."""
        found: list[str] = []
        if self.weights and gguf.opens(self.weights):
            found.append("embedding" if _pools(self.weights) else "completion")
        elif self.weights:
            log("ERROR", "couldn't open model file", error=f"open {self.weights}")
        found += [item for item in self.config.get("capabilities") or [] if item not in found]
        if not found:
            log("WARN", "unknown capabilities for model", model=self.name)
        variables = set(re.findall(r"\.(Tools|Suffix)\b", self.template))
        if "Tools" in variables:
            found.append("tools")
        if "Suffix" in variables:
            found.append("insert")
        return found + (["vision"] if self.projectors else [])


def load(store: Store, name: Name) -> Model:
    """Read a model's manifest and every small blob. Raises StoreError, ValueError if one is missing or broken."""
    manifest = store.manifest(name)
    model = Model(name, manifest)
    if manifest.config.digest:
        model.config = json.loads(store.read_blob(manifest.config.digest))
    for layer in manifest.layers:
        path = store.blob_path(layer.digest)
        if layer.media_type == image_type("model"):
            model.weights, model.parent = path, layer.origin
        elif layer.media_type == image_type("adapter"):
            model.adapters += (path,)
        elif layer.media_type == image_type("projector"):
            model.projectors += (path,)
        elif layer.media_type in (image_type("template"), image_type("prompt")):
            model.template = store.read_blob(layer.digest).decode()
        elif layer.media_type == image_type("system"):
            model.system = store.read_blob(layer.digest).decode()
        elif layer.media_type == image_type("params"):
            model.options = json.loads(store.read_blob(layer.digest))
        elif layer.media_type == image_type("license"):
            model.licenses += (store.read_blob(layer.digest).decode(),)
    return model


def details(config: dict[str, Any], parent: str = "") -> dict[str, Any]:
    """The `details` object of a configuration blob."""
    return {
        "parent_model": parent,
        "format": config.get("model_format", ""),
        "family": config.get("model_family", ""),
        "families": config.get("model_families"),
        "parameter_size": config.get("model_type", ""),
        "quantization_level": config.get("file_type", ""),
    }


def _pools(weights: Path) -> bool:
    try:
        header = gguf.read_header(weights)
    except (OSError, gguf.BadFile):
        return False
    return f"{header.architecture}.pooling_type" in header.metadata
