"""Sets of fields, as managedFields records who owns what; and merging, comparing and removing by them.

A path is a tuple of the elements that FieldsV1 uses as keys: `f:name` (a field or map key), `k:{"name":"x"}` (an
element of a list by its keys), `v:"x"` (an element of a set); in messages also `i:0` (an element of any other list).
The rules are those of the library behind server-side apply, sigs.k8s.io/structured-merge-diff (typed/, fieldpath/).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lab.standins.kube.errors import Json
from lab.standins.kube.schema import KEY_DEFAULTS, Schema

Path = tuple[str, ...]
Fields = frozenset[Path]
ABSENT = object()
# Structs that Go holds by value: in an object that lacks them they are empty, not absent, so nobody "adds" them.
BY_VALUE = {"f:metadata", "f:spec", "f:status", "f:strategy", "f:updateStrategy", "f:template", "f:resources"}


class ListError(ValueError):
    """An associative list that cannot be merged: a key is missing, or twice there. `path` says where."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{describe(path)}: {why}")


def encode(fields: Iterable[Path]) -> Json:
    """The FieldsV1 object of a set."""
    members = set(fields)
    tree: Json = {}
    for path in sorted(members):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    for path in members:
        node = tree
        for step in path:
            node = node[step]
        if node:
            node["."] = {}
    return _sorted(tree)


def _sorted(tree: Json) -> Json:
    return {key: _sorted(tree[key]) for key in sorted(tree, key=lambda step: (step != ".", step))}


def decode(tree: Json) -> Fields:
    """The set a FieldsV1 object stands for."""
    return frozenset(_members(tree, ()))


def _members(tree: Json, path: Path) -> Iterator[Path]:
    if path and (not tree or "." in tree):
        yield path
    for step, below in tree.items():
        if step != ".":
            yield from _members(below, (*path, step))


def describe(path: Path) -> str:
    """A path as conflicts print it: .spec.containers[name="ollama"].image."""
    text = ""
    for step in path:
        if step.startswith("k:"):
            keys = json.loads(step[2:]).items()
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in keys) + "]"
        elif step.startswith("v:"):
            text += f"[={step[2:]}]"
        elif step.startswith("i:"):
            text += f"[{step[2:]}]"
        else:
            text += f".{step[2:]}"
    return text


def merges_as_map(value: Any, schema: Schema) -> bool:
    """Whether a value's fields have owners of their own."""
    return isinstance(value, dict) and not schema.atomic


def merges_as_list(value: Any, schema: Schema) -> bool:
    """Whether a list's items have owners of their own."""
    return isinstance(value, list) and schema.kind == "list" and not schema.atomic


def element(item: Any, schema: Schema, path: Path = (), index: int = 0) -> str:
    """What names an item of an associative list. Raises ListError when a key is missing."""
    if not schema.keys:
        return "v:" + json.dumps(item, separators=(",", ":"))
    keys: Json = {}
    for key in sorted(schema.keys):
        value = item.get(key, KEY_DEFAULTS.get(key)) if isinstance(item, dict) else None
        if value is not None:
            keys[key] = value
    if not keys:
        names = ", ".join(f'"{key}"' for key in schema.keys)
        why = f"element {index}: associative list with keys has an element that omits key field {names}"
        raise ListError(path, why + " (and doesn't have default value)")
    return "k:" + json.dumps(keys, separators=(",", ":"))


def elements(items: list[Any], schema: Schema, path: Path = ()) -> dict[str, Any]:
    """The items of an associative list by name. Raises ListError when two have the same."""
    named: dict[str, Any] = {}
    for index, item in enumerate(items):
        name = element(item, schema, path, index)
        if name in named:
            raise ListError(path, f"duplicate entries for key {describe((name,))}")
        named[name] = item
    return named


def fields_of(value: Any, schema: Schema) -> Fields:
    """Every field that `value` sets. Raises ListError for lists that cannot be merged."""
    return frozenset(_fields(value, schema, ()))


