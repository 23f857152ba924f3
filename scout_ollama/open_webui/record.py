"""What was there before a Scout was connected, so that ``disconnect-scout`` can bring it back.

On the Scout's first server as ``/var/lib/scout-ollama/open-webui/N.json``, the newest one counts, and beside the log of
the run that made it; mode 0600 in both places. Keys of connections are not in it: they are saved in Open WebUI.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationError

from scout_ollama.errors import Trouble
from scout_ollama.lock import STATE
from scout_ollama.logs import LOGGER, Log
from scout_ollama.open_webui.configuration import Connection, Embedding
from scout_ollama.open_webui.target import Target
from scout_ollama.open_webui.workload import Embedded, Workload
from scout_ollama.remote import Remote, Script

RECORDS = f"{STATE}/open-webui"


class Before(BaseModel):
    """One record."""

    mode: str = Field(description="What the Scout was connected to then: external, deploy or disabled.")
    url: str | None = Field(description="Its URL.")
    connection: dict[str, Any] = Field(description="What Open WebUI's /ollama/config said, without keys.")
    embedding: dict[str, Any] = Field(description="What its embedding configuration said, without keys.")
    workload: str = Field(description="Open WebUI's workload: kind/name.")
    environment: dict[str, Any] = Field(description="Entries of its container's environment by name; null for none.")
    embedded: str = Field("", description="The Ollama beside it: kind/name.")
    replicas: int = Field(0, description="How many pods that had.")
    claims: list[str] = Field([], description="The volumes that it had.")

    def is_for(self, target: Target) -> bool:
        """Whether it was made when the Scout was connected to this one."""
        return (self.mode, self.url) == (target.mode, target.url)


TOUCHED = (
    "OLLAMA_BASE_URLS",
    "ENABLE_OLLAMA_API",
    "RAG_OLLAMA_BASE_URL",
    "AIOHTTP_CLIENT_SSL_CERT_FILE",
    "AIOHTTP_CLIENT_SESSION_SSL",
    "no_proxy",
)
"""The variables that a run may set."""


def of(
    target: Target, workload: Workload, embedded: Embedded | None, connection: Connection, embedding: Embedding
) -> Before:
    """Return the record of what is there now, before it is connected to ``target``."""
    return Before(
        mode=target.mode,
        url=target.url,
        connection=connection.body(),
        embedding=embedding.body(),
        workload=workload.workload,
        environment={name: workload.environment.get(name) for name in TOUCHED},
        embedded=embedded.workload if embedded else "",
        replicas=embedded.replicas if embedded else 0,
        claims=[claim.name for claim in embedded.claims] if embedded else [],
    )


def parse(text: str, host: str) -> Before | None:
    """Read the newest record; None if there is none.

    Raises:
        Trouble: it is not one of ours.
    """
    if not text.strip():
        return None
    try:
        return Before.model_validate_json(text)
    except ValidationError as error:
        raise Trouble(
            f"the record in {RECORDS} cannot be read",
            host=host,
            why=str(error),
            next=f"sudo ls -l {RECORDS}; move the file away if it is not needed",
        ) from error


def keep(remote: Remote, before: Before) -> None:
    """Keep a record on the host, and here.

    Raises:
        Trouble: there is no room for it.
    """
    text = before.model_dump_json(indent=1) + "\n"
    data = text.encode()
    remote.run(Script.load("keep-record"), RECORDS, str(len(data)), stdin=data, sudo=True, timeout=60)
    for log in LOGGER.handlers:
        if isinstance(log, Log):
            here = log.path.with_suffix(f".{remote.host.cluster}.json")
            here.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            here.touch(mode=0o600)
            here.write_text(text)


def forget(remote: Remote) -> None:
    """Forget the newest record."""
    remote.run(Script.load("forget-record"), RECORDS, sudo=True, timeout=60)
