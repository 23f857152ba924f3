"""Which models a Scout uses, by the exact tags, and which of them an Ollama lacks."""

from __future__ import annotations

from typing import Any

from scout_ollama.open_webui import needs
from scout_ollama.open_webui.configuration import Embedding


def embedding(engine: str = "ollama", model: str = "embed") -> Embedding:
    return Embedding({"RAG_EMBEDDING_ENGINE": engine, "RAG_EMBEDDING_MODEL": model})


def preset(name: str, base: str | None, active: bool = True) -> dict[str, Any]:
    return {"id": name, "base_model_id": base, "is_active": active}


def used(**given: Any) -> dict[str, str]:
    asked = {"defaults": {}, "tasks": {}, "presets": [], "embedding": embedding("openai"), **given}
    return {need.model: need.used_as for need in needs.of(**asked)}


def test_defaults_tasks_presets_and_embeddings_are_used() -> None:
    assert used(
        defaults={"DEFAULT_MODELS": "explorer, b:1"},
        tasks={"TASK_MODEL": "c:1"},
        presets=[preset("explorer", "a:1"), preset("d:1", None), preset("hidden:1", None, active=False)],
        embedding=embedding(),
    ) == {
        "a:1": "a default model",
        "b:1": "a default model",
        "c:1": "the task model",
        "d:1": "preset d:1",
        "embed": "embeddings",
    }


def test_nothing_is_used_where_nothing_is_set() -> None:
    assert used(defaults={"DEFAULT_MODELS": None}, tasks={"TASK_MODEL": ""}) == {}


def test_tags_count_exactly_but_for_embeddings() -> None:
    wanted = [needs.Need("a", "preset a"), needs.Need("b:latest", "preset b"), needs.Need("embed", "embeddings")]
    tags = {"a:latest": "1", "b:latest": "2", "embed:latest": "3"}
    assert needs.lacking(wanted, tags) == [wanted[0]]
    assert needs.lacking(wanted, {}) == wanted


def test_an_answer_that_is_none_has_no_tags() -> None:
    assert needs.digests({"models": [{"model": "a:1", "digest": "d"}]}) == {"a:1": "d"}
    nothing: tuple[Any, ...] = (None, {}, {"models": None}, {"models": [{}]})
    for answer in nothing:
        assert needs.digests(answer) == {}
