"""What pull-models copied to a node, before the real Ollama: it lists, shows and accepts it, from a read-only store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.journeys.conftest import Operator
from tests.lab import real_ollama
from tests.lab.ollama_server import Server, running, with_read_only

pytestmark = pytest.mark.lab

STORE = "var/lib/ollama"
LONG = "gemma4-31b-long:latest"
VARIANT = {"base": "gemma4:31b", "name": LONG, "num_ctx": 4096, "num_predict": -1}


@pytest.fixture(scope="module")
def program() -> list[str]:
    return real_ollama.program()


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator who has pulled two models and a variant."""
    directory = tmp_path_factory.mktemp("real")
    operator = Operator(Path(shutil.copytree(lab.site, directory / "site")), directory / "home")
    wanted = {"models": ["tiny:latest", "small:latest"], "scout_models": [VARIANT]}
    operator.edit("phi", lambda phi: phi["ollama"].update(wanted))
    said = operator.inv("pull-models", "--hosts", "phi", "--yes")
    assert said.status == 0, said.err
    return operator


@pytest.fixture(scope="module")
def server(
    program: list[str], lab: Lab, operator: Operator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """The real Ollama over a copy of a node's store, which it cannot write, set up as our manifests do."""
    assert operator.site.exists()
    directory = tmp_path_factory.mktemp("ollama")
    shutil.copytree(lab.host("phi-gpu-2").root / STORE, directory / "store")
    with running(with_read_only(directory / "store", program), directory, OLLAMA_NOPRUNE="1") as server:
        yield server


def test_it_lists_what_models_lock_says(server: Server, operator: Operator) -> None:
    lock = dict(line.split("  ")[::2][::-1] for line in (operator.site / "models.lock").read_text().splitlines())
    assert set(lock) == {"tiny:latest", "small:latest", LONG}
    assert {name: entry["digest"] for name, entry in server.tags().items()} == lock


def test_it_shows_each_model(server: Server) -> None:
    for name in server.tags():
        shown = server.post("/api/show", model=name)
        assert shown.status == 200, shown.text
        assert shown.value["capabilities"] == ["completion"]
    parameters = dict(line.split() for line in server.post("/api/show", model=LONG).value["parameters"].splitlines())
    assert (parameters["num_ctx"], parameters["num_predict"]) == ("4096", "-1")


def test_it_finds_no_fault_with_the_store_and_cannot_change_it(server: Server) -> None:
    assert "bad manifest" not in server.log
    refused = server.request("DELETE", "/api/delete", {"model": "tiny"})
    assert (refused.status, "read-only file system" in refused.error) == (500, True)
    assert "tiny:latest" in server.tags()
