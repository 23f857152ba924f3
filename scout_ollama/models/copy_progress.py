"""How far a copy to many nodes is, from the lines of all of them: bytes, rate, time left, in total and per node."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scout_ollama.models.blob import Blob
from scout_ollama.progress import Progress

SAY_SECONDS = 5.0


@dataclass
class CopyProgress:
    """Hears of every node's bytes and shows them now and then. ``wanted`` are the blobs that each node misses."""

    wanted: Mapping[str, Sequence[Blob]]
    show: Callable[[Progress], None]
    clock: Callable[[], float] = time.monotonic
    _there: dict[str, dict[str, int]] = field(default_factory=dict)
    _before: int = 0  # bytes that were there when they were first heard of: nobody has copied them now
    _began: float | None = None
    _said: float = 0.0
    _hearing: threading.Lock = field(default_factory=threading.Lock)

    def begins(self, node: str, blob: str, size: int) -> None:
        """So many bytes of a blob were at a node already."""
        with self._hearing:
            there = self._there.setdefault(node, {})
            if blob not in there:
                self._before += size
            there[blob] = size
            if self._began is None:
                self._began = self._said = self.clock()

    def arrived(self, node: str, blob: str, size: int) -> None:
        """So many bytes of a blob are at a node now."""
        with self._hearing:
            self._there.setdefault(node, {})[blob] = size
            now = self.clock()
            if self._began is not None and now - self._said >= SAY_SECONDS:
                self._said = now
                self.show(self._progress(now - self._began))

    def _progress(self, seconds: float) -> Progress:
        totals = {node: sum(blob.size for blob in blobs) for node, blobs in self.wanted.items()}
        parts = {node: (sum(self._there.get(node, {}).values()), total) for node, total in totals.items()}
        done = sum(there for there, _ in parts.values())
        rate = (done - self._before) / seconds if seconds > 0 else 0.0
        return Progress("copied", done, sum(totals.values()), rate, parts)
