"""Real inference behind Ollama's stand-in, where the optional xllamacpp is installed."""

from pathlib import Path

import pytest

from lab.standins import models
from lab.standins.ollama import inference
from lab.standins.ollama.answers import NO_MODEL_RUN
from tests.lab.ollama_server import STAND_IN, running

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: without it the stand-in runs no model")


def test_the_weights_are_really_run(tmp_path: Path) -> None:
    models.add(tmp_path / "store", "tiny")
    with running(STAND_IN, tmp_path) as server:
        options = {"num_predict": 8, "temperature": 0}
        answer = server.post("/api/generate", model="tiny", prompt="hello", stream=False, options=options)
        assert NO_MODEL_RUN not in answer.value["response"]
        assert len(server.post("/api/embed", model="tiny", input="hello").value["embeddings"][0]) == 64


def test_weights_that_it_cannot_load(tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.write_bytes(models.weights()[:5000])
    assert inference.load(weights, 2048) is None
