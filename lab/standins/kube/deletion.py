"""Deleting: grace, finalizers, propagation, and the collector that finishes what a deletion leaves behind."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from lab.standins.kube import admission
from lab.standins.kube.errors import ApiError, Json
from lab.standins.kube.place import Place, deadline
from lab.standins.kube.resources import NAMESPACES, Resource
from lab.standins.kube.rest import Api
from lab.standins.kube.store import Key

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
FINALIZERS = {"Foreground": FOREGROUND, "Orphan": ORPHAN}


@dataclass(frozen=True)
class Deletion:
    """A request's DeleteOptions."""

    propagation: str = "Background"
    grace: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False


def options(body: Json, query: dict[str, str]) -> Deletion:
    """The deletion that a request's body and query ask for."""
    merged = {**query, **body}
    seconds = merged.get("gracePeriodSeconds")
    conditions = merged.get("preconditions") or {}
    propagation = merged.get("propagationPolicy") or ("Orphan" if merged.get("orphanDependents") else "Background")
    return Deletion(
        propagation,
        None if seconds is None else int(seconds),
        conditions.get("uid", ""),
        conditions.get("resourceVersion", ""),
        bool(merged.get("dryRun")),
    )


def delete(api: Api, place: Place, wanted: Deletion) -> Json:
    """Deletes an object, or begins to. Returns the object while something holds it, else a Status."""
    with api.store.lock:
        old = api.get(place)
        admission.deletion(place)
        metadata = old["metadata"]
        for given, current, what in (
            (wanted.uid, metadata["uid"], "UID"),
            (wanted.version, metadata["resourceVersion"], "ResourceVersion"),
        ):
            if given and given != current:
                text = f"the {what} in the precondition ({given}) does not match the {what} in record ({current})"
                raise place.conflict(f"{text}. The object might have been deleted and then recreated")
        finalizers = list(metadata.get("finalizers") or ())
        extra = FINALIZERS.get(wanted.propagation)
        if extra and extra not in finalizers and not metadata.get("deletionTimestamp"):
            finalizers.append(extra)
        grace = _grace(place.resource, old, wanted.grace)
        if wanted.dry_run:
            return _done(place, old)
        if not finalizers and not grace and place.resource.kind != NAMESPACES.kind:
            api.remove(place)
            return _done(place, old)
        if metadata.get("deletionTimestamp") and metadata.get("deletionGracePeriodSeconds", 0) <= grace:
            return old
        return api.store.put(place.key, _marked(old, finalizers, grace))


def _grace(resource: Resource, obj: Json, wanted: int | None) -> int:
    """How long a pod may take to stop, in seconds; 0 for everything else, and for pods that do not run anywhere."""
    if resource.kind != "Pod" or not obj["spec"].get("nodeName"):
        return 0
    if obj.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    default: int = obj["spec"].get("terminationGracePeriodSeconds", 30)
    return default if wanted is None else wanted


def _marked(obj: Json, finalizers: list[str], grace: int) -> Json:
    metadata = {**obj["metadata"], "deletionTimestamp": deadline(grace), "deletionGracePeriodSeconds": grace}
    if finalizers:
        metadata["finalizers"] = finalizers
    if "generation" in metadata:
        metadata["generation"] += 1
    marked = {**obj, "metadata": metadata}
    if obj["kind"] == NAMESPACES.kind:
        marked["status"] = {**obj.get("status", {}), "phase": "Terminating"}
    return marked


def _done(place: Place, obj: Json) -> Json:
    details = {"name": place.name, "kind": place.resource.plural, "uid": obj["metadata"]["uid"]}
    if place.resource.group:
        details["group"] = place.resource.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


