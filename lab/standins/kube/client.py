"""A small client of the API, for controllers, schedulers and kubelets. Standard library only.

Collections are named by a path: "v1/pods", "apps/v1/daemonsets", "traefik.io/v1alpha1/middlewares".

    client = Client("https://10.0.0.1:6443", token, Path("ca.crt"), "scheduler")
    client.get("v1/nodes", "gpu-1")
    client.list("v1/pods", namespace="ollama", labels="app=ollama")        # -> Listed(items, version)
    client.create("v1/pods", pod)                                          # namespace from its metadata
    client.apply("v1/configmaps", obj, force=True)                         # server-side apply
    client.merge("v1/nodes", "gpu-1", {"metadata": {"labels": {"a": None}}})
    client.update("v1/pods", obj)                                          # PUT; 409 when it changed meanwhile
    client.update_status("v1/pods", obj)                                   # PUT .../status
    client.merge_status("v1/pods", "p", {"status": {...}}, namespace="n")  # PATCH .../status
    client.bind("p", "gpu-1", namespace="n")                               # what a scheduler does
    client.delete("v1/pods", "p", namespace="n", grace=0)                  # grace=0: a kubelet saying it is gone
    for event in client.watch("v1/pods", stop=stop): ...                   # never ends until `stop` is set

A Client may be used by several threads; each has its own connection. Every failure is a `Failure` with the HTTP `code`
(0 when nobody answered) and the API's `message`.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Json = dict[str, Any]
RETRY_SECONDS = 1.0
WATCH_SILENCE_SECONDS = 75.0


class Failure(Exception):
    """A request that failed. `code` is HTTP's, 0 when the server could not be reached; `reason` is the API's."""

    def __init__(self, code: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class Listed:
    """A collection's objects at one version."""

    items: list[Json]
    version: str


@dataclass(frozen=True)
class Event:
    """One event of a watch: ADDED, MODIFIED or DELETED, with the object; SYNCED, without one.

    A watch begins with ADDED for everything that is there and SYNCED after that. After a break that cannot be bridged,
    as when the server forgot what changed meanwhile, it does so again: what was not among it is gone.
    """

    type: str
    object: Json


