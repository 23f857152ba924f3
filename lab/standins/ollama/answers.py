"""What a loaded model answers: a fixed text that says no model was run, or real inference where it can be had."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Iterator
from typing import Any, Protocol

from lab.standins.ollama import gguf, inference
from lab.standins.ollama.model import Model

NO_MODEL_RUN = "lab stand-in for Ollama: no model was run"
_MAX_DIMENSIONS = 4096


class Engine(Protocol):
    """Something that continues a prompt and embeds a text."""

    def generate(self, prompt: str, options: dict[str, Any], output_format: Any, /) -> Iterator[str]:
        """The answer, piece by piece. `options` are Ollama's; `output_format` is `json`, a schema or None."""

    def embed(self, text: str) -> list[float]:
        """A vector of length one."""


def engine(model: Model, header: gguf.Header, context_length: int, token_seconds: float) -> Engine:
    """The best engine there is for the model."""
    real = inference.load(model.weights, context_length) if model.weights else None
    return real or StandIn(model, header.of_architecture("embedding_length", 64), token_seconds)


class StandIn:
    """Answers without a model: the same question to the same model gets the same answer on every host."""

    def __init__(self, model: Model, dimensions: int, token_seconds: float) -> None:
        self._model = model
        self._dimensions = min(dimensions, _MAX_DIMENSIONS)
        self._token_seconds = token_seconds

    def generate(self, prompt: str, _options: dict[str, Any], output_format: Any) -> Iterator[str]:
        """Word by word, each `token_seconds` after the one before."""
        fingerprint = hashlib.sha256(prompt.encode()).hexdigest()[:8]
        name, digest = self._model.name.short, self._model.manifest.digest[:12]
        text = f"{NO_MODEL_RUN}. {name} ({digest}) was asked {fingerprint}."
        if output_format:
            text = json.dumps({"answer": text})
        for number, word in enumerate(text.split(" ")):
            time.sleep(self._token_seconds)
            yield f" {word}" if number else word

    def embed(self, text: str) -> list[float]:
        """A vector made of the text's hash."""
        seed = hashlib.shake_256(text.encode()).digest(2 * self._dimensions)
        values = [int.from_bytes(seed[i : i + 2], "big") - 32767.5 for i in range(0, len(seed), 2)]
        norm = math.hypot(*values)
        return [value / norm for value in values]
