"""Reading a request's object as the typed API does: unknown fields found, wrong types refused, nulls dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.standins.kube import quantity
from lab.standins.kube.errors import Json
from lab.standins.kube.schema import Schema

Path = tuple[str | int, ...]
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_GO_TYPES = {"string": "string", "boolean": "bool", "number": "float64"}


@dataclass(frozen=True)
class WrongType:
    """A value that its field's type cannot hold."""

    path: Path
    struct: str
    value: Any
    schema: Schema
    detail: str = ""

    @property
    def go_text(self) -> str:
        """What Go's JSON decoder says of it."""
        if self.detail:
            return self.detail
        place = ".".join(step for step in self.path if isinstance(step, str))
        into = _go_type(self.schema)
        return (
            f"json: cannot unmarshal {_json_type(self.value)} into Go struct field {self.struct}.{place} of type {into}"
        )

    @property
    def merge_text(self) -> str:
        """What structured-merge-diff says of it, without the path."""
        expected = {"integer": "numeric (int or float)", "number": "numeric (int or float)", "object": "map"}
        kind = expected.get(self.schema.kind, self.schema.kind)
        got = _go_kind(self.value) if "numeric" in kind else "&{" + str(self.value) + "}"
        return f"expected {kind}, got {got}"


@dataclass
class Decoded:
    """An object as the API understood it."""

    value: Any = None
    unknown: list[Path] = field(default_factory=list)
    wrong: list[WrongType] = field(default_factory=list)


def decode(value: Any, schema: Schema, *, keep_unknown: bool = False) -> Decoded:
    """Reads `value` as `schema`.

    Unknown fields are listed and dropped (`keep_unknown` keeps them, as apply needs to complain about them itself),
    nulls dropped, quantities made canonical; values of a wrong type are listed and left as they are.
    """
    found = Decoded()
    found.value = _Walk(found, keep_unknown).read(value, schema, (), "")
    return found


@dataclass
class _Walk:
    found: Decoded
    keep_unknown: bool

    def read(self, value: Any, schema: Schema, path: Path, struct: str) -> Any:
        detail = ""
        match schema.kind:
            case "any":
                return value
            case "object" | "map" if isinstance(value, dict):
                return self._mapping(value, schema, path)
            case "list" if isinstance(value, list):
                return [self.read(item, schema.items, (*path, index), struct) for index, item in enumerate(value)]
            case "quantity" if isinstance(value, str | int | float) and not isinstance(value, bool):
                try:
                    return quantity.canonical(value)
                except ValueError as error:
                    detail = str(error)
            case kind if _holds(kind, value):
                detail = _malformed(value, schema)
                if not detail:
                    return value
        self.found.wrong.append(WrongType(path, struct, value, schema, detail))
        return value

    def _mapping(self, value: Json, schema: Schema, path: Path) -> Json:
        result: Json = {}
        for name, item in value.items():
            kind = schema.child(name)
            if kind is None:
                self.found.unknown.append((*path, name))
                if self.keep_unknown:
                    result[name] = item
            elif item is not None:
                result[name] = self.read(item, kind, (*path, name), schema.go_name or (str(path[-1]) if path else ""))
        return result


def _holds(kind: str, value: Any) -> bool:
    match value:
        case bool():
            return kind == "boolean"
        case str():
            return kind in ("string", "int-or-string")
        case int():
            return kind in ("integer", "number", "int-or-string")
        case float():
            return kind == "number" or (kind == "integer" and value.is_integer())
    return False


def _malformed(value: Any, schema: Schema) -> str:
    """Go's complaint about text that is not in its field's format; "" when it is."""
    form = schema.raw.get("format")
    if form == "date-time" and not _TIME.fullmatch(value):
        return f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
    if form == "byte":
        compact = value.replace("\n", "").replace("\r", "")
        good = re.match(r"[A-Za-z0-9+/]*={0,2}", compact)
        end = good.end() if good else 0
        if end < len(compact) or len(compact) % 4:
            return f"illegal base64 data at input byte {end if end < len(compact) else len(compact) // 4 * 4}"
    return ""


def _json_type(value: Any) -> str:
    names = {bool: "bool", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _go_kind(value: Any) -> str:
    names = {bool: "bool", str: "string", list: "[]interface {}", dict: "map[string]interface {}"}
    return names.get(type(value), "int64")


def _go_type(schema: Schema) -> str:
    if schema.kind == "integer":
        return str(schema.raw.get("format", "int64"))
    if schema.kind in _GO_TYPES:
        return _GO_TYPES[schema.kind]
    if schema.kind == "list":
        return "[]" + _go_type(schema.items)
    if schema.kind == "map":
        return "map[string]" + _go_type(schema.values)
    package = schema.reference.split(".")[-2:]
    return ".".join(package)


def missing(value: Any, schema: Schema, path: str = "") -> Iterator[str]:
    """The paths of required fields that are absent or empty.

    Numbers and booleans are left out: Go reads an absent one as zero. So is `value`, which may be empty text.
    """
    if isinstance(value, dict):
        for name in schema.required:
            kind = schema.child(name)
            if kind is None or kind.kind in ("integer", "number", "boolean") or name == "value":
                continue
            if name not in value or (value[name] in (None, "") and kind.kind != "object"):
                yield f"{path}.{name}".lstrip(".")
        for name, item in value.items():
            kind = schema.child(name)
            if kind is not None:
                yield from missing(
                    item, kind, f"{path}[{name}]" if schema.kind == "map" else f"{path}.{name}".lstrip(".")
                )
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from missing(item, schema.items, f"{path}[{index}]")


def shown(path: Path) -> str:
    """A path as field errors write it: spec.containers[0].image."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.lstrip(".")
