"""A blob as it is copied and verified."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Blob:
    """What a manifest names: a digest, ``sha256:…``, and its size in bytes."""

    digest: str
    size: int
