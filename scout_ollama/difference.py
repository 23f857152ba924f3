"""The difference between two Kubernetes objects, or two texts, as lines that a person can read."""

from __future__ import annotations

import difflib
import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Written by the API server, and never by us.
SERVER_FIELDS = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
SERVER_ANNOTATIONS = ("deprecated.daemonset.template.generation",)
_KEY = secrets.token_bytes(32)
SECRET_FIELDS = frozenset({"password", "auth", "token", "identitytoken"})


def meaningful(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its status and without the bookkeeping of the server."""
    kept = {name: value for name, value in obj.items() if name != "status"}
    if "metadata" in kept:
        kept["metadata"] = _without(kept["metadata"], SERVER_FIELDS)
        annotations = _without(kept["metadata"].pop("annotations", None) or {}, SERVER_ANNOTATIONS)
        kept["metadata"] |= {"annotations": annotations} if annotations else {}
    return kept


def _without(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}


def of_objects(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> list[str]:
    """Return a line for each field that differs: ``path: before → after``, or ``+ path: value``, or ``- path: value``.

    Items of lists are named by their ``name``, ``key``, ``path`` or ``mountPath`` where each has one, so that an
    insertion does not shift the rest. The data of a Secret is shown only as a fingerprint.
    """
    return list(_walk("", _comparable(before), _comparable(after)))


def of_texts(before: str | None, after: str) -> list[str]:
    """Return the lines that go and come, with ``-`` and ``+`` in front. For texts without secrets."""
    lines = difflib.unified_diff((before or "").splitlines(), after.splitlines(), lineterm="", n=1)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def redacted(value: Any) -> Any:
    """Return a document with every scalar below a field that holds a secret replaced by a fingerprint."""
    if isinstance(value, Mapping):
        return {
            name: _fingerprint(str(item)) if _is_secret(name, item) else redacted(item) for name, item in value.items()
        }
    return [redacted(item) for item in value] if isinstance(value, list) else value


def _is_secret(name: object, item: Any) -> bool:
    return str(name).lower() in SECRET_FIELDS and not isinstance(item, Mapping | list)


def _comparable(obj: Mapping[str, Any] | None) -> Any:
    if obj is None:
        return None
    kept = meaningful(obj)
    if kept.get("kind") == "Secret":
        for field in ("data", "stringData"):
            if field in kept:
                kept[field] = {name: _fingerprint(value) for name, value in kept[field].items()}
    return kept


def _fingerprint(value: str) -> str:
    """Tell equal from different and no more: the key dies with the process, so no guess can be checked against it."""
    return f"(redacted {hmac.digest(_KEY, value.encode(), 'sha256').hex()[:8]})"


def _walk(path: str, before: Any, after: Any) -> Iterator[str]:
    if before == after:
        return
    left, right = _members(before), _members(after)
    if left is None or right is None or not (left or right):
        yield _line(path, before, after)
        return
    for name in dict.fromkeys([*left, *right]):
        yield from _walk(f"{path}{name}", left.get(name), right.get(name))


def _members(value: Any) -> dict[str, Any] | None:
    """Return what is below a value by the name it has in a path; None for a scalar."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {f".{name}": item for name, item in value.items()}
    if isinstance(value, list):
        key = _key_field(value)
        return {f"[{key}={item[key]}]" if key else f"[{at}]": item for at, item in enumerate(value)}
    return None


def _key_field(items: Sequence[Any]) -> str | None:
    for field in ("name", "key", "path", "mountPath"):
        if items and all(isinstance(item, Mapping) and field in item for item in items):
            names = [item[field] for item in items]
            return field if len(set(map(str, names))) == len(names) else None
    return None


def _line(path: str, before: Any, after: Any) -> str:
    name = path.removeprefix(".")
    if before is None:
        return f"+ {name}: {_shown(after)}"
    if after is None:
        return f"- {name}: {_shown(before)}"
    return f"~ {name}: {_shown(before)} → {_shown(after)}"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and "\n" not in value else repr(value)
