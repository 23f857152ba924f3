"""The calls about the store: what models there are, and making, copying and deleting them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from lab.standins.ollama import create, gguf, golang, pull, resolve
from lab.standins.ollama.golang import log
from lab.standins.ollama.model import Model, details
from lab.standins.ollama.names import Name
from lab.standins.ollama.settings import Settings
from lab.standins.ollama.store import Manifest, Store, StoreError
from lab.standins.ollama.web import ApiError, Reply, Request, Stream, ndjson

_LONG_ARRAY = 5
_NO_PUSH = "the lab's stand-in for Ollama pushes nothing"


@dataclass
class Models:
    """Handlers over a store."""

    settings: Settings
    store: Store

    def tags(self, _: Request) -> Reply:
        """GET /api/tags: every model whose manifest and configuration can be read, the newest first."""
        return Reply.json({"models": self.listed()})

    def listed(self) -> list[dict[str, Any]]:
        """The entries of /api/tags. Raises ApiError 500 if a manifest vanishes meanwhile.

        The weights are not looked at: a model without them is listed with the size its manifest promises, while
        one without its configuration blob is left out.
        """
        try:
            manifests = self.store.manifests()
        except StoreError as error:
            raise ApiError(500, str(error)) from error
        newest_first = sorted(manifests.items(), key=lambda item: -int(item[1].modified))
        return [entry for name, manifest in newest_first if (entry := self._entry(name, manifest))]

    def _entry(self, name: Name, manifest: Manifest) -> dict[str, Any] | None:
        config: dict[str, Any] = {}
        if manifest.config.digest:
            try:
                config = json.loads(self.store.read_blob(manifest.config.digest))
            except (StoreError, ValueError) as error:
                log("WARN", "bad manifest filepath", name=name, error=error)
                return None
        return {
            "name": name.short,
            "model": name.short,
            "modified_at": _moment(manifest.modified),
            "size": manifest.size,
            "digest": manifest.digest,
            "details": details(config),
        }

    def show(self, request: Request) -> Reply:
        """POST /api/show: a model's parameters, template, license and the metadata of its weights."""
        body = request.json()
        called = str(body.get("model") or body.get("name") or "")
        return Reply.json(self.shown(called, verbose=bool(body.get("verbose"))))

    def shown(self, called: str, *, verbose: bool = False) -> dict[str, Any]:
        """The answer of /api/show. Raises ApiError; this call does open the weights, but reads only their header."""
        name = resolve.parse(called, self.settings, empty=ApiError(400, "model is required"))
        model = resolve.find(self.store, name, called)
        header = _header(model, called)
        hidden = {"general.name", "tokenizer.chat_template"}
        metadata = {
            key: None if not verbose and isinstance(value, list) and len(value) > _LONG_ARRAY else value
            for key, value in header.metadata.items()
            if key not in hidden
        }
        metadata["general.parameter_count"] = header.parameter_count
        parameters = "\n".join(_parameter_lines(model.options, width=30))
        return {
            "license": "\n".join(model.licenses),
            "modelfile": _modelfile(model),
            **({"parameters": parameters} if parameters else {}),
            "template": model.template,
            **({"system": model.system} if model.system else {}),
            "details": model.details,
            "model_info": dict(sorted(metadata.items())),
            "tensors": [{"name": row.name, "type": row.type, "shape": row.shape} for row in header.tensors],
            "capabilities": model.capabilities(),
            "modified_at": _moment(model.manifest.modified),
        }

    def create(self, request: Request) -> Reply | Stream:
        """POST /api/create: a model from another one, or from an uploaded GGUF blob."""
        body = request.json()
        name = Name.parse(str(body.get("model") or body.get("name") or ""))
        if not name.is_valid:
            raise ApiError(400, "invalid model name")
        name = self._existing(name)
        values = ({"status": status} for status in self._created(name, body))
        return _progress(body, values)

    def _created(self, name: Name, body: dict[str, Any]) -> Iterator[str]:
        try:
            before: Manifest | None = self.store.manifest(name)
        except StoreError:
            before = None
        try:
            yield from create.create(self.store, name, body)
            if before and not self.settings.no_prune:
                self.store.remove_unused(before.digests)
        except create.BadRequest as error:
            raise ApiError(400, str(error)) from error
        except (StoreError, ValueError) as error:
            raise ApiError(500, str(error)) from error
        yield "success"

    def copy(self, request: Request) -> Reply:
        """POST /api/copy: another name for the same manifest."""
        body = request.json()
        names = []
        for field in ("source", "destination"):
            text = str(body.get(field) or "")
            name = Name.parse(text)
            if not name.is_valid:
                raise ApiError(400, f'{field} "{text}" is invalid')
            names.append(self._existing(name))
        try:
            self.store.copy_manifest(*names)
        except StoreError as error:
            if error.missing:
                raise ApiError(404, f'model "{body["source"]}" not found') from error
            raise ApiError(500, str(error)) from error
        return Reply()

    def delete(self, request: Request) -> Reply:
        """DELETE /api/delete: the manifest, then blobs that no other model uses."""
        body = request.json()
        called = str(body.get("model") or body.get("name") or "")
        try:
            name = resolve.parse(called, self.settings, empty=ApiError(400, "model is required"))
        except ApiError as error:
            raise ApiError(400, f'name "{called}" is invalid' if "invalid" in str(error) else str(error)) from error
        try:
            name = self.store.existing(name)
            self.store.remove(name, self.store.manifest(name))
        except StoreError as error:
            if error.missing:
                raise ApiError(404, f"model '{called}' not found") from error
            raise ApiError(500, str(error)) from error
        return Reply()

    def pull(self, request: Request) -> Reply | Stream:
        """POST /api/pull: a model from its registry, as far as the lab's network has one."""
        body = request.json()
        called = str(body.get("model") or body.get("name") or "")
        name = self._existing(resolve.parse(called, self.settings, empty=ApiError(400, "invalid model name")))
        return _progress(body, self._pulled(name))

    def _pulled(self, name: Name) -> Iterator[dict[str, Any]]:
        try:
            yield from pull.pull(self.store, name, prune=not self.settings.no_prune)
        except (pull.PullError, StoreError) as error:
            raise ApiError(500, str(error)) from error
        except OSError as error:
            raise ApiError(500, golang.error_text(error, "write", error.filename or "")) from error

    def push(self, request: Request) -> Reply | Stream:
        """POST /api/push: always refused, after the first status line."""
        body = request.json()
        called = str(body.get("model") or body.get("name") or "")
        resolve.parse(called, self.settings, empty=ApiError(400, "invalid model name"))

        def values() -> Iterator[dict[str, Any]]:
            yield {"status": "retrieving manifest"}
            raise ApiError(500, _NO_PUSH)

        return _progress(body, values())

    def has_blob(self, request: Request) -> Reply:
        """HEAD /api/blobs/:digest: whether the file exists, whatever is in it."""
        digest = request.parameters["digest"]
        try:
            found = self.store.blob_path(digest).exists()
        except StoreError as error:
            raise ApiError(400, str(error)) from error
        if not found:
            raise ApiError(404, f'blob "{digest}" not found')
        return Reply()

    def add_blob(self, request: Request) -> Reply:
        """POST /api/blobs/:digest: store the body, which must have that digest."""
        digest = request.parameters["digest"]
        try:
            if self.store.blob_path(digest).exists():
                return Reply()
            layer, _ = self.store.add_blob(request, "")
        except StoreError as error:
            raise ApiError(400 if "digest" in str(error) else 500, str(error)) from error
        if layer.digest != digest:
            raise ApiError(400, f'digest mismatch, expected "{digest}", got "{layer.digest}"')
        return Reply(status=201)

    def _existing(self, name: Name) -> Name:
        try:
            return self.store.existing(name)
        except StoreError as error:
            raise ApiError(400, str(error)) from error


