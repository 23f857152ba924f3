"""The three patch formats that name changes: JSON patch (RFC 6902), merge patch (RFC 7386), strategic merge patch."""

from __future__ import annotations

import json
from typing import Any

from lab.standins.kube.errors import ApiError, Json, bad_request
from lab.standins.kube.schema import Schema

DIRECTIVES = ("$patch", "$retainKeys")


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Json, operations: Any) -> Json:
    """RFC 6902. Raises ApiError 400 for a malformed patch, 422 for one that does not fit the object."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    document: Any = json.loads(json.dumps(target))
    for operation in operations:
        try:
            document = _operate(document, operation)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            name, path = operation.get("op"), operation.get("path")
            text = f"{name} operation does not apply: doc is missing path: {path}: {error or 'missing value'}"
            details = {"causes": [{"reason": "UnexpectedServerResponse", "message": text}]}
            message = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", message, details) from error
    result: Json = document
    return result


def _operate(document: Any, operation: Json) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, operation["value"])
        case "remove":
            _remove(document, path)
            return document
        case "replace":
            if path:
                _remove(document, path)
            return _add(document, path, operation["value"])
        case "move":
            return _add(document, path, _remove(document, _pointer(operation["from"])))
        case "copy":
            return _add(document, path, json.loads(json.dumps(_walk(document, _pointer(operation["from"])))))
        case "test":
            if _walk(document, path) != operation["value"]:
                raise ValueError(f"testing value {operation['path']} failed")
            return document
    raise ValueError(f"unexpected kind: {operation['op']}")


def _pointer(text: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _walk(document: Any, path: list[str]) -> Any:
    for step in path:
        document = document[int(step)] if isinstance(document, list) else document[step]
    return document


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _walk(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else int(path[-1]), value)
    else:
        parent[path[-1]] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent = _walk(document, path[:-1])
    return parent.pop(int(path[-1]) if isinstance(parent, list) else path[-1])


def strategic_patch(target: Any, patch: Json, schema: Schema) -> Json:
    """Kubernetes' own format: lists of objects merge by the key their type declares, `$` directives steer.

    Source: k8s.io/apimachinery/pkg/util/strategicpatch/patch.go. Raises ApiError 400 for an item without its key.
    """
    if patch.get("$patch") == "replace":
        whole: Json = _plain({key: value for key, value in patch.items() if key != "$patch"})
        return whole
    if patch.get("$patch") == "delete":
        return {}
    result: Json = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        result = {key: value for key, value in result.items() if key in patch["$retainKeys"]}
    for key, value in patch.items():
        if key in DIRECTIVES or key.startswith("$setElementOrder/"):
            continue
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            result[name] = [item for item in result.get(name, []) if item not in value]
        elif value is None:
            result.pop(key, None)
        else:
            kind = schema.child(key) or schema.values
            order = patch.get(f"$setElementOrder/{key}")
            result[key] = _patched(result.get(key), value, kind, order)
    for key, order in patch.items():
        name = key.removeprefix("$setElementOrder/")
        if name != key and name not in patch and isinstance(result.get(name), list):
            result[name] = _ordered(result[name], order, (schema.child(name) or schema.values).merge_key)
    return result


def _patched(target: Any, value: Any, schema: Schema, order: list[Any] | None) -> Any:
    if isinstance(value, dict):
        return strategic_patch(target if isinstance(target, dict) else {}, value, schema)
    if isinstance(value, list) and "merge" in schema.strategies:
        merged = _merge_lists(target if isinstance(target, list) else [], value, schema)
        return _ordered(merged, order, schema.merge_key) if order is not None else merged
    return _plain(value)


def _merge_lists(target: list[Any], patch: list[Any], schema: Schema) -> list[Any]:
    key = schema.merge_key
    if not key:
        return target + [item for item in patch if item not in target]
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [_plain(item) for item in patch if "$patch" not in item]
    result = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: {json.dumps(item)} does not contain declared merge key: {key}")
        place = next((index for index, old in enumerate(result) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            result = [old for old in result if old.get(key) != item[key]]
        elif place is None:
            result.append(strategic_patch({}, item, schema.items))
        else:
            result[place] = strategic_patch(result[place], item, schema.items)
    return result


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Items in the order the patch asks for; those it does not name keep their place behind the one before them."""
    wanted = [entry[key] if key else entry for entry in order]
    names = [item.get(key) if key else item for item in items]
    ranks: list[tuple[int, int]] = []
    rank = -1
    for place, name in enumerate(names):
        rank = wanted.index(name) if name in wanted else rank
        ranks.append((rank, place))
    return [item for _, item in sorted(zip(ranks, items, strict=True), key=lambda pair: pair[0])]


def _plain(value: Any) -> Any:
    """A patch's value as data: without directives and nulls."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None and not key.startswith("$")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
