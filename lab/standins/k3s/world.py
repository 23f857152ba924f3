"""A local copy of parts of the API, kept by watches, and the writes of controllers."""

import threading
import time
from collections.abc import Callable, Iterable

from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.events import Recorder
from lab.standins.k3s.journal import log
from lab.standins.k3s.objects import Object, name_of, namespace_of, uid_of
from lab.standins.k3s.writes import Bind, Create, Delete, Emit, Patch, Write

Key = tuple[str, str]
RETRY_SECONDS = 1.0


class World:
    """Collections by name, each kept current by a thread of its own that sleeps until the API tells of a change.

    What a write returns is taken over at once, so that whoever decides next does not see the world before it.
    """

    def __init__(self, api: Api, recorder: Recorder, collections: Iterable[str]) -> None:
        self._api = api
        self._recorder = recorder
        self._objects: dict[str, dict[Key, Object]] = {c: {} for c in collections}
        self._synced = {c: threading.Event() for c in self._objects}
        self._changed = threading.Condition()
        self._changes = 0
        self._stopped = False

    def start(self) -> None:
        for collection in self._objects:
            threading.Thread(target=self._follow, args=(collection,), name=f"watch {collection}", daemon=True).start()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def wait_synced(self, timeout: float) -> bool:
        """Wait until every collection was listed once."""
        deadline = time.monotonic() + timeout
        return all(event.wait(max(deadline - time.monotonic(), 0)) for event in self._synced.values())

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
            self._changed.wait_for(lambda: self._stopped or self._changes != seen, timeout)
            return not self._stopped

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
            case Patch(collection, target, patch, subresource):
                made = self._api.patch(collection, namespace_of(target), name_of(target), patch, subresource)
                self._take(collection, made)
            case Delete(collection, target, grace):
                left = self._api.delete(collection, namespace_of(target), name_of(target), uid_of(target), grace)
                self._take(collection, left) if left else self._drop(collection, target)
            case Bind(pod, node):
                self._api.bind(pod, node)
                message = f"Successfully assigned {namespace_of(pod)}/{name_of(pod)} to {node}"
                self._recorder.emit(pod, "Scheduled", message, "default-scheduler")
                self._take("pods", {**pod, "spec": {**pod["spec"], "nodeName": node}}, same_version=True)
            case Emit(about, reason, message, source, warning):
                self._recorder.emit(about, reason, message, source, warning=warning)

    def _refused(self, write: Write, error: ApiError) -> None:
        if isinstance(write, Create) and write.collection == "pods":
            self._cannot_create(write.obj, error)
        elif error.code not in (404, 409):  # somebody else was first: the next round sees it
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
        while not self._stopped:
            try:
                objects, version = self._api.list(collection)
                self._replace(collection, objects)
                self._synced[collection].set()
                for kind, obj in self._api.watch(collection, version):
                    if kind == "DELETED":
                        self._drop(collection, obj)
                    else:
                        self._take(collection, obj)
            except (ApiError, OSError) as error:
                log("debug", f"watch of {collection}: {error}")
                time.sleep(RETRY_SECONDS)

    def _replace(self, collection: str, objects: list[Object]) -> None:
        with self._changed:
            self._objects[collection] = {_key(o): o for o in objects}
            self._tell()

    def _take(self, collection: str, obj: Object, *, same_version: bool = False) -> None:
        with self._changed:
            objects = self._objects.get(collection)
            if objects is None:
                return
            current = objects.get(_key(obj))
            if current is not None and uid_of(current) == uid_of(obj):
                if _version(current) > _version(obj) or (_version(current) == _version(obj) and not same_version):
                    return
            objects[_key(obj)] = obj
            self._tell()

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


def _version(obj: Object) -> int:
    return int(obj["metadata"].get("resourceVersion", "0"))


def run_until_stopped(world: World, round_: Callable[[], None], period: float) -> None:
    """Call `round_` after every change and at least every `period` seconds."""
    seen = -1
    while world.wait(seen, period):
        seen = world.changes
        round_()
