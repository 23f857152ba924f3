"""The saved configuration of Open WebUI's connections to Ollama, as values: what it is, and what it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

Json = dict[str, Any]
ENGINE = "ollama"
"""The embedding engine that asks an Ollama, by a URL of its own."""


@dataclass(frozen=True)
class Connection:
    """Every connection with its settings, in Open WebUI's order, and whether Ollama is used at all."""

    enabled: bool
    urls: tuple[str, ...]
    settings: tuple[Json, ...]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Read what ``/ollama/config`` answers; settings may also stand under the URL, as older versions wrote them."""
        urls = tuple(map(str, answer["OLLAMA_BASE_URLS"] or ()))
        configs = answer["OLLAMA_API_CONFIGS"] or {}
        settings = tuple(configs.get(str(at), configs.get(url)) or {} for at, url in enumerate(urls))
        return cls(bool(answer["ENABLE_OLLAMA_API"]), urls, settings)

    def body(self) -> Json:
        """All three fields that have to be sent: one that is left out is saved as nothing."""
        configs = {str(at): settings for at, settings in enumerate(self.settings) if settings}
        return {"ENABLE_OLLAMA_API": self.enabled, "OLLAMA_BASE_URLS": list(self.urls), "OLLAMA_API_CONFIGS": configs}

    def index(self, url: str) -> int:
        """Where a URL stands. Raises ValueError."""
        return self.urls.index(url)

    def lines(self, after: Connection) -> list[str]:
        """What differs in another one, a line each."""
        lines = [] if self.enabled == after.enabled else [f"~ Ollama: {_on(self.enabled)} → {_on(after.enabled)}"]
        gone = [url for url in self.urls if url not in after.urls]
        come = [url for url in after.urls if url not in self.urls]
        if len(gone) == len(come) == 1:
            lines.append(f"~ connection: {gone[0]} → {come[0]}")
        else:
            lines += [f"- connection: {url}" for url in gone] + [f"+ connection: {url}" for url in come]
        before = dict(zip(self.urls, self.settings, strict=True))
        for url, settings in zip(after.urls, after.settings, strict=True):
            if url in before and before[url] != settings:
                lines.append(f"~ settings of {url}: {before[url]} → {settings}")
        if not lines and self != after:
            lines.append(f"~ order of connections: {', '.join(self.urls)} → {', '.join(after.urls)}")
        return lines


NEW = {"enable": True, "connection_type": "external"}
"""The settings of a connection that is made here."""


def connected(now: Connection, url: str, is_replaced: Callable[[str], bool]) -> Connection:
    """Return the configuration that uses ``url`` in place of the connections that are replaced, and keeps all others.

    Nothing is taken over from what is replaced: a switch that turned it off, a filter or a prefix would hide models.
    """
    kept = [(old, settings) for old, settings in zip(now.urls, now.settings, strict=True) if not is_replaced(old)]
    if url in now.urls and len(kept) + 1 == len(now.urls) and _is_plain(now.settings[now.index(url)]):
        return replace(now, enabled=True)
    at = next((at for at, old in enumerate(now.urls) if is_replaced(old)), 0)
    before = [pair for pair in kept if now.urls.index(pair[0]) < at]
    pairs = [*before, (url, NEW), *(pair for pair in kept if pair not in before)]
    return Connection(True, tuple(old for old, _ in pairs), tuple(settings for _, settings in pairs))


def _is_plain(settings: Json) -> bool:
    """Whether nothing in these settings hides the backend or its models."""
    return bool(settings.get("enable", True)) and not any(
        settings.get(name) for name in ("prefix_id", "model_ids", "key", "headers")
    )


def restored(now: Connection, before: Connection, made: str | None) -> Connection:
    """Return the configuration as it was before, with what others have added since; ``made`` is what was added here."""
    since = [
        (url, settings)
        for url, settings in zip(now.urls, now.settings, strict=True)
        if url not in before.urls and url != made
    ]
    return Connection(
        before.enabled,
        (*before.urls, *(url for url, _ in since)),
        (*before.settings, *(settings for _, settings in since)),
    )


@dataclass(frozen=True)
class Embedding:
    """How documents are embedded: by which engine, with which model, and where that is Ollama, at which URL."""

    answer: Json = field(repr=False)

    @property
    def uses_ollama(self) -> bool:
        """Whether embeddings are Ollama's."""
        return bool(self.answer["RAG_EMBEDDING_ENGINE"] == ENGINE)

    @property
    def model(self) -> str:
        """Its model."""
        return str(self.answer["RAG_EMBEDDING_MODEL"])

    @property
    def url(self) -> str:
        """Its Ollama."""
        return str(self.answer["ollama_config"]["url"])

    def at(self, url: str) -> Embedding:
        """The same, asked of another Ollama, without the key of the one before."""
        return Embedding({**self.answer, "ollama_config": {"url": url, "key": ""}})

    def body(self) -> Json:
        """What has to be sent: everything but the settings of other engines, which would be saved as they are shown."""
        names = [name for name in self.answer if name.startswith(("RAG_", "ENABLE_"))]
        return {**{name: self.answer[name] for name in names}, "ollama_config": self.answer["ollama_config"]}

    def same(self, other: Embedding) -> bool:
        """Whether another is the same, as far as it is sent."""
        return self.body() == other.body()

    def lines(self, after: Embedding) -> list[str]:
        """What differs in another one."""
        return [] if self.url == after.url else [f"~ embeddings ({self.model}): {self.url} → {after.url}"]


def _on(enabled: bool) -> str:
    return "on" if enabled else "off"
