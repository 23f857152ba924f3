"""What the controllers of the stand-in for K3s know of the API, when it tells them things out of order."""

import threading
from collections.abc import Iterator

from lab.standins.k3s.objects import Object
from lab.standins.k3s.world import World
from lab.standins.k3s.writes import Patch
from lab.standins.kube.client import Event

CLAIMS = "v1/persistentvolumeclaims"
CLAIM: Object = {"metadata": {"name": "ollama", "namespace": "scout", "uid": "1", "resourceVersion": "7"}}
RELEASED: Object = {"metadata": {**CLAIM["metadata"], "resourceVersion": "8"}}


class Api:
    """An API that tells of a deletion before the write that caused it has returned."""

    def __init__(self) -> None:
        self.written = threading.Event()
        self.told = threading.Event()

    def watch(self, collection: str, stop: threading.Event) -> Iterator[Event]:
        assert (collection, stop.is_set()) == (CLAIMS, False)
        yield Event("ADDED", CLAIM)
        yield Event("SYNCED", {})
        assert self.written.wait(10)
        yield Event("DELETED", RELEASED)
        self.told.set()

    def patch(self, collection: str, target: Object, patch: Object, *, status: bool) -> Object:
        assert (collection, target, patch, status) == (CLAIMS, CLAIM, {}, False)
        self.written.set()
        assert self.told.wait(10)
        return RELEASED


def test_what_is_gone_does_not_come_back_with_the_answer_to_a_write() -> None:
    world = World(Api(), recorder=None, collections=[CLAIMS])  # type: ignore[arg-type]
    world.start()
    world.wait_synced()
    world.apply([Patch(CLAIMS, CLAIM)])
    assert world.list(CLAIMS) == []
