"""What Open WebUI does about its Ollama, surprises and all: one contract, for the stand-in and for the real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import open_webui
from lab.standins import models
from tests.lab.ollama_server import STAND_IN, Server, free_port, running
from tests.lab.open_webui_server import OpenWebUi

pytestmark = pytest.mark.timeout(900)  # the real one takes half a minute for each start
REAL = [pytest.param(version, marks=pytest.mark.open_webui) for version in open_webui.VERSIONS]
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "hello"}], "stream": False}


@pytest.fixture(scope="module")
def ollamas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two Ollamas: one with tiny, one with small."""
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    models.add(one / "store", "tiny:latest")
    models.add(other / "store", "small:latest")
    with running(STAND_IN, one) as first, running(STAND_IN, other) as second:
        yield first, second


@pytest.fixture(scope="module")
def urls(ollamas: tuple[Server, Server]) -> tuple[str, str]:
    first, second = (f"http://127.0.0.1:{server.port}" for server in ollamas)
    return first, second


@pytest.fixture(scope="module", params=[None, *REAL], ids=["stand-in", *open_webui.VERSIONS])
def version(request: pytest.FixtureRequest) -> str | None:
    """Which Open WebUI."""
    chosen: str | None = request.param
    return chosen


@pytest.fixture(scope="module")
def started(
    version: str | None, urls: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenWebUi]:
    """One that was started with the first Ollama in its environment, once for all of this."""
    made = OpenWebUi(version, tmp_path_factory.mktemp("webui") / "data", {"OLLAMA_BASE_URLS": urls[0]})
    with made.running() as it:
        assert it.sign_in().status == 200
        yield it


@pytest.fixture
def webui(started: OpenWebUi, urls: tuple[str, str]) -> OpenWebUi:
    """The same, connected to the first Ollama."""
    assert started.connect(urls[0]).status == 200
    return started


def names(webui: OpenWebUi, path: str = "/ollama/api/tags") -> list[str]:
    answer = webui.ask(path)
    assert answer.status == 200
    return [model["model"] for model in answer.value["models"]]


def test_who_is_not_signed_in_is_told_nothing(webui: OpenWebUi) -> None:
    for path in ("/ollama/config", "/ollama/api/tags", "/api/v1/retrieval/embedding", "/api/models"):
        assert webui.ask(path, token="").status in (401, 403)
        assert webui.ask(path, token="nonsense").status == 401
    assert webui.ask("/health", token="").value == {"status": True}
    assert "version" in webui.ask("/api/version", token="").value


def test_signing_in_is_limited_also_for_who_has_the_right_password(webui: OpenWebUi) -> None:
    tries = [webui.sign_in("wrong", "somebody@else.local").status for _ in range(16)]
    assert tries == [400] * 15 + [429]


def test_a_configuration_without_the_switch_turns_ollama_off_and_says_success(webui: OpenWebUi) -> None:
    answer = webui.ask("/ollama/config/update", {"OLLAMA_BASE_URLS": ["http://x"], "OLLAMA_API_CONFIGS": {}})
    assert (answer.status, answer.value["ENABLE_OLLAMA_API"]) == (200, None)
    assert webui.ask("/ollama/api/tags").status == 503


def test_both_other_fields_are_needed(webui: OpenWebUi) -> None:
    answer = webui.ask("/ollama/config/update", {"ENABLE_OLLAMA_API": True})
    assert answer.status == 422
    assert [error["loc"][1] for error in answer.value["detail"]] == ["OLLAMA_BASE_URLS", "OLLAMA_API_CONFIGS"]


def test_a_change_holds_at_once_and_is_saved_word_for_word(webui: OpenWebUi, urls: tuple[str, str]) -> None:
    assert names(webui) == ["tiny:latest"]
    answer = webui.connect(f"{urls[1]}/", at_0={"enable": True}, at_7={"enable": False})
    assert answer.value["OLLAMA_API_CONFIGS"] == {"0": {"enable": True}}
    assert webui.ask("/ollama/config").value["OLLAMA_BASE_URLS"] == [f"{urls[1]}/"]
    webui.connect(urls[1])
    assert names(webui, "/ollama/api/tags/0") == ["small:latest"]


def test_a_stale_switch_hides_a_backend_that_answers(webui: OpenWebUi, urls: tuple[str, str]) -> None:
    webui.connect(urls[0], at_0={"enable": False})
    assert names(webui) == []
    assert webui.ask("/ollama/api/version/0").status == 200