def _fields(value: Any, schema: Schema, path: Path) -> Iterator[Path]:
    if merges_as_map(value, schema):
        for name, item in value.items():
            here = (*path, f"f:{name}")
            yield from _fields(item, schema.child(name) or schema.values, here)
            if item is None or item == {} or not schema.declares(name):
                yield here
    elif merges_as_list(value, schema):
        for name, item in elements(value, schema, path).items():
            yield (*path, name)
            yield from _fields(item, schema.items, (*path, name))
    elif path:
        yield path


@dataclass
class Difference:
    """What changed between two versions of an object."""

    added: set[Path] = field(default_factory=set)
    modified: set[Path] = field(default_factory=set)
    removed: set[Path] = field(default_factory=set)


def compare(old: Any, new: Any, schema: Schema) -> Difference:
    """The fields that `new` adds, changes and lacks."""
    difference = Difference()
    _compare(old, new, schema, (), difference)
    return difference


def _compare(old: Any, new: Any, schema: Schema, path: Path, out: Difference) -> None:
    present = [value for value in (old, new) if value is not ABSENT]
    if all(merges_as_map(value, schema) for value in present) and any(present):
        for name in dict.fromkeys(name for value in present for name in value):
            before, after = (value.get(name, ABSENT) if value is not ABSENT else ABSENT for value in (old, new))
            _compare(before, after, schema.child(name) or schema.values, (*path, f"f:{name}"), out)
    elif all(merges_as_list(value, schema) for value in present) and any(present):
        olds, news = (elements(value, schema, path) if value is not ABSENT else {} for value in (old, new))
        for name in dict.fromkeys([*olds, *news]):
            _compare(olds.get(name, ABSENT), news.get(name, ABSENT), schema.items, (*path, name), out)
    else:
        if old is not ABSENT and new is not ABSENT and old != new:
            out.modified.add(path)
        _note_presence(old, new, path, out)
        return
    if not (path[-1:] and path[-1] in BY_VALUE):
        _note_presence(old, new, path, out)


def _note_presence(old: Any, new: Any, path: Path, out: Difference) -> None:
    if old is ABSENT:
        out.added.add(path)
    elif new is ABSENT:
        out.removed.add(path)


def merge(live: Any, config: Any, schema: Schema) -> Any:
    """`live` with everything that `config` sets; lists that merge keep both sides' items, in the order of `config`."""
    if merges_as_map(config, schema) and merges_as_map(live, schema):
        result = dict(live)
        for name, item in config.items():
            result[name] = merge(live[name], item, schema.child(name) or schema.values) if name in live else item
        return result
    if merges_as_list(config, schema) and merges_as_list(live, schema):
        return _merge_lists(elements(live, schema), elements(config, schema), schema)
    return config


def _merge_lists(live: dict[str, Any], config: dict[str, Any], schema: Schema) -> list[Any]:
    ours, theirs = list(config), list(live)
    merged: list[Any] = []
    done: set[str] = set()
    while ours or theirs:
        if theirs and (theirs[0] not in config or theirs[0] in done):
            name = theirs.pop(0)
            if name not in done:
                merged.append(live[name])
            continue
        name = ours.pop(0)
        merged.append(merge(live[name], config[name], schema.items) if name in live else config[name])
        done.add(name)
    return merged


def without(value: Any, schema: Schema, gone: set[Path] | Fields, path: Path = ()) -> Any:
    """`value` without the fields in `gone`, and without maps and lists that this leaves empty."""
    if merges_as_map(value, schema):
        pairs = ((name, item, (*path, f"f:{name}")) for name, item in value.items())
        kept = {
            name: (item, without(item, schema.child(name) or schema.values, gone, here))
            for name, item, here in pairs
            if here not in gone
        }
        return {name: after for name, (before, after) in kept.items() if after or not before or after == before}
    if merges_as_list(value, schema):
        named = ((item, (*path, name)) for name, item in elements(value, schema, path).items())
        return [without(item, schema.items, gone, here) for item, here in named if here not in gone]
    return value
