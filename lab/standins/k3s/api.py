"""The cluster's API as the parts of a node use it."""

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from lab.standins.k3s.objects import Object, name_of, namespace_of, uid_of
from lab.standins.kube.client import Client, Event, Failure

ApiError = Failure

# A server that lost its power never says goodbye: an idle watch notices it after 11 seconds.
KEEPALIVE = {socket.TCP_KEEPIDLE: 5, socket.TCP_KEEPINTVL: 2, socket.TCP_KEEPCNT: 3}


class _KeptAliveClient(Client):
    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        connection = super()._connect(timeout)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return connection


class Api:
    """Reads and writes by collection ("v1/pods"), namespace and name.

    Every failure is an ApiError, with code 0 when nobody answered.
    """

    def __init__(self, url: str, token: str, ca: Path, manager: str) -> None:
        self._client = _KeptAliveClient(url, token, ca, manager)

    def get(self, collection: str, namespace: str, name: str) -> Object | None:
        """The object, or None when there is none."""
        return self._client.find(collection, name, namespace=namespace)

    def list(self, collection: str) -> list[Object]:
        return self._client.list(collection).items

    def watch(self, collection: str, stop: threading.Event) -> Iterator[Event]:
        """All objects, SYNCED, then changes; again from the start after a break that cannot be bridged."""
        return self._client.watch(collection, stop=stop)

    def create(self, collection: str, obj: Object) -> Object:
        return self._client.create(collection, obj)

    def patch(self, collection: str, target: Object, patch: Object, *, status: bool = False) -> Object:
        """A merge patch of the object or of its status."""
        merge = self._client.merge_status if status else self._client.merge
        return merge(collection, name_of(target), patch, namespace=namespace_of(target))

    def apply(self, collection: str, obj: Object) -> Object:
        """Server-side apply, as the owner of what it sets."""
        return self._client.apply(collection, obj, force=True)

    def delete(self, collection: str, target: Object, grace: int | None = None) -> Object | None:
        """Delete this very object, if its uid is known; what is left of it while something still holds it."""
        left = self._client.delete(
            collection,
            name_of(target),
            namespace=namespace_of(target),
            grace=grace,
            uid=target["metadata"].get("uid", ""),
        )
        return None if left.get("kind") == "Status" else left

    def token(self, pod: Object, audience: str, seconds: int) -> str:
        """A new token of the pod's service account, for as long as the pod is there."""
        account = pod["spec"].get("serviceAccountName", "default")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": name_of(pod), "uid": uid_of(pod)}
        wanted = {"audiences": [audience] if audience else [], "expirationSeconds": seconds, "boundObjectRef": bound}
        return self._client.token(account, wanted, namespace=namespace_of(pod))

    def bind(self, pod: Object, node: str) -> None:
        self._client.bind(name_of(pod), node, namespace=namespace_of(pod))
