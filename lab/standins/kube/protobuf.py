"""Secrets in Kubernetes' protobuf, which is how Helm writes its releases; no other kind is read in it.

Field numbers: k8s.io/apimachinery/pkg/runtime/generated.proto, apis/meta/v1/generated.proto, k8s.io/api/core/v1.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from lab.standins.kube.errors import Json

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_VARINT, _DELIMITED = 0, 2
_TEXTS = {1: "name", 2: "generateName", 3: "namespace", 5: "uid", 6: "resourceVersion"}
_MAPS = {11: "labels", 12: "annotations"}


def secret(body: bytes) -> Json | None:
    """The Secret in a request's body, or None when it is something else."""
    if not body.startswith(_MAGIC):
        return None
    kind, raw = "", b""
    for number, value in _fields(body[len(_MAGIC) :]):
        if number == 1:
            kind = {n: v.decode() for n, v in _fields(value)}.get(2, "")
        elif number == 2:
            raw = value
    return _secret(raw) if kind == "Secret" else None


def _secret(raw: bytes) -> Json:
    made: Json = {"apiVersion": "v1", "kind": "Secret", "metadata": {}, "data": {}}
    for number, value in _fields(raw):
        match number:
            case 1:
                made["metadata"] = _metadata(value)
            case 2:
                key, data = _entry(value)
                made["data"][key] = base64.b64encode(data).decode()
            case 3:
                made["type"] = value.decode()
    return made


def _metadata(raw: bytes) -> Json:
    made: Json = {}
    for number, value in _fields(raw):
        if number in _TEXTS and value:
            made[_TEXTS[number]] = value.decode()
        elif number in _MAPS:
            key, text = _entry(value)
            made.setdefault(_MAPS[number], {})[key] = text.decode()
    return made


def _entry(raw: bytes) -> tuple[str, bytes]:
    """One entry of a map."""
    fields = dict(_fields(raw))
    return fields.get(1, b"").decode(), fields.get(2, b"")


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a message; numbers are passed over. Raises ValueError for any other wire type."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        if key & 7 == _VARINT:
            _, at = _varint(raw, at)
        elif key & 7 == _DELIMITED:
            length, at = _varint(raw, at)
            yield key >> 3, raw[at : at + length]
            at += length
        else:
            raise ValueError(f"wire type {key & 7} is not supported by this stand-in")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place, and the place after it. Raises ValueError when the message ends in it."""
    value = shift = 0
    for index in range(at, len(raw)):
        value |= (raw[index] & 0x7F) << shift
        if raw[index] < 0x80:
            return value, index + 1
        shift += 7
    raise ValueError("unexpected EOF")
