"""Secrets, ConfigMaps and what else only holds settings: pkg/apis/core/validation and pkg/apis/rbac/validation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from lab.standins.kube.errors import FieldError, Json, forbidden_field, invalid_value, required, too_long

Errors = Iterator[FieldError]
SECRET_LIMIT = 1024 * 1024
SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _data_keys(data: Json, path: str) -> Errors:
    for key in data:
        if not re.fullmatch(r"[-._a-zA-Z0-9]+", key) or len(key) > 253 or key in (".", "..") or key.startswith(".."):
            text = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or"
            text += " 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
            yield invalid_value(f"{path}[{key}]", key, text)


def secret(obj: Json) -> Errors:
    """Secrets: their keys, size, and the keys their type calls for."""
    data = obj.get("data") or {}
    yield from _data_keys(data, "data")
    if sum(len(value) * 3 // 4 for value in data.values()) > SECRET_LIMIT:
        yield too_long("data", SECRET_LIMIT)
    for key in SECRET_KEYS.get(obj["type"], ()):
        if key not in data:
            yield required(f"data[{key}]")


def config_map(obj: Json) -> Errors:
    """ConfigMaps: their keys and size."""
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    yield from _data_keys(data, "data")
    yield from _data_keys(binary, "binaryData")
    for key in data.keys() & binary.keys():
        yield invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData")
    if sum(map(len, data.values())) > SECRET_LIMIT:
        yield too_long("", SECRET_LIMIT)


def frozen(new: Json, old: Json) -> Errors:
    """Secrets and config maps marked immutable."""
    if old.get("immutable"):
        if not new.get("immutable"):
            yield forbidden_field("immutable", "field is immutable when `immutable` is set")
        for name in ("data", "binaryData"):
            if old.get(name) != new.get(name):
                yield forbidden_field(name, "field is immutable when `immutable` is set")


def role_change(new: Json, old: Json) -> Errors:
    """What a binding refers to stays."""
    if new["roleRef"] != old["roleRef"]:
        yield invalid_value("roleRef", new["roleRef"], "cannot change roleRef")


def claim_change(new: Json, old: Json) -> Errors:
    """A claim's spec stays, but for its size."""

    def fixed(obj: Json) -> str:
        spec = {key: value for key, value in obj["spec"].items() if key not in ("resources", "volumeName")}
        return json.dumps(spec, sort_keys=True)

    if fixed(new) != fixed(old):
        text = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden_field("spec", text)


def priority_class_change(new: Json, old: Json) -> Errors:
    """A priority's value stays."""
    if new.get("value") != old.get("value"):
        yield forbidden_field("value", "may not be changed in an update.")