def test_what_lies_and_what_does_not_when_the_backend_is_down(webui: OpenWebUi) -> None:
    assert webui.ask("/api/models").value["data"]
    dead = f"http://127.0.0.1:{free_port()}"
    webui.connect(dead)
    assert names(webui) == []
    for path in ("/ollama/api/version/0", "/ollama/api/tags/0"):
        answer = webui.ask(path)
        assert answer.status == 500
        assert "Cannot connect to host" in answer.value["detail"]
    answer = webui.ask("/ollama/verify", {"url": dead, "key": ""})
    assert (answer.status, answer.value["detail"]) == (500, "Open WebUI: Server Connection Error")


def test_the_list_of_all_models_is_the_last_that_there_was(started: OpenWebUi) -> None:
    """Nobody changes the configuration: its backend goes away."""
    store = started.directory.parent / "short"
    models.add(store / "store", "tiny:latest")
    with running(STAND_IN, store) as short:
        started.connect(f"http://127.0.0.1:{short.port}")
        assert [model["id"] for model in started.ask("/api/models").value["data"]][:1] == ["tiny:latest"]
    assert [model["id"] for model in started.ask("/api/models").value["data"]][:1] == ["tiny:latest"]


def test_verifying_changes_nothing(webui: OpenWebUi, urls: tuple[str, str]) -> None:
    assert "version" in webui.ask("/ollama/verify", {"url": urls[1], "key": ""}).value
    assert webui.ask("/ollama/config").value["OLLAMA_BASE_URLS"] == [urls[0]]


def test_the_embedding_url_is_another_setting(webui: OpenWebUi, urls: tuple[str, str]) -> None:
    before = webui.ask("/api/v1/retrieval/embedding").value
    assert before["ollama_config"]["url"] == "http://localhost:11434"
    webui.connect(urls[1])
    assert webui.ask("/api/v1/retrieval/embedding").value == before
    sent = {name: before[name] for name in before if name.startswith(("RAG_", "ENABLE_"))}
    answer = webui.ask("/api/v1/retrieval/embedding/update", {**sent, "ollama_config": {"url": urls[1], "key": ""}})
    assert answer.status == 200
    after = webui.ask("/api/v1/retrieval/embedding").value
    assert after == {**before, "ollama_config": {"url": urls[1], "key": ""}}
    webui.ask("/api/v1/retrieval/embedding/update", {**sent, "ollama_config": before["ollama_config"]})


def test_a_chat_goes_to_the_backend(webui: OpenWebUi, ollamas: tuple[Server, Server]) -> None:
    answer = webui.ask("/ollama/api/chat/0", {**CHAT, "model": "tiny:latest"})
    assert answer.status == 200
    assert answer.value["message"]["content"]
    assert "tiny:latest" in ollamas[0].loaded()
    answer = webui.ask("/ollama/api/chat", {**CHAT, "model": "absent:latest"})
    assert (answer.status, answer.value["detail"]) == (400, "Model 'absent:latest' was not found")


def test_what_a_scout_uses_can_be_read(webui: OpenWebUi) -> None:
    preset = {"id": "explorer", "base_model_id": "tiny:latest", "name": "Explorer", "meta": {}, "params": {}}
    assert webui.ask("/api/v1/models/create", preset).status == 200
    found = {model["id"]: model for model in webui.ask("/api/v1/models/export").value}
    assert found["explorer"]["base_model_id"] == "tiny:latest"
    assert found["explorer"]["is_active"] is True
    assert webui.ask("/api/v1/tasks/config").value["TASK_MODEL"] == ""
    assert webui.ask("/api/v1/configs/models").value["DEFAULT_MODELS"] is None


def test_the_environment_is_ignored_after_the_first_start(
    version: str | None, urls: tuple[str, str], tmp_path: Path
) -> None:
    """Changed or not in between; and a token lasts as long as the key that signed it."""
    webui = OpenWebUi(version, tmp_path / "data")
    with webui.running(OLLAMA_BASE_URLS=urls[0]):
        webui.sign_in()
    with webui.running(OLLAMA_BASE_URLS=urls[1], ENABLE_OLLAMA_API="False"):
        expected = {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [urls[0]], "OLLAMA_API_CONFIGS": {}}
        assert webui.ask("/ollama/config").value == expected
    with webui.running(OLLAMA_BASE_URLS=urls[1], ENABLE_PERSISTENT_CONFIG="False"):
        assert webui.ask("/ollama/config").value["OLLAMA_BASE_URLS"] == [urls[1]]


def test_two_replicas_of_one_database_follow_each_other(started: OpenWebUi, urls: tuple[str, str]) -> None:
    replica = OpenWebUi(started.version, started.directory, started.environment, token=started.token)
    started.connect(urls[0])
    with replica.running():
        assert names(replica, "/ollama/api/tags/0") == ["tiny:latest"]
        started.connect(urls[1])
        assert replica.ask("/ollama/config").value["OLLAMA_BASE_URLS"] == [urls[1]]
        assert names(replica, "/ollama/api/tags/0") == ["small:latest"]
