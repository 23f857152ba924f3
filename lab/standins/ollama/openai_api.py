"""The calls in OpenAI's form: /v1/models, /v1/chat/completions, /v1/embeddings, over the same handlers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from lab.standins.ollama import golang
from lab.standins.ollama.inference_api import Inference
from lab.standins.ollama.models_api import Models
from lab.standins.ollama.names import Name
from lab.standins.ollama.web import ApiError, Handler, Reply, Request, Stream

_ERROR_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
_OPTIONS = {"max_tokens": "num_predict", "temperature": "temperature", "top_p": "top_p", "seed": "seed", "stop": "stop"}


def errors_in_openai_form(handler: Handler) -> Handler:
    """`handler` with its ApiErrors as OpenAI's error object."""

    def wrapped(request: Request) -> Reply | Stream:
        try:
            return handler(request)
        except ApiError as error:
            kind = _ERROR_TYPES.get(error.status, "api_error")
            value = {"error": {"message": str(error), "type": kind, "param": None, "code": None}}
            return replace(Reply.json(value, error.status), content_type="application/json")

    return wrapped


@dataclass
class OpenAi:
    """Handlers over those of Ollama's own API."""

    models: Models
    inference: Inference

    def list_models(self, _: Request) -> Reply:
        """GET /v1/models."""
        entries = [_model(entry["name"], entry["modified_at"]) for entry in self.models.listed()]
        return _json({"object": "list", "data": entries or None})

    def retrieve_model(self, request: Request) -> Reply:
        """GET /v1/models/:model."""
        called = request.parameters["model"]
        return _json(_model(called, self.models.shown(called)["modified_at"]))

    def chat(self, request: Request) -> Reply | Stream:
        """POST /v1/chat/completions, whole or as server-sent events."""
        body = request.json()
        if not body.get("messages"):
            raise ApiError(400, "[] is too short - 'messages'")
        values = self.inference.chat_values(request, _native(body))
        if body.get("stream"):
            with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
            # The first value is made before any header is sent, so that a refusal is still a status.
            return Stream(_events(next(values), values, with_usage), "text/event-stream")
        everything = list(values)
        text = "".join(value["message"]["content"] for value in everything)
        last = everything[-1]
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": last["done_reason"]}
        return _json({**_head(last, "chat.completion"), "choices": [choice], "usage": _usage(last)})

    def embeddings(self, request: Request) -> Reply:
        """POST /v1/embeddings."""
        body = request.json()
        if body.get("input") in (None, []):
            raise ApiError(400, "invalid input")
        answer = self.inference.embeddings_of(request, {"model": body.get("model"), "input": body["input"] or [""]})
        data = [
            {"object": "embedding", "embedding": vector, "index": index}
            for index, vector in enumerate(answer["embeddings"])
        ]
        tokens = answer.get("prompt_eval_count", 0)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return _json({"object": "list", "data": data, "model": answer["model"], "usage": usage})


def _native(body: dict[str, Any]) -> dict[str, Any]:
    """The same request in Ollama's form."""
    options = {own: body[theirs] for theirs, own in _OPTIONS.items() if body.get(theirs) is not None}
    native = {"model": body.get("model"), "messages": body["messages"], "options": options, "tools": body.get("tools")}
    if (body.get("response_format") or {}).get("type", "text") != "text":
        native["format"] = "json"
    return native


def _events(first: dict[str, Any], rest: Iterator[dict[str, Any]], with_usage: bool) -> Iterator[bytes]:
    value, chunk = first, _head(first, "chat.completion.chunk")
    while True:
        delta = {"role": "assistant", "content": value["message"]["content"]}
        yield _event({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": value.get("done_reason")}]})
        if value["done"]:
            break
        value = next(rest)
    if with_usage:
        yield _event({**chunk, "choices": [], "usage": _usage(value)})
    yield b"data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + golang.encode_json(value) + b"\n"


def _head(value: dict[str, Any], kind: str) -> dict[str, Any]:
    head = {"id": f"chatcmpl-{time.monotonic_ns() % 1000}", "object": kind, "created": int(time.time())}
    return {**head, "model": value["model"], "system_fingerprint": "fp_ollama"}


def _usage(last: dict[str, Any]) -> dict[str, int]:
    asked, answered = last["prompt_eval_count"], last["eval_count"]
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _model(name: str, modified: str) -> dict[str, Any]:
    created = int(datetime.fromisoformat(modified).timestamp())
    return {"id": name, "object": "model", "created": created, "owned_by": Name.parse(name).namespace}


def _json(value: dict[str, Any]) -> Reply:
    return replace(Reply.json(value), content_type="application/json")
