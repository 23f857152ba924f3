"""Watches: the stream of events of a collection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lab.standins.kube.errors import Json, bad_request, forbidden_field, invalid
from lab.standins.kube.place import Place
from lab.standins.kube.selectors import Match
from lab.standins.kube.store import Change, Store

INITIAL_END = "k8s.io/initial-events-end"
PULSE_SECONDS = 5.0
BOOKMARK_SECONDS = 60.0
LONGEST_SECONDS = 3600.0


@dataclass(frozen=True)
class Options:
    """From where a watch starts, and what it wants besides changes."""

    since: int | None
    initial: bool
    end_of_initial: bool
    bookmarks: bool
    seconds: float


def options(query: dict[str, str]) -> Options:
    """A watch's options. Raises ApiError when they contradict each other."""
    version = query.get("resourceVersion", "")
    if version and not version.isdigit():
        raise bad_request(
            f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid syntax'
        )
    bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
    wants_initial = query.get("sendInitialEvents") in ("true", "1")
    if "sendInitialEvents" in query and query.get("resourceVersionMatch") != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise invalid("ListOptions", "meta.k8s.io", "", [forbidden_field("resourceVersionMatch", text)])
    initial = wants_initial or version in ("", "0")
    seconds = float(query.get("timeoutSeconds") or LONGEST_SECONDS)
    return Options(None if initial else int(version), initial, wants_initial and bookmarks, bookmarks, seconds)


def events(
    store: Store, place: Place, match: Match, wanted: Options, shown: Callable[[Json, bool], Json]
) -> Iterator[bytes]:
    """The events as lines of JSON; an empty piece now and then lets the sender notice that its client is gone.

    The watch begins before this returns. Raises ApiError 410 for a version that is too old.
    """
    collection = place.resource.collection
    with store.lock:
        watch = store.watch(collection, wanted.since)
        present = store.list(collection, place.namespace) if wanted.initial else []
        version = store.version

    def bookmark(at: int, annotations: Json | None = None) -> bytes:
        metadata: Json = {"resourceVersion": str(at), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        obj = {"kind": place.resource.kind, "apiVersion": place.resource.api_version, "metadata": metadata}
        return _line("BOOKMARK", obj)

    def stream() -> Iterator[bytes]:
        at, first, end = version, True, time.monotonic() + wanted.seconds
        next_bookmark = time.monotonic() + BOOKMARK_SECONDS
        try:
            for obj in filter(match, present):
                yield _line("ADDED", shown(obj, first))
                first = False
            if wanted.end_of_initial:
                yield bookmark(at, {INITIAL_END: "true"})
            while (left := end - time.monotonic()) > 0:
                change = watch.next(min(left, PULSE_SECONDS))
                if change is None:
                    if store.closed:
                        return
                    yield b""
                else:
                    at = change.version
                    event = _event(change, place.namespace, match)
                    if event:
                        yield _line(event[0], shown(event[1], first))
                        first = False
                if wanted.bookmarks and time.monotonic() > next_bookmark:
                    next_bookmark = time.monotonic() + BOOKMARK_SECONDS
                    yield bookmark(at)
        finally:
            watch.close()

    return stream()


def _event(change: Change, namespace: str, match: Match) -> tuple[str, Json] | None:
    """What a change is to a watcher that sees only matching objects."""
    if namespace and change.key[1] != namespace:
        return None
    before = change.old is not None and match(change.old)
    after = change.new is not None and match(change.new)
    if after:
        return ("MODIFIED" if before else "ADDED", change.last)
    return ("DELETED", change.last) if before else None


def _line(kind: str, obj: Json) -> bytes:
    return json.dumps({"type": kind, "object": obj}, separators=(",", ":")).encode() + b"\n"
