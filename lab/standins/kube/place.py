"""Where a request points and how it wants to be carried out; times and copies as the API makes them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lab.standins.kube.errors import ApiError, FieldError, Json, conflict, invalid, not_found
from lab.standins.kube.resources import Resource
from lab.standins.kube.store import Key


@dataclass
class Write:
    """How a request wants to be carried out."""

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a request points: a kind's collection, one object in it, or a part of that."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return (self.resource.collection, self.namespace, self.name)

    def not_found(self) -> ApiError:
        return not_found(self.resource.plural, self.resource.group, self.name)

    def conflict(self, why: str = "") -> ApiError:
        return conflict(self.resource.plural, self.resource.group, self.name, why)

    def invalid(self, causes: list[FieldError]) -> ApiError:
        return invalid(self.resource.kind, self.resource.group, self.name, causes)


def now() -> str:
    """The time as the API writes it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copied(obj: Json) -> Json:
    """A copy that may be changed."""
    result: Json = json.loads(json.dumps(obj))
    return result


def deadline(seconds: int) -> str:
    """The time `seconds` from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
