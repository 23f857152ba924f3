"""A blob as it is copied and verified, and blobs as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scout_ollama import sizes
from scout_ollama.store import short


@dataclass(frozen=True)
class Blob:
    """What a manifest names: a digest, ``sha256:…``, and its size in bytes."""

    digest: str
    size: int


def counted_blobs(blobs: Sequence[Blob]) -> str:
    """Return how many they are and how large together: ``3 blobs, 4.1 GB``."""
    return f"{sizes.counted(len(blobs), 'blob')}, {sizes.shown(sum(blob.size for blob in blobs))}"


def blob_lines(sign: str, blobs: Iterable[Blob]) -> list[str]:
    """Return a line for each, as a plan shows what comes (``+``) or goes (``-``)."""
    return [f"{sign} blob {short(blob.digest)} {sizes.shown(blob.size)}" for blob in blobs]
