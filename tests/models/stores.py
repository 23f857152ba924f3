"""Stores as values: models made of named blobs, whole, missing or spoiled as a test wants them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from scout_ollama.facts import Space
from scout_ollama.inventory import load_site
from scout_ollama.models.needs import PARAMETERS
from scout_ollama.models.place import Place
from scout_ollama.models.sets import ModelSet, closure
from scout_ollama.models.stored import BlobFile, Stored
from scout_ollama.models.survey import Found
from scout_ollama.models.wanted import WantedModel
from scout_ollama.store import CONFIG, MODEL, ModelName
from tests.test_run import ROOT

SITE = load_site(ROOT / "hosts")
STAGING = SITE.clusters["staging"]
STAGING_1 = STAGING.hosts["staging-1"]
PLACE = Place(STAGING, STAGING_1, STAGING_1, "/nfs/ollama", is_staging=True)
TINY, SMALL, LONG = (ModelName.parse(name) for name in ("tiny:latest", "small:latest", "tiny-long:latest"))
NODES = ("phi-gpu-1", "phi-gpu-2", "phi-gpu-3")


def digest(content: str) -> str:
    """The digest of a blob with that content."""
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def manifest(weights: str, *, parameters: str = "{}", size: int = 1000) -> bytes:
    """A model's manifest: weights of a size, parameters, a configuration."""
    layers = [
        {"mediaType": MODEL, "digest": digest(weights), "size": size},
        {"mediaType": PARAMETERS, "digest": digest(parameters), "size": len(parameters)},
    ]
    config = {"mediaType": CONFIG, "digest": digest(f"config of {weights}"), "size": 10}
    return json.dumps({"config": config, "layers": layers}).encode()


def store(models: Mapping[ModelName, bytes], *, small: Iterable[str] = (), **changed: Any) -> Stored:
    """A store in which these models are whole; ``small`` are the texts of its small blobs."""
    blobs = closure(models.values())
    values: dict[str, Any] = {
        "manifests": models,
        "blobs": {name: BlobFile(size, "1.0 1") for name, size in blobs.items()},
        "verified": dict.fromkeys(blobs, True),
        "small": {digest(text): text.encode() for text in small},
        "space": Space(10**12, 10**12),
    }
    return Stored(**{**values, **changed})


def found(
    source: Stored, *nodes: Stored, wanted: Iterable[WantedModel] = (WantedModel(TINY),), **changed: Any
) -> Found:
    """What a survey found."""
    return Found("phi", PLACE, list(wanted), source, dict(zip(NODES, nodes, strict=False)), **changed)


def without(whole: Stored, *gone: str) -> dict[str, BlobFile]:
    """The blobs of a store but for some."""
    return {name: file for name, file in whole.blobs.items() if name not in gone}


def model_set(**models: bytes) -> ModelSet:
    """A set, by the models' names without their tag."""
    return ModelSet({ModelName.parse(name): text for name, text in models.items()})
