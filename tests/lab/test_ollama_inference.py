"""Real inference behind Ollama's stand-in, with what `lab.inference` makes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import inference as real
from lab.standins import gemma, models
from lab.standins.ollama import prompt
from lab.standins.ollama.answers import NO_MODEL_RUN
from scout_ollama.errors import Trouble
from tests.lab.ollama_server import REPOSITORY, STAND_IN, Server, running

LONGEST = 8


@pytest.fixture(scope="module")
def directory() -> Path:
    try:
        return real.directory()
    except Trouble as error:
        pytest.skip(f"no model can be run here, the stand-in says so: {error.why}")


@pytest.fixture(scope="module")
def server(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    here = tmp_path_factory.mktemp("inference")
    gemma.add(here / "store", directory)
    models.add(here / "store", "tiny")
    models.add(here / "store", "broken", content=b"GGUF no weights")
    with running(STAND_IN, here, PYTHONPATH=f"{REPOSITORY}:{directory}/site-packages") as server:
        yield server


def test_the_model_answers(server: Server) -> None:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    options = {"temperature": 0, "num_predict": LONGEST}
    answer = server.post("/api/chat", model=gemma.NAME, messages=messages, stream=False, options=options)
    assert "Paris" in answer.value["message"]["content"]


def test_the_weights_of_the_lab_are_really_run(server: Server) -> None:
    options = {"num_predict": LONGEST, "temperature": 0}
    answer = server.post("/api/generate", model="tiny", prompt="hello", stream=False, options=options)
    assert NO_MODEL_RUN not in answer.value["response"]
    assert len(server.post("/api/embed", model="tiny", input="hello").value["embeddings"][0]) == 64


def test_weights_that_it_cannot_load(server: Server) -> None:
    assert server.post("/api/generate", model="broken", prompt="hello").status in (400, 500)


def test_its_license_is_shown(server: Server) -> None:
    shown = server.post("/api/show", model=gemma.NAME).value
    assert "Gemma Terms of Use" in shown["license"]
    assert shown["details"]["quantization_level"] == "Q4_K_M"


def test_a_chat_is_one_text() -> None:
    turns = [("system", "Be brief."), ("user", "One?"), ("assistant", "1"), ("user", "Two?")]
    messages = [{"role": role, "content": content} for role, content in turns]
    text = prompt.render(gemma.TEMPLATE, messages)
    assert text == "Be brief.\nQuestion: One?\nAnswer:1Question: Two?\nAnswer:"
