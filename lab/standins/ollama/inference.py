"""Real inference through xllamacpp (llama.cpp in this process), where it is installed and loads the weights."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.standins.ollama.golang import log

_MAX_CONTEXT = 4096
_DEFAULT_TOKENS = 128
_OPTIONS = {"temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "seed": "seed", "stop": "stop"}


def load(weights: Path, context_length: int) -> Xllamacpp | None:
    """The weights ready to answer, or None where xllamacpp is missing or refuses them."""
    try:
        library = importlib.import_module("xllamacpp")
    except ImportError:
        return None
    try:
        return Xllamacpp(library, weights, min(context_length, _MAX_CONTEXT))
    except RuntimeError as error:
        log("WARN", "xllamacpp cannot load these weights, answering without a model", model=weights, error=error)
        return None


class Xllamacpp:
    """A model held in memory by llama.cpp."""

    def __init__(self, library: Any, weights: Path, context_length: int) -> None:
        parameters = library.CommonParams()
        parameters.model.path = str(weights)
        parameters.n_ctx = context_length
        # Several threads wait for each other by spinning: a hundred times as long where others want the cores too.
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.n_parallel = 1
        parameters.embedding = True
        parameters.pooling_type = library.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
        self._server = library.Server(parameters)

    def generate(self, prompt: str, options: dict[str, Any], output_format: Any) -> Iterator[str]:
        """The answer in one piece, at most `num_predict` tokens long (128 where that is endless)."""
        limit = int(options.get("num_predict", -1))
        request = {name: options[key] for key, name in _OPTIONS.items() if key in options}
        request |= {"prompt": prompt, "max_tokens": limit if limit > 0 else _DEFAULT_TOKENS}
        if output_format:
            request["response_format"] = {"type": "json_object"}
        yield str(_checked(self._server.handle_completions(request))["choices"][0]["text"])

    def embed(self, text: str) -> list[float]:
        """The model's embedding of the text, brought to length one."""
        values = _checked(self._server.handle_embeddings({"input": text}))["data"][0]["embedding"]
        norm = math.hypot(*values) or 1.0
        return [value / norm for value in values]


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        raise RuntimeError(f"xllamacpp: {answer['error']}")
    return answer
