"""A local copy of parts of the API, kept by watches, and the writes of controllers."""

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus

from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.events import Recorder
from lab.standins.k3s.journal import log
from lab.standins.k3s.objects import Object, name_of, namespace_of, uid_of
from lab.standins.k3s.writes import Apply, Bind, Create, Delete, Emit, Patch, Write

Key = tuple[str, str]


class World:
    """Collections by name, each kept current by a thread of its own that sleeps until the API tells of a change.

    What a write returns is taken over at once, so that whoever decides next does not see the world before it.
    """

    def __init__(self, api: Api, recorder: Recorder, collections: Iterable[str], *, quiet: Iterable[str] = ()) -> None:
        """`quiet` are collections whose changes wake nobody."""
        self._api = api
        self._recorder = recorder
        self._quiet = set(quiet)
        self._objects: dict[str, dict[Key, Object]] = {c: {} for c in (*collections, *self._quiet)}
        self._gone: set[str] = set()  # a deletion may be told before the write that led to it has returned
        self._synced = {c: threading.Event() for c in self._objects}
        self._changed = threading.Condition()
        self._changes = 0
        self._stop = threading.Event()

    def start(self) -> None:
        for collection in self._objects:
            threading.Thread(target=self._follow, args=(collection,), name=f"watch {collection}", daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._stop.set()
            self._changed.notify_all()

    def wait_synced(self) -> None:
        """Wait until every collection is complete."""
        for event in self._synced.values():
            event.wait()

    def list(self, collection: str) -> list[Object]:
        with self._changed:
            return list(self._objects[collection].values())

    def get(self, collection: str, namespace: str, name: str) -> Object | None:
        with self._changed:
            return self._objects[collection].get((namespace, name))

    @property
    def changes(self) -> int:
        """How many changes there were; what `wait` compares."""
        return self._changes

    def wait(self, seen: int, timeout: float) -> bool:
        """Sleep until there was a change after `seen`, or for `timeout` seconds. False when the world has stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stop.is_set() or self._changes != seen, timeout)
            return not self._stop.is_set()

    def apply(self, writes: Iterable[Write]) -> None:
        """Do the writes. One that the API refuses is logged, and told by an event when a pod cannot be created."""
        for write in writes:
            try:
                self._apply(write)
            except ApiError as error:
                self._refused(write, error)

    def _apply(self, write: Write) -> None:
        match write:
            case Create(collection, obj):
                self._take(collection, self._api.create(collection, obj))
            case Apply(collection, obj):
                self._take(collection, self._api.apply(collection, obj))
            case Patch(collection, target, patch, status):
                self._take(collection, self._api.patch(collection, target, patch, status=status))
            case Delete(collection, target, grace):
                left = self._api.delete(collection, target, grace)
                self._take(collection, left) if left else self._bury(collection, target)
            case Bind(pod, node):
                self._api.bind(pod, node)
                message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
                self._recorder.emit(pod, "Scheduled", message, "default-scheduler")
                self._take("v1/pods", {**pod, "spec": {**pod["spec"], "nodeName": node}}, same_version=True)
            case Emit(about, reason, message, source, warning):
                self._recorder.emit(about, reason, message, source, warning=warning)

    def _refused(self, write: Write, error: ApiError) -> None:
        if isinstance(write, Create) and write.collection == "v1/pods":
            self._cannot_create(write.obj, error)
        elif error.code not in (
            HTTPStatus.NOT_FOUND,
            HTTPStatus.CONFLICT,
        ):  # somebody else was first: the next round sees it
            log("warning", f"{type(write).__name__} refused: {error}")

    def _cannot_create(self, pod: Object, error: ApiError) -> None:
        reference = pod["metadata"]["ownerReferences"][0]
        owner = {
            "apiVersion": reference["apiVersion"],
            "kind": reference["kind"],
            "metadata": {**reference, "namespace": namespace_of(pod)},
        }
        source = f"{reference['kind'].lower()}-controller"
        self._recorder.emit(owner, "FailedCreate", f"Error creating: {error}", source, warning=True)

    def _follow(self, collection: str) -> None:
        for event in self._api.watch(collection, self._stop):
            if event.type == "SYNCED":
                self._synchronise(collection)
            elif event.type == "DELETED":
                self._bury(collection, event.object)
            else:
                self._take(collection, event.object)

    def _synchronise(self, collection: str) -> None:
        """The first time everything is there; after a watch began anew, what it did not tell of again is gone."""
        if self._synced[collection].is_set():
            present = {uid_of(o) for o in self._api.list(collection)}
            for obj in self.list(collection):
                if uid_of(obj) not in present:
                    self._drop(collection, obj)
        self._synced[collection].set()
        with self._changed:
            self._tell()

    def _take(self, collection: str, obj: Object, *, same_version: bool = False) -> None:
        with self._changed:
            objects = self._objects.get(collection)
            if objects is None or uid_of(obj) in self._gone:
                return
            current = objects.get(_key(obj))
            if (
                current is not None
                and uid_of(current) == uid_of(obj)
                and _is_older(obj, current, or_same=not same_version)
            ):
                return
            objects[_key(obj)] = obj
            if collection not in self._quiet:
                self._tell()

    def _bury(self, collection: str, obj: Object) -> None:
        """Drop what the API says is deleted, for good."""
        with self._changed:
            self._gone.add(uid_of(obj))
            self._drop(collection, obj)

    def _drop(self, collection: str, obj: Object) -> None:
        with self._changed:
            objects = self._objects.get(collection)
            if objects is None:
                return
            current = objects.get(_key(obj))
            if current is not None and uid_of(current) == uid_of(obj):
                del objects[_key(obj)]
                self._tell()

    def _tell(self) -> None:
        self._changes += 1
        self._changed.notify_all()


def _key(obj: Object) -> Key:
    return namespace_of(obj), name_of(obj)


def _is_older(obj: Object, than: Object, *, or_same: bool) -> bool:
    return _version(obj) < _version(than) or (or_same and _version(obj) == _version(than))


def _version(obj: Object) -> int:
    return int(obj["metadata"].get("resourceVersion", "0"))


def run_until_stopped(world: World, round_: Callable[[], None], period: float) -> None:
    """Call `round_` after every change and at least every `period` seconds."""
    seen = -1
    while world.wait(seen, period):
        seen = world.changes
        round_()
