"""What each request does to the objects: create, update, the four patches, apply, and their dry runs."""

from __future__ import annotations

import secrets
from typing import Any

from lab.standins.kube import admission, defaults, fieldsets, lifecycle, ownership, patches, requests, rules
from lab.standins.kube.addresses import allocate
from lab.standins.kube.errors import (
    ApiError,
    Json,
    already_exists,
    bad_request,
    forbidden_field,
    invalid,
    invalid_value,
    required,
    unsupported_media_type,
)
from lab.standins.kube.place import Place, Write, copied, now
from lab.standins.kube.resources import DEFINITIONS, NAMESPACES, Resource, Resources
from lab.standins.kube.store import Store

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
NAME_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class Api:
    """The operations on the objects of one cluster. Raises ApiError for everything a client can get wrong."""

    def __init__(self, store: Store, resources: Resources) -> None:
        self.store = store
        self.resources = resources
        for definition in store.list(DEFINITIONS.collection):
            resources.define(definition)

    def get(self, place: Place) -> Json:
        """One object, in the API version of its place."""
        obj = self.store.get(place.key)
        if obj is None:
            raise place.not_found()
        return self.versioned(obj, place.resource)

    @staticmethod
    def versioned(obj: Json, resource: Resource) -> Json:
        """An object in the API version of `resource`; versions of a custom kind differ by name only."""
        return {**obj, "apiVersion": resource.api_version, "kind": resource.kind}

    def create(self, place: Place, body: Any, write: Write) -> Json:
        """Creates an object in a collection."""
        requests.identify(body, place.resource)
        obj = requests.read(place, body, write)
        metadata = obj.setdefault("metadata", {})
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(NAME_LETTERS) for _ in range(5))
        place = requests.placed(place, metadata)
        with self.store.lock:
            admission.namespace(self.store, place)
            if self.store.get(place.key) is not None:
                raise already_exists(place.resource.plural, place.resource.group, place.name)
            return self._save(place, None, lifecycle.new_object(place.resource, obj), write)

    def update(self, place: Place, body: Any, write: Write) -> Json:
        """Replaces an object, or its status."""
        requests.identify(body, place.resource)
        obj = requests.read(place, body, write)
        metadata = obj.setdefault("metadata", {})
        requests.placed(place, metadata)
        with self.store.lock:
            old = self.get(place)
            if place.resource.custom and not metadata.get("resourceVersion"):
                cause = invalid_value("metadata.resourceVersion", 0, "must be specified for an update")
                raise place.invalid([cause])
            requests.check_version(place, old, metadata)
            return self._save(place, old, lifecycle.replacement(place, old, obj), write)

    def patch(self, place: Place, patch: Any, media_type: str, write: Write) -> Json:
        """Changes an object by a JSON, merge or strategic merge patch."""
        accepted = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
        if place.resource.custom:
            accepted.remove(STRATEGIC_PATCH)
        if media_type not in accepted:
            raise unsupported_media_type(accepted)
        if write.force:
            cause = forbidden_field("force", "may not be specified for non-apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        with self.store.lock:
            old = self.get(place)
            if media_type == JSON_PATCH:
                patched = patches.json_patch(old, patch)
            elif not isinstance(patch, dict):
                raise bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
            elif media_type == MERGE_PATCH:
                patched = patches.merge_patch(old, patch)
            else:
                patched = patches.strategic_patch(old, patch, place.resource.schema)
            requests.identify(patched, place.resource)
            obj = requests.read_patched(patched, patch, place.resource, write)
            requests.placed(place, obj["metadata"])
            requests.check_version(place, old, obj["metadata"])
            return self._save(place, old, lifecycle.replacement(place, old, obj), write)

    def apply(self, place: Place, config: Any, write: Write) -> tuple[Json, bool]:
        """Server-side apply. Returns the object, and whether it is new."""
        if not write.manager:
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        requests.identify(config, place.resource)
        metadata = config.setdefault("metadata", {})
        metadata.setdefault("name", place.name)
        requests.placed(place, metadata)
        if metadata.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        config = requests.read_applied(place, config)
        if place.subresource:
            parts = ("apiVersion", "kind", "metadata", place.subresource)
            config = {key: config[key] for key in parts if key in config}
        with self.store.lock:
            live = self.store.get(place.key)
            if live is not None:
                return self._merge(place, self.versioned(live, place.resource), config, write), False
            if place.subresource:
                raise place.not_found()
            admission.namespace(self.store, place)
            return self._merge(place, None, config, write), True

    def _merge(self, place: Place, live: Json | None, config: Json, write: Write) -> Json:
        resource = place.resource
        base: Json = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
        if live is not None:
            requests.check_version(place, live, config["metadata"])
            base = _unmanaged(live)
        metadata = {k: v for k, v in config["metadata"].items() if k not in ("resourceVersion", "uid")}
        who = ownership.Manager(write.manager, "Apply", resource.api_version, place.subresource)
        try:
            merged, owners = ownership.apply(
                base,
                {**config, "metadata": metadata},
                resource.schema,
                ownership.read(live or {}),
                who,
                now(),
                force=write.force,
                ignored=_ignored(place),
            )
        except fieldsets.ListError as error:
            raise requests.untyped(place, [str(error)]) from error
        merged = copied(merged)
        if live is None:
            return self._save(place, None, lifecycle.new_object(resource, merged), write, owners)
        return self._save(place, live, lifecycle.replacement(place, live, merged), write, owners)

    def _save(
        self, place: Place, old: Json | None, new: Json, write: Write, owners: ownership.Owners | None = None
    ) -> Json:
        """Completes, checks and stores `new`. Without `owners` it is an ordinary write: who changes a field owns it."""
        given = new["metadata"].pop("managedFields", None)
        if place.subresource != "status":
            self._complete(place, old, new)
            causes = rules.check(place.resource, new, old)
            if causes:
                raise place.invalid(causes)
            lifecycle.count(place.resource, new, old)
        lifecycle.complete_status(place.resource, new)
        before = _unmanaged(old) if old else None
        known = ownership.read(old or {})
        if owners is None:
            # Who sends managedFields means to change them; [{}] gives up all ownership.
            recorded = ownership.read({"metadata": {"managedFields": given}}) if given else known
            who = ownership.Manager(write.manager, "Update", place.resource.api_version, place.subresource)
            ignored = _ignored(place)
            owners = ownership.update(before, new, place.resource.schema, recorded, who, now(), ignored)
        if old is not None and before == new and _same_fields(owners, known):
            return old
        result = ownership.write(new, owners)
        return result if write.dry_run else self._put(place, result)

    def _complete(self, place: Place, old: Json | None, new: Json) -> None:
        """Fills in what the writer left out."""
        if old is None:
            admission.creation(self.store, place, new)
        defaults.fill(place.resource, new, creating=old is None)
        if place.resource.kind == "Service":
            allocate(new, old, self.store.list(place.resource.collection))

    def _put(self, place: Place, obj: Json) -> Json:
        metadata = obj["metadata"]
        released = "deletionTimestamp" in metadata and not metadata.get("finalizers")
        if released and not metadata.get("deletionGracePeriodSeconds") and place.resource.kind != NAMESPACES.kind:
            self.store.put(place.key, obj)
            return self.remove(place)
        if place.resource.kind == DEFINITIONS.kind:
            obj = lifecycle.established(obj)
            self.resources.define(obj)
        return self.store.put(place.key, obj)

    def remove(self, place: Place) -> Json:
        """Takes an object out of the store at once; a definition takes its kind's objects with it."""
        with self.store.lock:
            last = self.store.delete(place.key)
            if place.resource.kind == DEFINITIONS.kind:
                collection = f"{last['spec']['names']['plural']}.{last['spec']['group']}"
                for obj in self.store.list(collection):
                    metadata = obj["metadata"]
                    self.store.delete((collection, metadata.get("namespace", ""), metadata["name"]))
                self.resources.forget(last)
            return last


def _unmanaged(obj: Json) -> Json:
    """An object without the record of its owners."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k != "managedFields"}}


def _ignored(place: Place) -> str:
    """The part of an object that a request at this place does not write."""
    if place.subresource == "status":
        return "spec"
    return "status" if "status" in place.resource.subresources else ""


def _same_fields(one: ownership.Owners, other: ownership.Owners) -> bool:
    return {who: owned.fields for who, owned in one.items()} == {who: owned.fields for who, owned in other.items()}
