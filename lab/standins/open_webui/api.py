"""What is answered: the parts of Open WebUI's API that have to do with its Ollama connection."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lab.standins.open_webui import backends, tokens
from lab.standins.open_webui.database import Database
from lab.standins.open_webui.settings import Settings, Values

DISABLED = "The Ollama API is disabled. Please enable it to use this feature."
BAD_PASSWORD = "The email or password provided is incorrect. Please check for typos and try logging in again."  # noqa: S105
FORBIDDEN = "You do not have permission to access this resource. Please contact your administrator for assistance."
EMBEDDING = {
    "RAG_EMBEDDING_ENGINE": "rag.embedding_engine",
    "RAG_EMBEDDING_MODEL": "rag.embedding_model",
    "RAG_EMBEDDING_BATCH_SIZE": "rag.embedding_batch_size",
    "ENABLE_ASYNC_EMBEDDING": "rag.enable_async_embedding",
    "RAG_EMBEDDING_CONCURRENT_REQUESTS": "rag.embedding_concurrent_requests",
}


class HttpError(Exception):
    """An answer other than success; ``detail`` is what FastAPI puts under that name."""

    def __init__(self, status: int, detail: Any) -> None:
        super().__init__(str(detail))
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Asked:
    """One request: its body, the rest of its path, and who asks."""

    body: Values
    rest: str = ""
    role: str = ""

    def require(self, *names: str) -> None:
        """Raise HttpError 422, as FastAPI does, unless these are in the body."""
        missing = [name for name in names if name not in self.body]
        if missing:
            what = {"type": "missing", "msg": "Field required", "input": self.body}
            raise HttpError(422, [{**what, "loc": ["body", name]} for name in missing])


Handler = Callable[[Asked], Any]


class Api:
    """The answers of one replica."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._limit = tokens.SignInLimit()
        self._last_models: list[dict[str, Any]] = []
        self.public: dict[str, Handler] = {
            "GET /health": lambda _: {"status": True},
            "GET /ready": lambda _: {"status": True},
            "GET /api/version": lambda _: {"version": settings.version, "deployment_id": ""},
            "POST /api/v1/auths/signin": self._sign_in,
            "POST /api/v1/auths/signup": self._sign_up,
        }
        self.for_users: dict[str, Handler] = {
            "GET /api/models": self._all_models,
            "GET /api/v1/tasks/config": self._tasks,
            "GET /ollama/api/tags": self._tags,
            "GET /ollama/api/version": self._version,
            "POST /ollama/api/chat": self._chat,
        }
        self.for_admins: dict[str, Handler] = {
            "POST /ollama/verify": self._verify,
            "GET /ollama/config": lambda _: self._connection(),
            "POST /ollama/config/update": self._update_connection,
            "GET /api/v1/retrieval/embedding": lambda _: self._embedding(),
            "POST /api/v1/retrieval/embedding/update": self._update_embedding,
            "GET /api/v1/configs/models": self._default_models,
            "POST /api/v1/configs/models": self._set_default_models,
            "GET /api/v1/models/export": lambda _: self._database.models(),
            "POST /api/v1/models/create": self._create_model,
        }

    def role_of(self, token: str) -> str:
        """What the bearer of a token may do. Raises HttpError 401."""
        user = tokens.user_of(token, self._settings.secret_key)
        role = next((role for name, _, role in self._database.users() if name == user), None)
        if role is None:
            raise HttpError(401, "401 Unauthorized")
        return role

    # Who asks

    def _sign_in(self, asked: Asked) -> Any:
        asked.require("email", "password")
        email = str(asked.body["email"]).lower()
        if not self._settings.password_auth:
            raise HttpError(403, "The requested action has been restricted as a security measure.")
        if self._limit.is_over(email):
            raise HttpError(429, "API rate limit exceeded")
        found = self._database.authenticate(email, str(asked.body["password"]))
        if found is None:
            raise HttpError(400, BAD_PASSWORD)
        user, role = found
        signed = tokens.token(user, self._settings.secret_key)
        return {"id": user, "email": email, "role": role, "token": signed, "token_type": "Bearer"}

    def _sign_up(self, asked: Asked) -> Any:
        asked.require("name", "email", "password")
        if self._database.users():
            raise HttpError(403, FORBIDDEN)
        self._database.add_user(asked.body["name"], asked.body["email"], asked.body["password"])
        return self._sign_in(asked)

    # The connection

    def _connection(self) -> Any:
        config = self._database.config()
        return {
            "ENABLE_OLLAMA_API": config["ollama.enable"],
            "OLLAMA_BASE_URLS": config["ollama.base_urls"],
            "OLLAMA_API_CONFIGS": config["ollama.api_configs"] or {},
        }

    def _update_connection(self, asked: Asked) -> Any:
        asked.require("OLLAMA_BASE_URLS", "OLLAMA_API_CONFIGS")
        urls, configs = asked.body["OLLAMA_BASE_URLS"], asked.body["OLLAMA_API_CONFIGS"]
        known = {str(at) for at in range(len(urls))}
        # What is left out is saved as null, which turns Ollama off.
        enable = asked.body.get("ENABLE_OLLAMA_API")
        kept = {at: config for at, config in configs.items() if at in known}
        self._database.upsert({"ollama.enable": enable, "ollama.base_urls": urls, "ollama.api_configs": kept})
        self._last_models = []
        return self._connection()

    def _verify(self, asked: Asked) -> Any:
        asked.require("url")
        try:
            key = asked.body.get("key") or ""
            return backends.ask(f"{asked.body['url']}/api/version", self._settings.trust, key=key)
        except backends.Refused as error:
            raise HttpError(500, f"Unexpected error: External Error: {error}") from error
        except backends.Unreachable as error:
            raise HttpError(500, "Open WebUI: Server Connection Error") from error

    def _embedding(self) -> Any:
        config = self._database.config()
        azure = {"url": "", "key": "", "version": ""}
        return {
            "status": True,
            **{name: config[key] for name, key in EMBEDDING.items()},
            "openai_config": {"url": config["rag.openai.api_base_url"], "key": config["rag.openai.api_key"]},
            "ollama_config": {"url": config["rag.ollama.base_url"], "key": config["rag.ollama.api_key"]},
            "azure_openai_config": azure,
        }

    def _update_embedding(self, asked: Asked) -> Any:
        asked.require("RAG_EMBEDDING_ENGINE", "RAG_EMBEDDING_MODEL")
        preset = {"RAG_EMBEDDING_BATCH_SIZE": 1, "ENABLE_ASYNC_EMBEDDING": True, "RAG_EMBEDDING_CONCURRENT_REQUESTS": 0}
        body = {**preset, **asked.body}
        values = {key: body[name] for name, key in EMBEDDING.items()}
        if (ollama := body.get("ollama_config")) and body["RAG_EMBEDDING_ENGINE"] == "ollama":
            values |= {"rag.ollama.base_url": ollama["url"], "rag.ollama.api_key": ollama["key"]}
        self._database.upsert(values)
        return self._embedding()

    def _default_models(self, _: Asked) -> Any:
        return {"DEFAULT_MODELS": self._database.config()["ui.default_models"], "MODEL_ORDER_LIST": []}

    def _set_default_models(self, asked: Asked) -> Any:
        self._database.upsert({"ui.default_models": asked.body.get("DEFAULT_MODELS")})
        return self._default_models(asked)

    def _tasks(self, _: Asked) -> Any:
        config = self._database.config()
        return {"TASK_MODEL": config["task.model.default"], "TASK_MODEL_EXTERNAL": config["task.model.external"]}

    def _create_model(self, asked: Asked) -> Any:
        asked.require("id", "name", "meta", "params")
        now = int(time.time())
        model = {"base_model_id": None, "is_active": True, **asked.body, "created_at": now, "updated_at": now}
        self._database.add_model(model)
        return model

    # Through the connection

    def _backend(self, index: str) -> tuple[str, str]:
        """URL and key of one backend, whether it is turned on or not."""
        config = self._database.config()
        if not config["ollama.enable"]:
            raise HttpError(503, DISABLED)
        url = config["ollama.base_urls"][int(index)]
        return url, config["ollama.api_configs"].get(index, {}).get("key", "")

    def _through(self, index: str, path: str, body: Any = None, seconds: float = backends.LIST_SECONDS) -> Any:
        url, key = self._backend(index)
        try:
            return backends.ask(f"{url}{path}", self._settings.trust, body, key, seconds)
        except backends.Refused as error:
            raise HttpError(error.status, f"Ollama: {error}") from error
        except backends.Unreachable as error:
            raise HttpError(500, f"Ollama: {error}") from error

    def _enabled(self) -> dict[str, str]:
        """The prefix of each backend that is turned on, by its index."""
        config = self._database.config()
        indexes = map(str, range(len(config["ollama.base_urls"]))) if config["ollama.enable"] else ()
        configs = {index: config["ollama.api_configs"].get(index, {}) for index in indexes}
        return {index: c.get("prefix_id") or "" for index, c in configs.items() if c.get("enable", True)}

    def _listed(self) -> dict[str, dict[str, Any]]:
        """The models of all backends that answer, each with the indexes of those that have it."""
        merged: dict[str, dict[str, Any]] = {}
        for index, prefix in self._enabled().items():
            try:
                models = self._through(index, "/api/tags")["models"]
            except HttpError:
                continue
            for model in models:
                name = f"{prefix}.{model['model']}" if prefix else model["model"]
                merged.setdefault(name, {**model, "model": name, "urls": []})["urls"].append(int(index))
        return merged

    def _tags(self, asked: Asked) -> Any:
        if asked.rest:
            return self._through(asked.rest, "/api/tags")
        if not self._database.config()["ollama.enable"]:
            raise HttpError(503, DISABLED)
        return {"models": list(self._listed().values())}

    def _version(self, asked: Asked) -> Any:
        if not self._database.config()["ollama.enable"]:
            return {"version": False}
        if asked.rest:
            return self._through(asked.rest, "/api/version")
        for index in self._enabled():
            try:
                return self._through(index, "/api/version")
            except HttpError:
                continue
        raise HttpError(500, "WebUI could not connect to Ollama")

    def _all_models(self, _: Asked) -> Any:
        """The last models that there were, where there are none now; an override without its base is left out."""
        listed = [{"id": name, "name": name, "owned_by": "ollama"} for name in self._listed()]
        self._last_models = listed or self._last_models
        presets = [model for model in self._database.models() if model.get("base_model_id")]
        custom = [{"id": model["id"], "name": model["name"], "preset": True} for model in presets]
        return {"data": [*self._last_models, *(custom if self._last_models else [])]}

    def _chat(self, asked: Asked) -> Any:
        asked.require("model", "messages")
        name = asked.body["model"]
        preset = next((model for model in self._database.models() if model["id"] == name), {})
        name = preset.get("base_model_id") or name
        if not self._database.config()["ollama.enable"]:
            raise HttpError(503, DISABLED)
        index = asked.rest or self._one_that_has(name)
        prefix = self._enabled().get(index, "")
        body = {**asked.body, "model": name.removeprefix(f"{prefix}.") if prefix else name, "stream": False}
        return self._through(index, "/api/chat", body, backends.CHAT_SECONDS)

    def _one_that_has(self, name: str) -> str:
        listed = self._listed()
        if name not in listed:
            raise HttpError(400, f"Model '{name}' was not found")
        return str(random.choice(listed[name]["urls"]))  # noqa: S311 - as the real one balances
