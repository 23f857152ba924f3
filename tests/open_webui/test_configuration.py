"""The saved configuration as values: what becomes of it when a Scout is connected, and when it goes back."""

from __future__ import annotations

from typing import Any

import pytest

from scout_ollama.open_webui.configuration import NEW, Connection, Embedding, connected, restored

OLD, OTHER, SHARED = "http://ollama.scout-analytics:11434", "https://by-hand.example.edu", "https://ollama.example.edu"


def saved(*urls: str, enable: bool | None = True, **configs: Any) -> Connection:
    by_index = {name.removeprefix("at_"): config for name, config in configs.items()}
    return Connection.of({"ENABLE_OLLAMA_API": enable, "OLLAMA_BASE_URLS": list(urls), "OLLAMA_API_CONFIGS": by_index})


def is_old(url: str) -> bool:
    return url in (OLD, SHARED)


def test_all_three_fields_are_always_sent() -> None:
    assert saved(OLD).body() == {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [OLD], "OLLAMA_API_CONFIGS": {}}
    assert saved(OLD, enable=None).body()["ENABLE_OLLAMA_API"] is False


def test_the_new_connection_takes_the_place_of_the_old_one_and_none_of_its_switches() -> None:
    before = saved(OLD, OTHER, at_0={"enable": False, "model_ids": ["a"]}, at_1={"key": "(redacted)"})
    after = connected(before, SHARED, is_old)
    assert after.body() == {
        "ENABLE_OLLAMA_API": True,
        "OLLAMA_BASE_URLS": [SHARED, OTHER],
        "OLLAMA_API_CONFIGS": {"0": NEW, "1": {"key": "(redacted)"}},
    }


def test_a_connection_made_by_hand_keeps_its_settings_when_its_place_changes() -> None:
    after = connected(saved(OTHER, OLD, SHARED, at_0={"prefix_id": "x"}), SHARED, is_old)
    assert after.urls == (OTHER, SHARED)
    assert after.settings[0] == {"prefix_id": "x"}
    after = connected(saved(OLD, SHARED, OTHER, at_2={"prefix_id": "x"}), SHARED, is_old)
    assert after.body()["OLLAMA_API_CONFIGS"] == {"0": NEW, "1": {"prefix_id": "x"}}


def test_settings_under_a_url_are_those_of_its_place() -> None:
    old = {"ENABLE_OLLAMA_API": True, "OLLAMA_BASE_URLS": [OTHER], "OLLAMA_API_CONFIGS": {OTHER: {"key": "k"}}}
    assert Connection.of(old).body()["OLLAMA_API_CONFIGS"] == {"0": {"key": "k"}}


def test_what_is_as_it_shall_be_stays_as_it_is() -> None:
    for now in (saved(SHARED), saved(OTHER, SHARED, at_1={"enable": True, "tags": []})):
        assert connected(now, SHARED, is_old) == now


@pytest.mark.parametrize("settings", [{"enable": False}, {"prefix_id": "x"}, {"model_ids": ["a"]}, {"key": "k"}])
def test_a_switch_that_hides_the_right_connection_goes(settings: dict[str, Any]) -> None:
    after = connected(saved(SHARED, at_0=settings), SHARED, is_old)
    assert after.body()["OLLAMA_API_CONFIGS"] == {"0": NEW}


def test_one_that_was_turned_off_is_turned_on() -> None:
    assert saved(SHARED, enable=False).lines(connected(saved(SHARED, enable=False), SHARED, is_old)) == [
        "~ Ollama: off → on"
    ]


def test_the_difference_names_connections_and_settings() -> None:
    before = saved(OLD, OTHER, at_0={"enable": False})
    assert before.lines(connected(before, SHARED, is_old)) == [f"~ connection: {OLD} → {SHARED}"]
    assert saved(OLD).lines(saved(OLD, OTHER)) == [f"+ connection: {OTHER}"]
    assert saved(OLD).lines(saved(OLD, at_0={"key": "(redacted)"})) == [
        f"~ settings of {OLD}: {{}} → {{'key': '(redacted)'}}"
    ]
    assert saved(OLD, OTHER).lines(saved(OTHER, OLD)) == [f"~ order of connections: {OLD}, {OTHER} → {OTHER}, {OLD}"]
    assert saved(OLD).lines(saved(OLD)) == []


def test_going_back_keeps_what_others_have_added_since() -> None:
    before, now = saved(OLD, at_0={"tags": ["a"]}), saved(SHARED, OTHER, at_1={"key": "k"})
    after = restored(now, before, made=SHARED)
    assert after.urls == (OLD, OTHER)
    assert after.settings == ({"tags": ["a"]}, {"key": "k"})


EMBEDDING = {
    "status": True,
    "RAG_EMBEDDING_ENGINE": "ollama",
    "RAG_EMBEDDING_MODEL": "qwen3-embedding:8b",
    "RAG_EMBEDDING_BATCH_SIZE": 7,
    "ENABLE_ASYNC_EMBEDDING": True,
    "openai_config": {"url": "https://api.openai.com/v1", "key": "(redacted)"},
    "ollama_config": {"url": OLD, "key": "(redacted)"},
}


def test_embeddings_move_with_all_their_settings_but_the_old_key() -> None:
    body = Embedding(EMBEDDING).at(SHARED).body()
    assert body["ollama_config"] == {"url": SHARED, "key": ""}
    assert body["RAG_EMBEDDING_BATCH_SIZE"] == 7
    assert "openai_config" not in body  # its key would be saved as it is shown


def test_embeddings_of_another_engine_are_not_ollamas() -> None:
    assert Embedding(EMBEDDING).uses_ollama
    assert not Embedding({**EMBEDDING, "RAG_EMBEDDING_ENGINE": "openai"}).uses_ollama
