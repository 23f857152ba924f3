"""Schemas as the API machinery needs them: which fields an object has, of what type, and how lists and maps merge.

Built-in kinds come from the published definitions that kubernetes-validate carries; custom ones from their
CustomResourceDefinition. Nodes are made when first asked for, so a server loads only what its objects use.
"""

from __future__ import annotations

import importlib.util
import json
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lab.standins.kube.errors import Json

PUBLISHED = "v1.36.0-local"
PREFIX = "#/$defs/"
SCALARS = ("string", "integer", "number", "boolean", "int-or-string", "quantity")
# Go types with an encoding of their own: the definitions describe their JSON, not their rules.
SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
}
# `default:` of list-map keys, which the converted definitions lack (api/openapi-spec/swagger.json has them).
KEY_DEFAULTS = {"protocol": "TCP"}


class Schema:
    """One node: an object, map, list or scalar type."""

    def __init__(self, raw: Json, definitions: Json) -> None:
        reference = str(raw.get("$ref", "")).rsplit("/", 1)[-1]
        if reference:
            raw = {**definitions[reference], **{key: value for key, value in raw.items() if key != "$ref"}}
        self.reference: str = reference
        self.raw = raw
        self._definitions = definitions
        self._fields: dict[str, Schema] = {}
        self.kind: str = SPECIAL.get(reference) or _kind(raw)

    @property
    def go_name(self) -> str:
        """The last part of the definition's name: the name of the Go struct, e.g. DaemonSetSpec."""
        return self.reference.rsplit(".", 1)[-1]

    def declares(self, name: str) -> bool:
        """Whether `name` is a field of this struct, as opposed to a key of a map or an unknown field."""
        return name in (self.raw.get("properties") or ())

    def child(self, name: str) -> Schema | None:
        """The type of field or key `name`; None when such a field does not exist."""
        known = self._fields.get(name)
        if known is None:
            raw = self.raw.get("properties", {}).get(name)
            if raw is None and self.open:
                return self.values
            if raw is None:
                return None
            known = self._fields[name] = Schema(raw, self._definitions)
        return known

    @cached_property
    def open(self) -> bool:
        """Whether keys beyond the declared fields are kept."""
        return (
            self.kind in ("map", "any")
            or bool(self.raw.get("x-kubernetes-preserve-unknown-fields"))
            or bool(self.raw.get("x-kubernetes-embedded-resource"))
        )

    @cached_property
    def values(self) -> Schema:
        """The type of a map's values."""
        raw = self.raw.get("additionalProperties")
        return Schema(raw, self._definitions) if isinstance(raw, dict) else ANY

    @cached_property
    def items(self) -> Schema:
        """The type of a list's elements."""
        raw = self.raw.get("items")
        return Schema(raw, self._definitions) if isinstance(raw, dict) else ANY

    @cached_property
    def required(self) -> tuple[str, ...]:
        return tuple(self.raw.get("required", ()))

    @cached_property
    def atomic(self) -> bool:
        """Whether the whole value has one owner and is replaced as one."""
        if self.kind == "list":
            return bool(self.raw.get("x-kubernetes-list-type", "atomic") == "atomic")
        return self.kind in SCALARS or bool(self.raw.get("x-kubernetes-map-type") == "atomic")

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What names an element of a list of objects that merge; () for sets and atomic lists."""
        return tuple(self.raw.get("x-kubernetes-list-map-keys", ()))

    @cached_property
    def merge_key(self) -> str:
        """Strategic merge's key, which is not always one of `keys` (ports: containerPort alone)."""
        return str(self.raw.get("x-kubernetes-patch-merge-key", ""))

    @cached_property
    def strategies(self) -> tuple[str, ...]:
        """Strategic merge's strategies: merge, replace, retainKeys."""
        return tuple(str(self.raw.get("x-kubernetes-patch-strategy", "")).split(","))


def _kind(raw: Json) -> str:
    if raw.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    kind = raw.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), None)
    if kind == "array":
        return "list"
    if kind == "object" or (kind is None and "properties" in raw):
        if "properties" in raw:
            return "object"
        return "map" if isinstance(raw.get("additionalProperties"), dict) else "any"
    return str(kind) if kind in SCALARS else "any"


ANY = Schema({}, {})


def published_path() -> Path:
    """The file of published definitions; importing kubernetes_validate would load jsonschema, which is not needed."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("kubernetes-validate is not installed: the published schemas come with it")
    return Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema" / PUBLISHED / "_definitions.json"


@cache
def published() -> Json:
    """The published definitions by name, without descriptions."""

    def shorter(pairs: list[tuple[str, Any]]) -> Json:
        return {key: value for key, value in pairs if not (key == "description" and isinstance(value, str))}

    definitions: Json = json.loads(published_path().read_bytes(), object_pairs_hook=shorter)["$defs"]
    return definitions


@cache
def builtin(group: str, version: str, kind: str) -> Schema:
    """The schema of a built-in kind. Raises KeyError when none is published."""
    wanted = {"group": group, "version": version, "kind": kind}
    for name, raw in published().items():
        if wanted in raw.get("x-kubernetes-group-version-kind", ()) and name.endswith(f".{version}.{kind}"):
            return Schema({"$ref": PREFIX + name}, published())
    raise KeyError(f"{group}/{version} {kind}")


def object_meta() -> Schema:
    """The schema of every object's metadata."""
    return Schema({"$ref": PREFIX + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}, published())
