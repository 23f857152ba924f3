"""Which models a Scout's Open WebUI uses, and which of them an Ollama lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from scout_ollama.open_webui.configuration import Embedding, Json
from scout_ollama.store import ModelName, StoreError


@dataclass(frozen=True)
class Need:
    """A model by the exact tag that is asked for, and what asks for it."""

    model: str
    used_as: str


def of(defaults: Json, tasks: Json, presets: Sequence[Json], embedding: Embedding) -> list[Need]:
    """Return the models that are used, each once; ``presets`` are the rows of Open WebUI's models."""
    found: dict[str, Need] = {}
    for model, used_as in _used(defaults, tasks, presets, embedding):
        found.setdefault(model, Need(model, used_as))
    return list(found.values())


def _used(defaults: Json, tasks: Json, presets: Sequence[Json], embedding: Embedding) -> Iterator[tuple[str, str]]:
    bases: dict[str, str] = {p["id"]: p["base_model_id"] for p in presets if p["base_model_id"]}
    for model in (defaults.get("DEFAULT_MODELS") or "").split(","):
        if model.strip():
            yield bases.get(model.strip(), model.strip()), "a default model"
    task: str = tasks.get("TASK_MODEL") or ""
    if task:
        yield bases.get(task, task), "the task model"
    for preset in presets:
        if preset["is_active"]:
            yield preset["base_model_id"] or preset["id"], f"preset {preset['id']}"
    if embedding.uses_ollama:
        yield embedding.model, "embeddings"


def lacking(needs: Sequence[Need], tags: Mapping[str, str]) -> list[Need]:
    """Return those that an Ollama with these tags does not have.

    A chat needs the tag exactly as it is listed; embeddings are asked of Ollama, for which ``:latest`` is implied.
    """
    return [
        need for need in needs if need.model not in tags and not (need.used_as == "embeddings" and _has(need, tags))
    ]


def _has(need: Need, tags: Mapping[str, str]) -> bool:
    try:
        wanted = ModelName.parse(need.model)
        return any(ModelName.parse(tag).matches(wanted) for tag in tags)
    except StoreError:
        return False


def digests(answer: Json | None) -> dict[str, str]:
    """Return the digest of each tag in an ``/api/tags`` answer; one that is no such answer has none."""
    try:
        return {str(model["model"]): str(model["digest"]) for model in (answer or {})["models"]}
    except (KeyError, TypeError, AttributeError):
        return {}
