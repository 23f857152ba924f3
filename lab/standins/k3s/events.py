"""Events, as kubectl describe shows them: repeated ones counted, as the real recorder does."""

import threading

from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.journal import log
from lab.standins.k3s.objects import Object, digest_of, name_of, namespace_of, timestamp, uid_of

MAX_KNOWN = 500


class Recorder:
    """Writes events; one that cannot be written is lost, and only logged."""

    def __init__(self, api: Api, host: str) -> None:
        self._api = api
        self._host = host
        self._lock = threading.Lock()
        self._known: dict[str, Object] = {}

    def emit(self, about: Object, reason: str, message: str, source: str, *, warning: bool = False) -> None:
        """Tell that something happened to an object."""
        key = digest_of([uid_of(about) or name_of(about), reason, message, source], 16)
        with self._lock:
            try:
                self._write(key, about, reason, message, source, warning)
            except ApiError as error:
                self._known.pop(key, None)
                log("debug", f"event {reason} of {name_of(about)} lost: {error}")

    def _write(self, key: str, about: Object, reason: str, message: str, source: str, warning: bool) -> None:
        known = self._known.get(key)
        if known is not None:
            patch = {"count": known["count"] + 1, "lastTimestamp": timestamp()}
            self._known[key] = self._api.patch("v1/events", known, patch)
            return
        if len(self._known) > MAX_KNOWN:
            self._known.clear()
        self._known[key] = self._api.create("v1/events", self._event(key, about, reason, message, source, warning))

    def _event(self, key: str, about: Object, reason: str, message: str, source: str, warning: bool) -> Object:
        now = timestamp()
        namespace = namespace_of(about) or "default"
        component = {"component": source, **({"host": self._host} if source == "kubelet" else {})}
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name_of(about)}.{key[:8]}", "namespace": namespace},
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": name_of(about),
                "namespace": namespace_of(about),
                "uid": uid_of(about),
            },
            "reason": reason,
            "message": message,
            "source": component,
            "reportingComponent": source,
            "reportingInstance": self._host if source == "kubelet" else "",
            "type": "Warning" if warning else "Normal",
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }
