"""GGUF, the file format of weights: a header with metadata and a table of tensors, then the tensors' data.

Version 3, little endian. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
ALIGNMENT = 32
_MAX_STRING = 1 << 24
_MAX_DIMENSIONS = 4
_MAX_ENTRIES = 1 << 20


class Kind(IntEnum):
    """The type of a metadata value."""

    UINT8, INT8, UINT16, INT16, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY, UINT64, INT64, FLOAT64 = range(13)


_FORMATS = {
    Kind.UINT8: "<B",
    Kind.INT8: "<b",
    Kind.UINT16: "<H",
    Kind.INT16: "<h",
    Kind.UINT32: "<I",
    Kind.INT32: "<i",
    Kind.FLOAT32: "<f",
    Kind.BOOL: "<?",
    Kind.UINT64: "<Q",
    Kind.INT64: "<q",
    Kind.FLOAT64: "<d",
}

F32, F16 = 0, 1
"""Numbers of the tensor types that `encode` is used with."""

# Tensor type -> (name, elements in a block, bytes of a block); the quantised types that published models use.
_TENSOR_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    6: ("Q5_0", 32, 22),
    8: ("Q8_0", 32, 34),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    30: ("BF16", 1, 2),
    39: ("MXFP4", 32, 17),
}
# All-F32 files have type 0, which Ollama cannot tell from a missing one.
_FILE_TYPES = {1: "F16", 2: "Q4_0", 7: "Q8_0", 15: "Q4_K_M", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16"}


class BadFile(Exception):
    """The file is not a GGUF file that can be read."""


@dataclass(frozen=True)
class Tensor:
    """One row of the tensor table."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    """Bytes from the start of the data section."""
    size: int
    """Bytes of data."""


@dataclass(frozen=True)
class Header:
    """What a GGUF file says about itself."""

    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...]
    data_offset: int
    """Where the data section starts, in bytes."""

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", "unknown"))

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def file_type(self) -> str:
        return _FILE_TYPES.get(self.metadata.get("general.file_type", -1), "unknown")

    @property
    def file_size(self) -> int:
        """How long the file must be to hold all its tensors, in bytes."""
        return self.data_offset + max((tensor.offset + tensor.size for tensor in self.tensors), default=0)

    def of_architecture(self, key: str, default: int = 0) -> int:
        """A number such as `context_length`, which is stored under the architecture's name."""
        return int(self.metadata.get(f"{self.architecture}.{key}", default))


def read_header(path: Path) -> Header:
    """The header of a GGUF file.

    Raises BadFile if it is not one or ends before its last tensor, OSError if it cannot be read. Damage inside the
    tensors' data goes unnoticed, as with the real server. A file is parsed once until it changes.
    """
    found = path.stat()
    return _header(path, found.st_ino, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=16)
def _header(path: Path, *_version: int) -> Header:
    with path.open("rb") as file:
        if _take(file, 4) != MAGIC:
            raise BadFile("invalid file magic")
        version, tensor_count, metadata_count = struct.unpack("<IQQ", _take(file, 20))
        if version not in (2, 3):
            raise BadFile(f"unsupported GGUF version {version}")
        if max(tensor_count, metadata_count) > _MAX_ENTRIES:
            raise BadFile("header counts out of range")
        metadata = {_string(file): _value(file) for _ in range(metadata_count)}
        tensors = tuple(_tensor(file) for _ in range(tensor_count))
        alignment = int(metadata.get("general.alignment", ALIGNMENT)) or ALIGNMENT
        header = Header(metadata, tensors, file.tell() + -file.tell() % alignment)
        size = file.seek(0, os.SEEK_END)
    for tensor in tensors:
        end = header.data_offset + tensor.offset + tensor.size
        if end > size:
            raise BadFile(f'tensor "{tensor.name}" offset+size ({end}) exceeds file size ({size})')
    return header


