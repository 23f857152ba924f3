"""Custom kinds: their structural schemas, and CustomResourceDefinitions themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lab.standins.kube.errors import FieldError, Json, duplicate, invalid_value, required, type_invalid, unsupported
from lab.standins.kube.rules import names
from lab.standins.kube.schema import Schema

Errors = Iterator[FieldError]
_TYPES = {"list": "array", "map": "object"}


def check(value: Any, schema: Schema, path: str = "") -> Errors:
    """What in `value` its structural schema forbids (k8s.io/kube-openapi/pkg/validation, the same texts)."""
    if schema.kind == "any" or path == "metadata":
        return
    if not _fits(value, schema.kind):
        expected = _TYPES.get(schema.kind, schema.kind)
        kind = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}.get(
            type(value), "object"
        )
        yield type_invalid(path, kind, f'{path} in body must be of type {expected}: "{kind}"')
        return
    yield from _limits(value, schema.raw, path)
    if isinstance(value, dict):
        for name in schema.required:
            if name not in value:
                yield required(f"{path}.{name}".lstrip("."))
        for name, item in value.items():
            below = schema.child(name)
            if below is not None:
                yield from check(item, below, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from check(item, schema.items, f"{path}[{index}]")
        yield from _repeated(value, schema, path)


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    match kind:
        case "object" | "map":
            return isinstance(value, dict)
        case "list":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "integer":
            return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        case "number":
            return isinstance(value, int | float)
        case "int-or-string" | "quantity":
            return isinstance(value, int | str)
    return False


def _limits(value: Any, raw: Json, path: str) -> Errors:
    if "enum" in raw and value not in raw["enum"]:
        yield unsupported(path, value, [str(choice) for choice in raw["enum"]])
    if isinstance(value, str):
        if "pattern" in raw and not re.search(raw["pattern"], value):
            yield invalid_value(path, value, f"{path} in body should match '{raw['pattern']}'")
        if len(value) < raw.get("minLength", 0):
            text = f"{path} in body should be at least {raw['minLength']} chars long"
            yield invalid_value(path, value, text)
        if "maxLength" in raw and len(value) > raw["maxLength"]:
            text = f"may not be more than {raw['maxLength']} bytes"
            yield FieldError(path, "FieldValueTooLong", f"Too long: {text}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if "minimum" in raw and value < raw["minimum"]:
            text = f"{path} in body should be greater than or equal to {raw['minimum']}"
            yield invalid_value(path, value, text)
        if "maximum" in raw and value > raw["maximum"]:
            text = f"{path} in body should be less than or equal to {raw['maximum']}"
            yield invalid_value(path, value, text)
    elif isinstance(value, list):
        if len(value) < raw.get("minItems", 0):
            text = f"{path} in body should have at least {raw['minItems']} items"
            yield invalid_value(path, len(value), text)
        if "maxItems" in raw and len(value) > raw["maxItems"]:
            yield FieldError(
                path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {raw['maxItems']} items"
            )


def _repeated(value: list[Any], schema: Schema, path: str) -> Errors:
    if schema.atomic:
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        shown = {key: item.get(key) for key in schema.keys} if schema.keys and isinstance(item, dict) else item
        text = json.dumps(shown, sort_keys=True)
        if text in seen:
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(text)


def definition(obj: Json) -> Errors:
    """A CustomResourceDefinition."""
    spec = obj["spec"]
    wanted = f"{spec['names']['plural']}.{spec['group']}"
    if obj["metadata"]["name"] != wanted:
        text = 'must be spec.names.plural+"."+spec.group'
        yield invalid_value("metadata.name", obj["metadata"]["name"], text)
    yield from names.dns_subdomain(spec["group"], "spec.group")
    yield from names.dns_label(spec["names"]["plural"], "spec.names.plural")
    if spec["scope"] not in ("Cluster", "Namespaced"):
        yield unsupported("spec.scope", spec["scope"], ("Cluster", "Namespaced"))
    if sum(bool(version.get("storage")) for version in spec["versions"]) != 1:
        yield invalid_value(
            "spec.versions", spec["versions"], "must have exactly one version marked as storage version"
        )
    for index, version in enumerate(spec["versions"]):
        declared = (version.get("schema") or {}).get("openAPIV3Schema")
        path = f"spec.versions[{index}].schema.openAPIV3Schema"
        if declared is None:
            yield required(path, "schemas are required")
        elif declared.get("type") != "object":
            yield required(f"{path}.type", "must be object at the root")
        else:
            yield from _structural(declared, path)


def _structural(raw: Json, path: str) -> Errors:
    """Every node of a structural schema says its type."""
    open_type = raw.get("x-kubernetes-int-or-string") or raw.get("x-kubernetes-preserve-unknown-fields")
    if not raw.get("type") and not open_type:
        yield required(f"{path}.type", "must not be empty for specified object fields")
    if raw.get("type") == "array" and not raw.get("items"):
        yield required(f"{path}.items", "must be specified")
    for name, below in (raw.get("properties") or {}).items():
        yield from _structural(below, f"{path}.properties[{name}]")
    if isinstance(raw.get("items"), dict):
        yield from _structural(raw["items"], f"{path}.items")
    if isinstance(raw.get("additionalProperties"), dict):
        yield from _structural(raw["additionalProperties"], f"{path}.additionalProperties")
