"""What shall be saved in Open WebUI, from what is and the Ollama that it shall use. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from scout_ollama.open_webui import configuration, workload
from scout_ollama.open_webui.configuration import Connection, Embedding
from scout_ollama.open_webui.facts import Found
from scout_ollama.open_webui.needs import Need
from scout_ollama.open_webui.target import Target


@dataclass(frozen=True)
class Wanted:
    """What shall be saved, and the Ollama behind it."""

    target: Target
    connection: Connection
    embedding: Embedding
    needs: Sequence[Need] = ()


def wanted(target: Target, found: Found) -> Wanted:
    """Return the connection and the embedding's as they shall be; connections that were made by hand stay."""
    connection, embedding, url = found.connection, found.embedding, target.url
    if url is None:
        return Wanted(target, replace(connection, enabled=False), embedding)
    return Wanted(
        target,
        configuration.connected(connection, url, lambda old: _is_replaced(old, target, found)),
        embedding.at(url) if embedding.uses_ollama and embedding.url != url else embedding,
        found.needs,
    )


def _is_replaced(url: str, target: Target, found: Found) -> bool:
    """Whether a saved connection is one that this project or Scout's own deploy made, and nobody by hand."""
    installed = found.installed
    return url.rstrip("/") in (target.url, *target.known_urls) or workload.is_address_of(
        url, installed.embedded, installed.workload.namespace
    )