def opens(path: Path) -> bool:
    """Whether the real server's quick look accepts the file: it checks little more than that 24 bytes are there."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError:
        return False
    return len(head) == 24 and head[:4] != b"gguf" and int.from_bytes(head[4:8], "little") >= 2


def encode(
    metadata: Mapping[str, tuple[Kind, Any]], tensors: Iterable[tuple[str, tuple[int, ...], int, bytes]]
) -> bytes:
    """A GGUF file. Tensors: (name, shape with the fastest dimension first, type number such as F16, data)."""
    rows = list(tensors)
    table, data = bytearray(), bytearray()
    for name, shape, number, content in rows:
        table += _pack_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, number, len(data))
        data += content + bytes(-len(content) % ALIGNMENT)
    header = bytearray(MAGIC + struct.pack("<IQQ", 3, len(rows), len(metadata)))
    for key, (kind, value) in metadata.items():
        header += _pack_string(key) + struct.pack("<I", kind) + _pack_value(kind, value)
    header += table
    return bytes(header + bytes(-len(header) % ALIGNMENT) + data)


def _take(file: BinaryIO, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise BadFile("unexpected EOF")
    return content


def _string(file: BinaryIO) -> str:
    (length,) = struct.unpack("<Q", _take(file, 8))
    if length > _MAX_STRING:
        raise BadFile("string length out of range")
    return _take(file, length).decode(errors="replace")


def _value(file: BinaryIO) -> Any:
    return _value_of(file, _kind(file))


def _kind(file: BinaryIO) -> Kind:
    (number,) = struct.unpack("<I", _take(file, 4))
    try:
        return Kind(number)
    except ValueError as error:
        raise BadFile(f"unknown value type {number}") from error


def _value_of(file: BinaryIO, kind: Kind) -> Any:
    if kind is Kind.STRING:
        return _string(file)
    if kind is Kind.ARRAY:
        element = _kind(file)
        (length,) = struct.unpack("<Q", _take(file, 8))
        if element in (Kind.STRING, Kind.ARRAY):
            return [_value_of(file, element) for _ in range(length)]
        return _numbers(file, element, length)
    form = _FORMATS[kind]
    value = struct.unpack(form, _take(file, struct.calcsize(form)))[0]
    return _shortest(value) if kind is Kind.FLOAT32 else value


def _numbers(file: BinaryIO, kind: Kind, length: int) -> list[Any]:
    if length > _MAX_ENTRIES:
        raise BadFile("array length out of range")
    form = f"<{length}{_FORMATS[kind][1:]}"
    return list(struct.unpack(form, _take(file, struct.calcsize(form))))


def _shortest(value: float) -> float:
    """The number with the fewest digits that is the same in 32 bits: 1e-05, not 9.999999747378752e-06."""
    candidates = (float(f"{value:.{digits}g}") for digits in range(6, 9))
    return next((number for number in candidates if struct.pack("<f", number) == struct.pack("<f", value)), value)


def _tensor(file: BinaryIO) -> Tensor:
    name = _string(file)
    (dimensions,) = struct.unpack("<I", _take(file, 4))
    if dimensions > _MAX_DIMENSIONS:
        raise BadFile("too many dimensions")
    shape = struct.unpack(f"<{dimensions}Q", _take(file, 8 * dimensions))
    number, offset = struct.unpack("<IQ", _take(file, 12))
    type_name, block, size = _TENSOR_TYPES.get(number, (f"type {number}", 1, 0))
    return Tensor(name, shape, type_name, offset, math.prod(shape) // block * size)


def _pack_string(text: str) -> bytes:
    content = text.encode()
    return struct.pack("<Q", len(content)) + content


def _pack_value(kind: Kind, value: Any) -> bytes:
    if kind is Kind.ARRAY:
        element, items = value
        packed = b"".join(_pack_value(element, item) for item in items)
        return struct.pack("<IQ", element, len(items)) + packed
    return _pack_string(value) if kind is Kind.STRING else struct.pack(_FORMATS[kind], value)
