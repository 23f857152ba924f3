"""Requests and responses, their connection left out."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from lab.standins.kube import protobuf
from lab.standins.kube.errors import Json, bad_request, unsupported_media_type
from lab.standins.kube.place import Write

READABLE = ("application/json", "application/yaml")
VALIDATIONS = ("Ignore", "Strict", "Warn")


class _PlainLoader(yaml.SafeLoader):
    """YAML as the API reads it: dates stay text."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Request:
    """One request; header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    raw_query: str = ""

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")

    @property
    def media_type(self) -> str:
        """The form of the body."""
        return self.headers.get("content-type", READABLE[0]).split(";")[0].strip()

    def flag(self, name: str) -> bool:
        """Whether a boolean parameter is set."""
        return self.query.get(name) in ("true", "1")

    @property
    def write(self) -> Write:
        """How the request wants to write. Raises ApiError 400 for parameters that make no sense."""
        dry_run, validation = self.query.get("dryRun", ""), self.query.get("fieldValidation") or "Warn"
        if dry_run not in ("", "All"):
            raise bad_request(f'dryRun: Unsupported value: "{dry_run}": supported values: "All"')
        if validation not in VALIDATIONS:
            choices = ", ".join(f'"{choice}"' for choice in VALIDATIONS)
            raise bad_request(f'fieldValidation: Unsupported value: "{validation}": supported values: {choices}')
        agent = self.headers.get("user-agent", "").split("/")[0] or "unknown"
        return Write(self.query.get("fieldManager") or agent, bool(dry_run), self.flag("force"), validation)

    @property
    def document(self) -> Any:
        """The body. Raises ApiError 415 for a form that is not read, 400 for a body that cannot be."""
        if self.media_type == protobuf.MEDIA_TYPE and (found := self._secret()):
            return found
        if not ("json" in self.media_type or "yaml" in self.media_type):
            raise unsupported_media_type(READABLE)
        try:
            # kubectl sends JSON where it says YAML (apply patches), and JSON reads much faster.
            if "yaml" not in self.media_type or self.body.lstrip()[:1] in (b"{", b"["):
                return json.loads(self.body)
            return yaml.load(self.body, _PlainLoader)  # noqa: S506 - a SafeLoader without dates
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"error decoding request body: {error}") from error

    def _secret(self) -> Json | None:
        try:
            return protobuf.secret(self.body)
        except ValueError as error:
            raise bad_request(f"error decoding request body: {error}") from error

    @property
    def options(self) -> Json:
        """A body that holds no more than options; none when there is no body or it is protobuf."""
        found = self.document if self.body and self.media_type != protobuf.MEDIA_TYPE else {}
        return found if isinstance(found, dict) else {}


@dataclass
class Response:
    """One answer: a body, pieces that are sent as they come, or a connection to whoever answers instead."""

    body: Json | str = ""
    code: int = 200
    warnings: list[str] = field(default_factory=list)
    stream: Iterator[bytes] | None = None
    media_type: str = "application/json"
    handed_on: socket.socket | None = None
