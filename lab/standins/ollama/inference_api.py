"""The calls that run a model: /api/generate, /api/chat, /api/embed, /api/embeddings and what is loaded, /api/ps."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lab.standins.ollama import golang, prompt, resolve
from lab.standins.ollama.model import Model, details
from lab.standins.ollama.scheduler import Busy, Cancelled, LoadFailed, Scheduler, Slot
from lab.standins.ollama.settings import Settings
from lab.standins.ollama.store import Store
from lab.standins.ollama.web import ApiError, Reply, Request, Stream, ndjson, wrong_type

_NANOSECONDS = 1_000_000_000


@dataclass
class Inference:
    """Handlers over a store and a scheduler."""

    settings: Settings
    store: Store
    scheduler: Scheduler

    def generate(self, request: Request) -> Reply | Stream:
        """POST /api/generate: complete a prompt; without one, load the model or (keep_alive 0) unload it."""
        body = request.json()
        called, text = _text(body, "model"), _text(body, "prompt")
        messages = [{"role": "user", "content": text}] if text else []
        values = self._answer(request, body, messages, "generate", missing=_not_found(called))
        return _reply(body, ({**rest, "response": text} for text, rest in values), "response")

    def chat(self, request: Request) -> Reply | Stream:
        """POST /api/chat: the next message; without messages, load or unload the model."""
        body = request.json()
        return _reply(body, self.chat_values(request, body), "message")

    def chat_values(self, request: Request, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The objects of a chat's answer, for /api/chat and for OpenAI's form of it."""
        messages = body.get("messages") or []
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            raise wrong_type(messages, "messages", "[]api.Message")
        values = self._answer(request, body, messages, "chat", missing=ApiError(400, "model is required"))
        return ({**rest, "message": {"role": "assistant", "content": text}} for text, rest in values)

    def embed(self, request: Request) -> Reply:
        """POST /api/embed: one vector for each text of `input`."""
        return Reply.json(self.embeddings_of(request, request.json()))

    def embeddings_of(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        """The answer to an embedding request, for /api/embed and for OpenAI's form of it."""
        started, called = time.monotonic(), _text(body, "model")
        texts = body.get("input") or []
        texts = [texts] if isinstance(texts, str) else texts
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise ApiError(400, "invalid input type")
        name = resolve.parse(called, self.settings, empty=_not_found(called))
        model = resolve.read(self.store, resolve.existing(self.store, name, called), _absent(called))
        with self._slot(request, body, model) as slot:
            loaded = time.monotonic()
            vectors = [slot.engine.embed(text) for text in texts]
        answer: dict[str, Any] = {"model": called, "embeddings": vectors}
        if texts:
            answer |= {"total_duration": _since(started), "load_duration": int((loaded - started) * _NANOSECONDS)}
            answer["prompt_eval_count"] = sum(len(text.split()) for text in texts)
        return answer

    def embeddings(self, request: Request) -> Reply:
        """POST /api/embeddings, the older form: one `prompt`, one vector."""
        body = request.json()
        called, prompt = _text(body, "model"), _text(body, "prompt")
        name = resolve.parse(called, self.settings, empty=ApiError(400, "model is required"))
        model = resolve.read(self.store, name, _absent(called))
        with self._slot(request, body, model) as slot:
            return Reply.json({"embedding": slot.engine.embed(prompt) if prompt else []})

    def ps(self, _: Request) -> Reply:
        """GET /api/ps: the models in memory, by the name that loaded them."""
        return Reply.json({"models": [_process(slot) for slot in self.scheduler.loaded()]})

    def _answer(
        self, request: Request, body: dict[str, Any], messages: list[dict[str, Any]], verb: str, missing: ApiError
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Pieces of text, each with the fields that go with it; the last one is `done`. Raises ApiError at first."""
        started, called, keep_alive = time.monotonic(), _text(body, "model"), _keep_alive(body)
        model = resolve.find(self.store, resolve.parse(called, self.settings, empty=missing), called)
        if not messages and keep_alive == 0:
            self.scheduler.unload(model)
            yield "", _fields(called, done_reason="unload")
            return
        _check_capabilities(model, body, called, verb)
        with self._slot(request, body, model) as slot:
            if messages:
                yield from _spoken(slot, model, body, called, messages, started)
                return
        yield "", _fields(called, done_reason="load")

    @contextmanager
    def _slot(self, request: Request, body: dict[str, Any], model: Model) -> Iterator[Slot]:
        """The model's slot, held while the block lasts. Raises ApiError when it cannot be loaded."""
        options = body.get("options") or {}
        if not isinstance(options, dict):
            raise wrong_type(options, "options", "map[string]interface {}")
        try:
            with self.scheduler.use(model, options, _keep_alive(body), request.gone) as slot:
                yield slot
        except Busy as error:
            raise ApiError(503, str(error)) from error
        except Cancelled as error:
            raise ApiError(499, "request canceled") from error
        except LoadFailed as error:
            raise (_absent(_text(body, "model")) if error.missing else ApiError(500, str(error))) from error


def _check_capabilities(model: Model, body: dict[str, Any], called: str, verb: str) -> None:
    """Raise ApiError 400 for what the model cannot do, be it for want of its weights."""
    capabilities = model.capabilities()
    if body.get("think") not in (None, False) and "thinking" not in capabilities:
        raise ApiError(400, f'"{called}" does not support thinking')
    if "completion" not in capabilities:
        raise ApiError(400, f'"{called}" does not support {verb}')
    if verb == "chat" and body.get("tools") and "tools" not in capabilities:
        raise ApiError(400, f"{model.name} does not support tools")


def _spoken(
    slot: Slot, model: Model, body: dict[str, Any], called: str, messages: list[dict[str, Any]], started: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The engine's pieces, and a closing one with the counts."""
    loaded, count, reason = time.monotonic(), 0, "stop"
    asked = prompt.render(model.template, messages)
    options = {**model.options, **(body.get("options") or {})}
    limit = int(options.get("num_predict", -1))
    for piece in slot.engine.generate(asked, options, body.get("format")):
        if 0 < limit <= count:
            reason = "length"
            break
        count += 1
        yield piece, _fields(called)
    counts = {
        "total_duration": _since(started),
        "load_duration": int((loaded - started) * _NANOSECONDS),
        "prompt_eval_count": len(asked.split()),
        "prompt_eval_duration": 1,
        "eval_count": count,
        "eval_duration": _since(loaded),
    }
    yield "", {**_fields(called, done_reason=reason), **counts}


def _reply(body: dict[str, Any], values: Iterable[dict[str, Any]], field: str) -> Reply | Stream:
    """A stream of lines, or with `"stream": false` (and for a load or unload) one object with the whole text."""
    values = iter(values)
    first = next(values)
    if first.get("done") and first.get("done_reason") in ("load", "unload"):
        return Reply.json(first)
    if body.get("stream") is not False:
        return Stream(ndjson(chain([first], values)))
    everything = [first, *values]
    last = everything[-1]
    if field == "response":
        last["response"] = "".join(value["response"] for value in everything)
    else:
        last["message"]["content"] = "".join(value["message"]["content"] for value in everything)
    return Reply.json(last)


def _fields(called: str, *, done_reason: str = "") -> dict[str, Any]:
    fields: dict[str, Any] = {"model": called, "created_at": golang.timestamp(), "done": bool(done_reason)}
    return {**fields, "done_reason": done_reason} if done_reason else fields


def _process(slot: Slot) -> dict[str, Any]:
    name = slot.model.name.short
    return {
        "name": name,
        "model": name,
        "size": slot.size,
        "digest": slot.model.manifest.digest,
        "details": details(slot.model.config),
        "expires_at": golang.timestamp(after=slot.seconds_left),
        "size_vram": slot.size_vram,
        "context_length": slot.context_length,
    }


def _keep_alive(body: dict[str, Any]) -> float | None:
    """Seconds to stay loaded: a number of seconds or a Go duration; below zero without end, None if not given.

    Raises ApiError 400: the string "-1" has no unit, the number -1 needs none.
    """
    value = body.get("keep_alive")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ApiError(400, f"Unsupported type: '{type(value).__name__}'")
    try:
        seconds = golang.parse_duration(value) if isinstance(value, str) else float(value)
    except ValueError as error:
        raise ApiError(400, str(error)) from error
    return golang.FOREVER if seconds < 0 else min(seconds, golang.FOREVER)


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field) or ""
    if not isinstance(value, str):
        raise wrong_type(value, field, "string")
    return value


def _not_found(called: str) -> ApiError:
    return ApiError(404, f"model '{called}' not found")


def _absent(called: str) -> ApiError:
    return ApiError(404, f'model "{called}" not found, try pulling it first')


def _since(moment: float) -> int:
    return int((time.monotonic() - moment) * _NANOSECONDS)