def _header(model: Model, called: str) -> gguf.Header:
    try:
        if model.weights is None:
            raise FileNotFoundError
        return gguf.read_header(model.weights)
    except FileNotFoundError as error:
        raise ApiError(404, f"model '{called}' not found") from error
    except (OSError, gguf.BadFile) as error:
        raise ApiError(500, str(error)) from error


def _progress(body: dict[str, Any], values: Iterator[dict[str, Any]]) -> Reply | Stream:
    """A stream of status lines, or with `"stream": false` only the last one."""
    if body.get("stream") is False:
        return replace(Reply.json(list(values)[-1]), content_type="application/json")
    return Stream(ndjson(values))


def _parameter_lines(options: dict[str, Any], width: int) -> list[str]:
    pairs = [(key, item) for key, value in options.items() for item in (value if isinstance(value, list) else [value])]
    return [f"{key:<{width}} {golang.encode_json(item).decode().strip()}" for key, item in pairs]


def _modelfile(model: Model) -> str:
    lines = [
        '# Modelfile generated by "ollama show"',
        "# To build a new Modelfile based on this, replace FROM with:",
        f"# FROM {model.name.short}",
        "",
        f"FROM {model.weights}",
        f"TEMPLATE {_quoted(model.template)}",
        *([f"SYSTEM {_quoted(model.system)}"] if model.system else []),
        *(f"PARAMETER {line}" for line in _parameter_lines(model.options, width=0)),
        *(f"LICENSE {_quoted(text)}" for text in model.licenses),
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A Modelfile argument, in quotes where it has line breaks or outer spaces."""
    if "\n" not in text and text == text.strip():
        return text
    return f'"""{text}"""' if '"' in text else f'"{text}"'


def _moment(seconds: float) -> str:
    return golang.timestamp(datetime.fromtimestamp(seconds, UTC))