class Collector:
    """Deletes what has lost its owners, and the content of namespaces that terminate."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._watch = api.store.watch()

    def start(self) -> None:
        """Runs in a thread of its own until the store closes."""
        threading.Thread(target=self.run, name="collector", daemon=True).start()

    def run(self) -> None:
        """Sweeps once, and again after each change that can matter, until the store closes."""
        due = True
        while not self._api.store.closed:
            if due:
                self.sweep()
            change = self._watch.next(timeout=60)
            metadata = change.last["metadata"] if change else {}
            new_orphan = change is not None and change.old is None and "ownerReferences" in metadata
            due = change is not None and (change.new is None or new_orphan or "deletionTimestamp" in metadata)

    def sweep(self) -> None:
        """One pass over all objects."""
        with self._api.store.lock:
            objects = list(self._api.store)
            uids = {obj["metadata"]["uid"]: obj for _, obj in objects}
            for key, obj in objects:
                self._collect(key, obj, uids)
            for key, obj in objects:
                finalizers = obj["metadata"].get("finalizers") or ()
                if "deletionTimestamp" in obj["metadata"] and (FOREGROUND in finalizers or ORPHAN in finalizers):
                    self._release(key, obj, objects)
            for namespace in self._api.store.list(NAMESPACES.collection):
                if "deletionTimestamp" in namespace["metadata"]:
                    self._empty(namespace["metadata"]["name"])

    def _delete(self, key: Key, wanted: Deletion | None = None) -> None:
        resource = self._api.resources.stored(key[0])
        if resource is None:
            return
        try:
            delete(self._api, Place(resource, key[1], key[2]), wanted or Deletion())
        except ApiError as error:
            if error.code != 404:
                raise

    def _collect(self, key: Key, obj: Json, uids: dict[str, Json]) -> None:
        """Deletes an object all of whose owners are gone or go in the foreground."""
        owners = obj["metadata"].get("ownerReferences") or ()
        if not owners or "deletionTimestamp" in obj["metadata"]:
            return
        present = [uids[owner["uid"]] for owner in owners if owner["uid"] in uids]
        leaving = [
            owner
            for owner in present
            if "deletionTimestamp" in owner["metadata"] and FOREGROUND in (owner["metadata"].get("finalizers") or ())
        ]
        if len(leaving) == len(present):
            self._delete(key, Deletion("Foreground" if leaving and obj["kind"] != "Pod" else "Background"))

    def _release(self, key: Key, obj: Json, objects: list[tuple[Key, Json]]) -> None:
        """Lets an object go whose dependents are gone, or orphaned as was asked."""
        uid, finalizers = obj["metadata"]["uid"], list(obj["metadata"]["finalizers"])
        mine = [(other, dependent) for other, dependent in objects if _owned_by(dependent, uid)]
        if ORPHAN in finalizers:
            for other, dependent in mine:
                kept = [owner for owner in dependent["metadata"]["ownerReferences"] if owner["uid"] != uid]
                metadata = {k: v for k, v in dependent["metadata"].items() if k != "ownerReferences"}
                self._api.store.put(
                    other, {**dependent, "metadata": metadata | ({"ownerReferences": kept} if kept else {})}
                )
            finalizers.remove(ORPHAN)
        elif not any(self._api.store.get(other) for other, _ in mine):
            finalizers.remove(FOREGROUND)
        else:
            return
        resource, current = self._api.resources.stored(key[0]), self._api.store.get(key)
        if resource is None or current is None:
            return
        metadata = {k: v for k, v in current["metadata"].items() if k != "finalizers"}
        released = {**current, "metadata": metadata | ({"finalizers": finalizers} if finalizers else {})}
        self._api.store.put(key, released)
        if not finalizers:
            self._api.remove(Place(resource, key[1], key[2]))

    def _empty(self, name: str) -> None:
        """Deletes a namespace's content, and the namespace when nothing is left."""
        content = [key for key, obj in self._api.store if key[1] == name]
        for key in content:
            self._delete(key)
        if not any(self._api.store.get(key) for key in content):
            place = Place(NAMESPACES, "", name)
            held = (self._api.store.get(place.key) or {}).get("metadata", {}).get("finalizers")
            if not held:
                self._api.remove(place)


def _owned_by(obj: Json, uid: str) -> bool:
    return any(owner["uid"] == uid for owner in obj["metadata"].get("ownerReferences") or ())
