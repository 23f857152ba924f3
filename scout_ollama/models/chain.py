"""Whom a node follows: the nodes stand in a row behind the source, and each follows the nearest one before it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

SOURCE = ""
"""Stands for the source where a node's name stands otherwise."""


@dataclass
class Chain:
    """A row of nodes, which their threads share. ``direct``: everybody follows the source.

    A node can be followed once it is open, until it is gone. It is passed by a follower that had trouble with it.
    """

    row: Sequence[str]
    direct: bool = False
    _open: set[str] = field(default_factory=set)
    _passed: dict[str, set[str]] = field(default_factory=dict)
    _arrived: dict[tuple[str, str], int] = field(default_factory=dict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def opened(self, node: str) -> None:
        """From now on the node can be followed."""
        with self._changing:
            self._open.add(node)

    def gone(self, node: str) -> None:
        """From now on the node cannot be followed: nothing arrives there any more."""
        with self._changing:
            self._open.discard(node)

    def upstream_of(self, node: str) -> str:
        """Return whom a node follows now; SOURCE if no node before it is left."""
        if self.direct:
            return SOURCE
        with self._changing:
            passed = self._passed.get(node, set())
            before = self.row[: self.row.index(node)]
            return next((name for name in reversed(before) if name in self._open and name not in passed), SOURCE)

    def arrived(self, node: str, blob: str, size: int) -> None:
        """So many bytes of a blob have arrived at a node."""
        with self._changing:
            self._arrived[node, blob] = size

    def goes_on(self, node: str, upstream: str, blob: str) -> bool:
        """Whether a follower that got no more bytes shall go on to another upstream; the present one is then passed.

        Not while the upstream itself has no more than its follower has: somebody before it is to blame, and were each
        follower to leave its upstream then, all would end at the source.
        """
        with self._changing:
            if upstream != SOURCE and upstream in self._open and not self._is_ahead(upstream, node, blob):
                return False
        self.passes(node, upstream)
        return True

    def passes(self, node: str, upstream: str) -> None:
        """A follower has had trouble with an upstream, and does not follow it again."""
        with self._changing:
            self._passed.setdefault(node, set()).add(upstream)

    def passes_all(self, node: str) -> None:
        """From now on a follower trusts nobody but the source."""
        with self._changing:
            self._passed.setdefault(node, set()).update(self.row)

    def _is_ahead(self, upstream: str, node: str, blob: str) -> bool:
        return self._arrived.get((upstream, blob), 0) > self._arrived.get((node, blob), 0)
