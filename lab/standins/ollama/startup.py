"""What `ollama serve` does to a store when it starts: repair names, delete what nothing refers to."""

from __future__ import annotations

import time

from lab.standins.ollama import golang
from lab.standins.ollama.golang import log
from lab.standins.ollama.store import DIGEST, Store, StoreError, prune_directory

PRUNE_GRACE = 3600.0
"""Seconds for which an unreferenced blob is spared, by its modification time."""


def prepare(store: Store, *, prune: bool) -> None:
    """Make blobs/, rename old-style blobs and, unless told not to, prune. Raises StoreError if the server would exit.

    One bad manifest stops all pruning; on a read-only store one empty directory below manifests/ stops the server.
    """
    for path in sorted(store.blobs().rglob("sha256:*")):
        path.rename(path.with_name(path.name.replace(":", "-", 1)))
    if not prune:
        return
    try:
        manifests = store.manifests(strict=True)
    except StoreError as error:
        message = "corrupt manifests detected, skipping prune operation.  Re-pull or delete to clear"
        log("WARN", message, error=error)
        return
    _prune_blobs(store, {digest for manifest in manifests.values() for digest in manifest.digests})
    prune_directory(store.root / "manifests")


def _prune_blobs(store: Store, used: set[str]) -> None:
    """Delete files in blobs/ that no manifest names, partial downloads too, once they are older than the grace."""
    old = removed = 0
    for path in sorted(store.blobs().iterdir()):
        if path.is_dir() or time.time() - path.lstat().st_mtime < PRUNE_GRACE:
            continue
        is_digest = bool(DIGEST.fullmatch(path.name))
        old += is_digest
        if is_digest and path.name.replace("-", ":", 1) in used:
            continue
        try:
            path.unlink()
            removed += is_digest
        except OSError as error:
            log("ERROR", "couldn't remove blob", blob=path.name, error=golang.error_text(error, "remove", path))
    log("INFO", f"total blobs: {old}")
    log("INFO", f"total unused blobs removed: {removed}")
