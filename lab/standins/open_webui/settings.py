"""What the environment says: the values that a first start seeds the database with, and what is never saved."""

from __future__ import annotations

import json
import os
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Values = dict[str, Any]


def defaults(environment: Mapping[str, str]) -> Values:
    """The configuration that Open WebUI has where nobody ever saved another, by key."""
    one = environment.get("OLLAMA_BASE_URL", "").removesuffix("/")
    one = "http://host.docker.internal:11434" if one == "/ollama" else one or "http://localhost:11434"
    several = environment.get("OLLAMA_BASE_URLS") or one
    configs: Any = {}
    with suppress(ValueError):
        configs = json.loads(environment.get("OLLAMA_API_CONFIGS") or "{}")
    return {
        "ollama.enable": _flag(environment, "ENABLE_OLLAMA_API", True),
        "ollama.base_urls": [url.strip() for url in several.split(";")],
        "ollama.api_configs": configs if isinstance(configs, dict) else {},
        "rag.embedding_engine": environment.get("RAG_EMBEDDING_ENGINE", ""),
        "rag.embedding_model": environment.get("RAG_EMBEDDING_MODEL", "sentence-transformers/all-MiniLM-L6-v2"),
        "rag.embedding_batch_size": int(environment.get("RAG_EMBEDDING_BATCH_SIZE", "1")),
        "rag.enable_async_embedding": True,
        "rag.embedding_concurrent_requests": 0,
        "rag.ollama.base_url": environment.get("RAG_OLLAMA_BASE_URL", one),
        "rag.ollama.api_key": environment.get("RAG_OLLAMA_API_KEY", ""),
        "rag.openai.api_base_url": "https://api.openai.com/v1",
        "rag.openai.api_key": environment.get("RAG_OPENAI_API_KEY", ""),
        "ui.default_models": environment.get("DEFAULT_MODELS") or None,
        "task.model.default": environment.get("TASK_MODEL", ""),
        "task.model.external": environment.get("TASK_MODEL_EXTERNAL", ""),
    }


@dataclass(frozen=True)
class Settings:
    """What each start reads anew."""

    version: str
    data: Path
    port: int
    secret_key: str
    persistent: bool
    reset: bool
    password_auth: bool
    admin: tuple[str, str] | None
    trust: ssl.SSLContext
    defaults: Values

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """From the environment of the process."""
        email, password = environment.get("WEBUI_ADMIN_EMAIL"), environment.get("WEBUI_ADMIN_PASSWORD")
        return cls(
            version=environment.get("LAB_IMAGE_TAG", "0.11.0").removeprefix("v"),
            data=Path(environment.get("DATA_DIR", "data")),
            port=int(environment.get("PORT", "8080")),
            secret_key=environment["WEBUI_SECRET_KEY"],
            persistent=_flag(environment, "ENABLE_PERSISTENT_CONFIG", True),
            reset=_flag(environment, "RESET_CONFIG_ON_START", False),
            password_auth=_flag(environment, "ENABLE_PASSWORD_AUTH", True),
            admin=(email.lower(), password) if email and password else None,
            trust=_trust(environment),
            defaults=defaults(environment),
        )


def _flag(environment: Mapping[str, str], name: str, default: bool) -> bool:
    return environment.get(name, str(default)).lower() == "true"


def _trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    """Whom connections to Ollama believe. A value that is no file is ignored, as by the real one."""
    session = environment.get("AIOHTTP_CLIENT_SESSION_SSL", "True").strip()
    if session.lower() == "false":
        unverified = ssl.create_default_context()
        unverified.check_hostname = False
        unverified.verify_mode = ssl.CERT_NONE
        return unverified
    for file in (session, environment.get("AIOHTTP_CLIENT_SSL_CERT_FILE", "").strip()):
        if file.lower() != "true" and Path(file).is_file():
            return ssl.create_default_context(cafile=file)
    return ssl.create_default_context()