class Client:
    """Talks to one API server; `manager` names the writer in managedFields."""

    def __init__(self, url: str, token: str, ca: Path, manager: str, *, timeout: float = 15) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 443
        self._token = token
        self._manager = manager
        self._timeout = timeout
        self._context = ssl.create_default_context(cafile=str(ca))
        self._local = threading.local()

    # Reading

    def get(self, collection: str, name: str, *, namespace: str = "") -> Json:
        """One object. Raises Failure 404 when there is none."""
        return self._call("GET", _path(collection, namespace, name))

    def find(self, collection: str, name: str, *, namespace: str = "") -> Json | None:
        """One object, or None when there is none."""
        try:
            return self.get(collection, name, namespace=namespace)
        except Failure as failure:
            if failure.code == 404:
                return None
            raise

    def list(self, collection: str, *, namespace: str = "", labels: str = "", fields: str = "") -> Listed:
        """The objects of a collection, of all namespaces when none is given, that the selectors match."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        body = self._call("GET", _path(collection, namespace), {key: value for key, value in query.items() if value})
        return Listed(body["items"], body["metadata"]["resourceVersion"])

    def log(self, pod: str, *, namespace: str, container: str = "", **options: str) -> str:
        """A pod's log so far; options as kubelets take them: tailLines, previous, timestamps, ..."""
        query = {**options, "container": container} if container else options
        return self._answer("GET", _path("v1/pods", namespace, pod) + "/log", query).decode(errors="replace")

    # Writing

    def create(self, collection: str, obj: Json) -> Json:
        """Creates an object in the namespace its metadata names."""
        return self._call("POST", _path(collection, _namespace(obj)), {}, obj)

    def apply(self, collection: str, obj: Json, *, force: bool = False) -> Json:
        """Server-side apply. Raises Failure 409 when it would change what others own and `force` is not set."""
        path = _path(collection, _namespace(obj), obj["metadata"]["name"])
        query = {"force": "true"} if force else {}
        return self._call("PATCH", path, query, obj, "application/apply-patch+yaml")

    def merge(self, collection: str, name: str, patch: Json, *, namespace: str = "") -> Json:
        """A merge patch: objects merge, None deletes, lists are replaced."""
        return self._call("PATCH", _path(collection, namespace, name), {}, patch, "application/merge-patch+json")

    def merge_status(self, collection: str, name: str, patch: Json, *, namespace: str = "") -> Json:
        """A merge patch of the status subresource."""
        path = _path(collection, namespace, name) + "/status"
        return self._call("PATCH", path, {}, patch, "application/merge-patch+json")

    def json_patch(self, collection: str, name: str, operations: Sequence[Json], *, namespace: str = "") -> Json:
        """A JSON patch: a list of operations."""
        return self._call("PATCH", _path(collection, namespace, name), {}, operations, "application/json-patch+json")

    def update(self, collection: str, obj: Json) -> Json:
        """Replaces an object. Raises Failure 409 when it is not of the stored version."""
        return self._call("PUT", _path(collection, _namespace(obj), obj["metadata"]["name"]), {}, obj)

    def update_status(self, collection: str, obj: Json) -> Json:
        """Replaces an object's status."""
        return self._call("PUT", _path(collection, _namespace(obj), obj["metadata"]["name"]) + "/status", {}, obj)

    def bind(self, pod: str, node: str, *, namespace: str) -> None:
        """Puts a pod on a node. Raises Failure 409 when it is on one already."""
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": pod, "namespace": namespace},
            "target": target,
        }
        self._call("POST", _path("v1/pods", namespace, pod) + "/binding", {}, body)

    def token(self, account: str, wanted: Json, *, namespace: str) -> str:
        """A token of a service account; `wanted` is a TokenRequest's spec."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": wanted}
        made = self._call("POST", _path("v1/serviceaccounts", namespace, account) + "/token", {}, body)
        return str(made["status"]["token"])

    def delete(
        self,
        collection: str,
        name: str,
        *,
        namespace: str = "",
        grace: int | None = None,
        propagation: str = "",
        uid: str = "",
    ) -> Json:
        """Deletes an object, if it has `uid`: `grace` in seconds; `propagation` Background, Foreground or Orphan."""
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if propagation:
            options["propagationPolicy"] = propagation
        if uid:
            options["preconditions"] = {"uid": uid}
        return self._call("DELETE", _path(collection, namespace, name), {}, options)

    # Watching

    def watch(
        self,
        collection: str,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        stop: threading.Event | None = None,
    ) -> Iterator[Event]:
        """All objects and then every change, for ever: connects again after breaks, until `stop` is set."""
        stop = stop or threading.Event()
        base = {"labelSelector": labels, "fieldSelector": fields, "watch": "true", "allowWatchBookmarks": "true"}
        query = {key: value for key, value in base.items() if value}
        version = ""
        while not stop.is_set():
            start = {"resourceVersion": version}
            if not version:
                start = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            try:
                for kind, obj in self._stream(_path(collection, namespace), {**query, **start}, stop):
                    complete = "k8s.io/initial-events-end" in obj["metadata"].get("annotations", {})
                    # From the middle of what is there no watch can go on.
                    if version or complete:
                        version = obj["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        yield Event(kind, obj)
                    elif complete:
                        yield Event("SYNCED", {})
            except Failure as failure:
                if failure.code == 410:
                    version = ""
                else:
                    stop.wait(RETRY_SECONDS)

    def _stream(self, path: str, query: dict[str, str], stop: threading.Event) -> Iterator[tuple[str, Json]]:
        connection: http.client.HTTPSConnection | None = None
        try:
            connection = self._connect(WATCH_SILENCE_SECONDS)
            response = self._send(connection, "GET", path, query)
            if response.status != 200:
                raise _failure(response.status, response.read())
            while not stop.is_set() and (line := response.readline()):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise Failure(event["object"].get("code", 500), event["object"].get("message", ""))
                yield event["type"], event["object"]
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Failure(0, f"watch of {path} broke: {error}") from error
        finally:
            if connection:
                connection.close()

    # Plumbing

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._context)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _send(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        query: dict[str, str],
        body: Any = None,
        media_type: str = "",
    ) -> http.client.HTTPResponse:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "User-Agent": f"{self._manager}/1",
        }
        content = None
        if body is not None:
            content = json.dumps(body).encode()
            headers["Content-Type"] = media_type or "application/json"
        connection.request(method, path + ("?" + urlencode(query) if query else ""), content, headers)
        return connection.getresponse()

    def _call(
        self, method: str, path: str, query: dict[str, str] | None = None, body: Any = None, media_type: str = ""
    ) -> Json:
        query = dict(query or {})
        if method in ("POST", "PUT", "PATCH"):
            query["fieldManager"] = self._manager
        result: Json = json.loads(self._answer(method, path, query, body, media_type))
        return result

    def _answer(self, method: str, path: str, query: dict[str, str], body: Any = None, media_type: str = "") -> bytes:
        try:
            status, content = self._exchange(method, path, query, body, media_type)
        except (OSError, http.client.HTTPException) as error:
            raise Failure(0, f"{method} https://{self._host}:{self._port}{path}: {error}") from error
        if status >= 400:
            raise _failure(status, content)
        return content

    def _exchange(self, method: str, path: str, query: dict[str, str], body: Any, media_type: str) -> tuple[int, bytes]:
        """One request on this thread's connection; once more on a new one when the kept one was closed meanwhile."""
        kept: http.client.HTTPSConnection | None = getattr(self._local, "connection", None)
        for connection in filter(None, (kept, None if kept else self._connect(self._timeout))):
            try:
                response = self._send(connection, method, path, query, body, media_type)
                content = response.read()
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                connection.close()
                self._local.connection = None
                if connection is not kept:
                    raise
            except BaseException:
                connection.close()
                self._local.connection = None
                raise
            else:
                self._local.connection = connection
                return response.status, content
        return self._exchange(method, path, query, body, media_type)


def _namespace(obj: Json) -> str:
    return str(obj["metadata"].get("namespace", ""))


def _path(collection: str, namespace: str = "", name: str = "") -> str:
    group_version, _, plural = collection.rpartition("/")
    root = f"/apis/{group_version}" if "/" in group_version else f"/api/{group_version}"
    middle = f"/namespaces/{quote(namespace)}" if namespace else ""
    return f"{root}{middle}/{plural}" + (f"/{quote(name)}" if name else "")


def _failure(code: int, content: bytes) -> Failure:
    try:
        status = json.loads(content)
        return Failure(code, str(status.get("message", "")), str(status.get("reason", "")))
    except ValueError:
        return Failure(code, content.decode(errors="replace"))
