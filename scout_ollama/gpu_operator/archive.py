"""A .tgz unpacked in memory: bounded, nothing written to disk, refused where two readers could read it differently."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath

MAX_UNPACKED = 16 * 2**20
"""Bytes of the tar archive; NVIDIA's charts have less than 2 MiB."""
MAX_MEMBERS = 2000

# What tarfile raises for headers that make no sense, beside its own errors.
_NONSENSE = (tarfile.TarError, ValueError, ArithmeticError, LookupError, EOFError, OSError, RecursionError)


class ArchiveError(Exception):
    """Why a file is not taken for an archive, as what follows its name: ``is cut short``."""


def unpacked(packed: bytes) -> dict[str, bytes]:
    """Return the files of a gzipped tar archive by their paths.

    Raises:
        ArchiveError: it is damaged, larger than ``MAX_UNPACKED``, or holds anything but plain files, each once, below
            the directory that it is unpacked in.
    """
    raw = _gunzipped(packed)
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            return _files(archive)
    except _NONSENSE:
        raise ArchiveError("is not a tar archive, or is damaged") from None


def _gunzipped(packed: bytes) -> bytes:
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        raw = stream.decompress(packed, MAX_UNPACKED)
    except zlib.error:
        raise ArchiveError("is not compressed by gzip, or is damaged") from None
    if stream.unconsumed_tail or (len(raw) == MAX_UNPACKED and not stream.eof):
        raise ArchiveError(f"is larger than {MAX_UNPACKED // 2**20} MiB when it is unpacked")
    if not stream.eof:
        raise ArchiveError("is cut short")
    if stream.unused_data:
        raise ArchiveError("has something after its end")
    return raw


def _files(archive: tarfile.TarFile) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for member in _members(archive):
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts:
            raise ArchiveError(f"names a file outside of it: {member.name!r}")
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            raise ArchiveError(f"has a link, a device or a hole where a plain file is expected: {member.name!r}")
        if str(path) in files:
            raise ArchiveError(f"has {str(path)!r} twice")
        content = archive.extractfile(member)
        files[str(path)] = content.read() if content else b""
    return files


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(archive):
        if number == MAX_MEMBERS:
            raise ArchiveError(f"has more than {MAX_MEMBERS} files")
        yield member
