"""The objects: one version counter, durable in SQLite, watched through queues."""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.standins.kube.errors import Json, expired

Key = tuple[str, str, str]
"""Collection ("daemonsets.apps"), namespace ("" for cluster-wide objects), name."""
HISTORY = 2000


@dataclass(frozen=True)
class Change:
    """One write. `old` is None when the object is new, `new` is None when it is gone; `last` is what was deleted."""

    key: Key
    version: int
    old: Json | None
    new: Json | None
    last: Json


class Watch:
    """The changes of one collection from some version on, in order."""

    def __init__(self, store: Store, collection: str | None) -> None:
        self._store = store
        self.collection = collection
        self.queue: queue.SimpleQueue[Change | None] = queue.SimpleQueue()

    def next(self, timeout: float) -> Change | None:
        """The next change, waiting for it at most `timeout` seconds. None after that, or when the store closed."""
        try:
            return self.queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Stop collecting changes."""
        self._store.unwatch(self)


class Store:
    """All objects of a cluster.

    Hold `lock` around a read that a write depends on. Objects handed out are shared: never change them, build new ones.
    """

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.closed = False
        path.touch(mode=0o600)  # it holds Secrets
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS objects"
            " (collection, namespace, name, object, PRIMARY KEY (collection, namespace, name))"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS counter (version INTEGER)")
        self._objects: dict[str, dict[tuple[str, str], Json]] = {}
        for collection, namespace, name, text in self._database.execute("SELECT * FROM objects"):
            self._objects.setdefault(collection, {})[namespace, name] = json.loads(text)
        row = self._database.execute("SELECT version FROM counter").fetchone()
        if row is None:
            self._database.execute("INSERT INTO counter VALUES (1)")
        self.version: int = row[0] if row else 1
        self._oldest = self.version
        self._history: deque[Change] = deque(maxlen=HISTORY)
        self._watches: set[Watch] = set()

    def get(self, key: Key) -> Json | None:
        """The object, or None."""
        return self._objects.get(key[0], {}).get(key[1:])

    def list(self, collection: str, namespace: str = "") -> list[Json]:
        """The objects of a collection by namespace and name; of all namespaces when `namespace` is empty."""
        with self.lock:
            found = sorted(self._objects.get(collection, {}).items())
        return [obj for (space, _), obj in found if not namespace or space == namespace]

    def collections(self) -> Sequence[str]:
        """The names of collections that hold something."""
        with self.lock:
            return sorted(name for name, objects in self._objects.items() if objects)

    def put(self, key: Key, obj: Json) -> Json:
        """Writes an object under the next version and returns it as stored."""
        with self.lock:
            stored = self._versioned(obj)
            old = self.get(key)
            self._save(key, json.dumps(stored, separators=(",", ":")))
            self._objects.setdefault(key[0], {})[key[1:]] = stored
            self._tell(Change(key, self.version, old, stored, stored))
            return stored

    def delete(self, key: Key) -> Json:
        """Removes an object and returns its last state, at the version of its deletion. Raises KeyError."""
        with self.lock:
            old = self._objects[key[0]].pop(key[1:])
            last = self._versioned(old)
            self._save(key, None)
            self._tell(Change(key, self.version, old, None, last))
            return last

    def _versioned(self, obj: Json) -> Json:
        self.version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}

    def _save(self, key: Key, text: str | None) -> None:
        self._database.execute("BEGIN")
        if text is None:
            self._database.execute("DELETE FROM objects WHERE collection=? AND namespace=? AND name=?", key)
        else:
            self._database.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, text))
        self._database.execute("UPDATE counter SET version=?", (self.version,))
        self._database.execute("COMMIT")

    def _tell(self, change: Change) -> None:
        if len(self._history) == HISTORY:
            self._oldest = self._history[0].version
        self._history.append(change)
        for watch in self._watches:
            if watch.collection in (None, change.key[0]):
                watch.queue.put(change)

    def watch(self, collection: str | None = None, since: int | None = None) -> Watch:
        """Changes after version `since` (now, when None); of all collections when None.

        Raises ApiError 410 when that version is no longer known, as after a restart.
        """
        with self.lock:
            watch = Watch(self, collection)
            if since is not None:
                if since < self._oldest:
                    raise expired(since, self._oldest)
                for change in self._history:
                    if change.version > since and collection in (None, change.key[0]):
                        watch.queue.put(change)
            self._watches.add(watch)
            if self.closed:
                watch.queue.put(None)
            return watch

    def unwatch(self, watch: Watch) -> None:
        """Forget a watch."""
        with self.lock:
            self._watches.discard(watch)

    def close(self) -> None:
        """Ends all watches and closes the database."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            for watch in self._watches:
                watch.queue.put(None)
            self._database.close()

    def __iter__(self) -> Iterator[tuple[Key, Json]]:
        with self.lock:
            found = [((c, *where), obj) for c, objects in self._objects.items() for where, obj in objects.items()]
        return iter(found)
