"""What each request does to the objects: create, update, the four patches, apply, delete, and their dry runs."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lab.standins.kube import defaults, fieldsets, ownership, patches, rules
from lab.standins.kube.addresses import allocate
from lab.standins.kube.decode import Decoded, Path, decode, shown
from lab.standins.kube.errors import (
    ApiError,
    FieldError,
    Json,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    not_found,
    required,
    unsupported_media_type,
)
from lab.standins.kube.resources import DEFINITIONS, NAMESPACES, Resource, Resources
from lab.standins.kube.store import Key, Store

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
# What clients cannot change once an object exists.
SYSTEM = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "namespace", "name")
# Kinds without generation: settings, and the core kinds that predate it.
UNCOUNTED = {"Namespace", "Node", "Service", "Endpoints", "Secret", "ConfigMap", "ServiceAccount", "Event", "Lease"}
UNCOUNTED |= {"PersistentVolume", "PersistentVolumeClaim", "RuntimeClass", "ControllerRevision", "LimitRange"}
UNCOUNTED |= {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "StorageClass", "ResourceQuota"}
TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"


@dataclass
class Write:
    """How a request wants to be carried out."""

    manager: str = "unknown"
    dry_run: bool = False
    force: bool = False
    validation: str = "Warn"
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where a request points: a kind's collection, one object in it, or a part of that."""

    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def key(self) -> Key:
        return (self.resource.collection, self.namespace, self.name)

    def not_found(self) -> ApiError:
        return not_found(self.resource.plural, self.resource.group, self.name)

    def conflict(self, why: str = "") -> ApiError:
        return conflict(self.resource.plural, self.resource.group, self.name, why)

    def invalid(self, causes: list[FieldError]) -> ApiError:
        return invalid(self.resource.kind, self.resource.group, self.name, causes)


def now() -> str:
    """The time as the API writes it: UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copied(obj: Json) -> Json:
    """A copy that may be changed."""
    result: Json = json.loads(json.dumps(obj))
    return result


class Api:
    """The operations on the objects of one cluster. Raises ApiError for everything a client can get wrong."""

    def __init__(self, store: Store, resources: Resources) -> None:
        self.store = store
        self.resources = resources
        for definition in store.list(DEFINITIONS.collection):
            resources.define(definition)

    # Reading

    def get(self, place: Place) -> Json:
        """One object, as its version of the API shows it."""
        obj = self.store.get(place.key)
        if obj is None:
            raise place.not_found()
        return self.versioned(obj, place.resource)

    @staticmethod
    def versioned(obj: Json, resource: Resource) -> Json:
        """An object in the API version of `resource`; versions of a custom kind differ by name only."""
        return {**obj, "apiVersion": resource.api_version, "kind": resource.kind}

    # Writing

    def create(self, place: Place, body: Any, write: Write) -> Json:
        """Creates an object in a collection."""
        self._identify(body, place.resource)
        obj: Json = self._strictly(place, decode(body, place.resource.schema), write).value
        metadata = obj.setdefault("metadata", {})
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))
        place = self._placed(place, metadata)
        with self.store.lock:
            self._check_namespace(place)
            if self.store.get(place.key) is not None:
                raise already_exists(place.resource.plural, place.resource.group, place.name)
            return self._save(place, None, self._new(place.resource, obj), write, None)

    def update(self, place: Place, body: Any, write: Write) -> Json:
        """Replaces an object, or its status."""
        self._identify(body, place.resource)
        obj: Json = self._strictly(place, decode(body, place.resource.schema), write).value
        name = obj.setdefault("metadata", {}).get("name", "")
        if name != place.name:
            text = f"the name of the object ({name}) does not match the name on the URL ({place.name})"
            raise bad_request(text)
        self._placed(place, obj["metadata"])
        with self.store.lock:
            old = self.get(place)
            if place.resource.custom and not obj["metadata"].get("resourceVersion"):
                text = "must be specified for an update"
                raise place.invalid([invalid_value("metadata.resourceVersion", 0, text)])
            self._check_version(place, old, obj["metadata"])
            return self._save(place, old, self._carried(place, old, obj), write, None)

    def patch(self, place: Place, body: Any, media_type: str, write: Write) -> tuple[Json, bool]:
        """Patches an object; an apply patch may create it. Returns it, and whether it is new."""
        if media_type == APPLY_PATCH:
            return self._apply(place, body, write)
        accepted = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH] if place.resource.custom else [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
        if media_type not in accepted:
            raise unsupported_media_type(accepted)
        with self.store.lock:
            old = self.get(place)
            if media_type == JSON_PATCH:
                patched = patches.json_patch(old, body)
            elif media_type == MERGE_PATCH:
                patched = patches.merge_patch(old, body)
            else:
                patched = patches.strategic_patch(old, body, place.resource.schema)
            found = decode(patched, place.resource.schema)
            self._check_patch(found, body, write)
            obj: Json = found.value
            self._check_version(place, old, obj.get("metadata", {}))
            return self._save(place, old, self._carried(place, old, obj), write, None), False

    def _check_patch(self, found: Decoded, body: Any, write: Write) -> None:
        texts = [wrong.go_text for wrong in found.wrong[:1]]
        if not texts:
            texts = self._unknown(found.unknown, write)
        if texts:
            text = texts[0] if found.wrong else "strict decoding error: " + ", ".join(texts)
            raise invalid("", "", "", [invalid_value("patch", json.dumps(body, separators=(",", ":")), text)])

    def _apply(self, place: Place, config: Any, write: Write) -> tuple[Json, bool]:
        resource = place.resource
        if not write.manager:
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        self._identify(config, resource)
        metadata = config.setdefault("metadata", {})
        metadata.setdefault("name", place.name)
        if metadata["name"] != place.name:
            text = f"the name of the object ({metadata['name']}) does not match the name on the URL ({place.name})"
            raise bad_request(text)
        self._placed(place, metadata)
        if metadata.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        if resource.namespaced:
            metadata.setdefault("namespace", place.namespace)
        config = self._typed(place, config)
        if place.subresource:
            config = {key: config[key] for key in ("apiVersion", "kind", "metadata", place.subresource) if key in config}
        with self.store.lock:
            live = self.store.get(place.key)
            if live is None:
                self._check_namespace(place)
                if place.subresource:
                    raise place.not_found()
                base: Json = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}}
            else:
                live = self.versioned(live, resource)
                self._check_version(place, live, metadata)
                base = {**live, "metadata": {k: v for k, v in live["metadata"].items() if k != "managedFields"}}
            config["metadata"] = {k: v for k, v in metadata.items() if k not in ("resourceVersion", "uid")}
            who = ownership.Manager(write.manager, "Apply", resource.api_version, place.subresource)
            try:
                merged, owners = ownership.apply(
                    base, config, resource.schema, ownership.read(live or {}), who, now(), force=write.force, ignored=_ignored(place)
                )
            except fieldsets.ListError as error:
                raise self._untyped(place, [str(error)]) from error
            if live is None:
                return self._save(place, None, self._new(resource, copied(merged)), write, owners), True
            return self._save(place, live, self._carried(place, live, copied(merged)), write, owners), False

    def _typed(self, place: Place, config: Json) -> Json:
        """An apply patch as typed values; what its type does not know is an error whatever fieldValidation says."""
        found = decode(config, place.resource.schema, keep_unknown=True)
        texts = [f"{_merge_path(config, place.resource, path)}: field not declared in schema" for path in found.unknown]
        for wrong in found.wrong:
            texts.append(f"{_merge_path(config, place.resource, wrong.path)}: {wrong.detail or wrong.merge_text}")
        if texts:
            raise self._untyped(place, texts)
        result: Json = found.value
        return result

    @staticmethod
    def _untyped(place: Place, texts: list[str]) -> ApiError:
        what = f"{place.namespace}/{place.name}; {place.resource.api_version}, Kind={place.resource.kind}"
        listed = texts[0] if len(texts) == 1 else "errors:\n" + "\n".join(f"  {text}" for text in texts)
        return ApiError(500, "", f"failed to create typed patch object ({what}): {listed}")

    # Parts of writing

    @staticmethod
    def _identify(body: Any, resource: Resource) -> None:
        """Checks that a body is an object of the kind its path is for."""
        if not isinstance(body, dict) or not body.get("kind"):
            raise bad_request(f"Object 'Kind' is missing in '{json.dumps(body)[:200]}'")
        if body.get("apiVersion") != resource.api_version or body["kind"] != resource.kind:
            group, _, version = str(body.get("apiVersion", "")).rpartition("/")
            given = f"{group}/{version}, Kind={body['kind']}"
            expected = f"{resource.group}/{resource.version}, Kind={resource.kind}"
            raise bad_request(f"the object provided is unrecognized (must be of type {resource.kind}): {given}, expected {expected}")

    def _strictly(self, place: Place, found: Decoded, write: Write) -> Decoded:
        """`found`, or the decoder's error: of a wrong type, or of unknown fields when validation is strict."""
        resource = place.resource
        head = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
        if found.wrong and not resource.custom:
            raise bad_request(head + found.wrong[0].go_text)
        texts = self._unknown(found.unknown, write)
        if texts:
            raise bad_request(head + "strict decoding error: " + ", ".join(texts))
        return found

    @staticmethod
    def _unknown(unknown: list[Path], write: Write) -> list[str]:
        texts = [f'unknown field "{shown(path)}"' for path in unknown]
        if write.validation == "Strict":
            return texts
        if write.validation == "Warn":
            write.warnings += texts
        return []

    @staticmethod
    def _placed(place: Place, metadata: Json) -> Place:
        """The place of the object that `metadata` names, its namespace filled in and checked against the path."""
        if place.resource.namespaced:
            if metadata.setdefault("namespace", place.namespace) != place.namespace:
                raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        elif metadata.get("namespace"):
            raise bad_request("namespace is not allowed on this type")  # the real server's text differs by release
        return Place(place.resource, place.namespace, str(metadata.get("name", "")), place.subresource)

    def _check_namespace(self, place: Place) -> None:
        """New objects need a namespace that exists and stays."""
        if not place.resource.namespaced:
            return
        namespace = self.store.get((NAMESPACES.collection, "", place.namespace))
        if namespace is None:
            raise not_found("namespaces", "", place.namespace)
        if namespace["metadata"].get("deletionTimestamp"):
            text = f"unable to create new content in namespace {place.namespace} because it is being terminated"
            raise forbidden(place.resource.plural, place.resource.group, place.name, text)

    @staticmethod
    def _check_version(place: Place, old: Json, metadata: Json) -> None:
        given, current = metadata.get("uid"), old["metadata"]["uid"]
        if given and given != current:
            raise place.conflict(f"Precondition failed: UID in precondition: {given}, UID in object meta: {current}")
        if metadata.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
            raise place.conflict()

    @staticmethod
    def _new(resource: Resource, obj: Json) -> Json:
        """A new object, with what the server alone decides."""
        metadata = {k: v for k, v in obj["metadata"].items() if k not in (*SYSTEM, "resourceVersion", "managedFields", "selfLink")}
        metadata |= {k: obj["metadata"][k] for k in ("name", "namespace") if obj["metadata"].get(k)}
        metadata |= {"uid": str(uuid.uuid4()), "creationTimestamp": now()}
        if resource.kind not in UNCOUNTED:
            metadata["generation"] = 1
        # Kubelets register their nodes with a status; other kinds start with an empty one.
        body = {k: v for k, v in obj.items() if k != "status" or resource.kind == "Node" or "status" not in resource.subresources}
        initial = INITIAL_STATUS.get(resource.kind)
        return {**body, "metadata": metadata} | ({"status": initial(obj)} if initial else {})

    @staticmethod
    def _carried(place: Place, old: Json, obj: Json) -> Json:
        """`obj` in place of `old`: with the metadata that clients cannot change and the part this request cannot change."""
        metadata = {k: v for k, v in obj["metadata"].items() if k not in SYSTEM}
        metadata |= {k: old["metadata"][k] for k in SYSTEM if k in old["metadata"]}
        if place.subresource == "status":
            kept = {k: v for k, v in old["metadata"].items() if k != "managedFields"}
            if "managedFields" in metadata:
                kept["managedFields"] = metadata["managedFields"]
            return {**copied(old), "metadata": kept, "status": obj.get("status", {})}
        result = {**obj, "metadata": metadata}
        if "status" in place.resource.subresources:
            result.pop("status", None)
            if "status" in old:
                result["status"] = old["status"]
        return result

    def _save(self, place: Place, old: Json | None, new: Json, write: Write, owners: ownership.Owners | None) -> Json:
        """Defaults, checks and stores `new`; `owners` is None for ordinary writes, which make the writer own the changes."""
        resource = place.resource
        given = new["metadata"].pop("managedFields", None)
        if place.subresource != "status":
            defaults.fill(resource, new, creating=old is None)
            if resource.kind == "Service":
                allocate(new, old, self.store.list(resource.collection))
            causes = rules.check(resource, new, old)
            if causes:
                raise place.invalid(causes)
            _count(resource, new, old)
        _complete_status(resource, new)
        before = copied(old) if old else None
        if before:
            before["metadata"].pop("managedFields", None)
        if owners is None and given != [{}]:
            who = ownership.Manager(write.manager or "unknown", "Update", resource.api_version, place.subresource)
            known = ownership.read({"metadata": {"managedFields": given}}) or ownership.read(old or {})
            owners = ownership.update(before, new, resource.schema, known, who, now(), _ignored(place))
        if old is not None and before == new and _same_fields(owners or {}, ownership.read(old)):
            return old
        result = ownership.write(new, owners or {})
        if write.dry_run:
            return result
        return self._put(place, result)

    def _put(self, place: Place, obj: Json) -> Json:
        metadata = obj["metadata"]
        done = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        if done and not metadata.get("deletionGracePeriodSeconds") and place.resource.kind != "Namespace":
            self.store.put(place.key, obj)
            return self.remove(place)
        if place.resource.kind == DEFINITIONS.kind:
            obj = _established(obj)
            self.resources.define(obj)
        return self.store.put(place.key, obj)

    def remove(self, place: Place) -> Json:
        """Takes an object out of the store at once; a definition takes its kind's objects with it."""
        with self.store.lock:
            last = self.store.delete(place.key)
            if place.resource.kind == DEFINITIONS.kind:
                names = f"{last['spec']['names']['plural']}.{last['spec']['group']}"
                for obj in self.store.list(names):
                    self.store.delete((names, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))
                self.resources.forget(last)
            return last


def _ignored(place: Place) -> str:
    if place.subresource == "status":
        return "spec"
    return "status" if "status" in place.resource.subresources else ""


def _merge_path(config: Json, resource: Resource, path: Path) -> str:
    """A path in an apply patch as structured-merge-diff prints it: list items by key."""
    schema, value = resource.schema, config
    steps: list[str] = []
    for step in path:
        if isinstance(step, int):
            named = fieldsets.merges_as_list(value, schema)
            steps.append(fieldsets.element(value[step], schema) if named else f"i:{step}")
            schema = schema.items
        else:
            steps.append(f"f:{step}")
            schema = schema.child(step) or schema.values
        value = value[step]
    return fieldsets.describe(tuple(steps))


def _same_fields(one: ownership.Owners, other: ownership.Owners) -> bool:
    return {who: owned.fields for who, owned in one.items()} == {who: owned.fields for who, owned in other.items()}


def _count(resource: Resource, new: Json, old: Json | None) -> None:
    """Generation counts changes of what is wanted: everything but metadata and status."""
    if resource.kind == "DaemonSet":
        annotations = new["metadata"].setdefault("annotations", {})
        same = old is not None and old["spec"]["template"] == new["spec"]["template"]
        last = int((old or new)["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "0" if old is None else "1"))
        annotations[TEMPLATE_GENERATION] = str(last if same else last + 1)
    if old is None or "generation" not in old["metadata"]:
        return
    before, after = ({k: v for k, v in obj.items() if k not in ("metadata", "status")} for obj in (old, new))
    if before != after:
        new["metadata"]["generation"] = old["metadata"]["generation"] + 1


def _complete_status(resource: Resource, obj: Json) -> None:
    """Zeros for the counts that Go's status types always write."""
    status = obj.get("status")
    kind = None if resource.custom else resource.schema.child("status")
    if not isinstance(status, dict) or kind is None:
        return
    for name in kind.required:
        below = kind.child(name)
        if below is not None and below.kind == "integer":
            status.setdefault(name, 0)


def _qos(pod: Json) -> str:
    """Guaranteed, Burstable or BestEffort, from the containers' requests and limits of CPU and memory."""
    containers = [c.get("resources") or {} for c in pod.get("spec", {}).get("containers") or ()]
    amounts = [{k: v for k, v in (r.get(group) or {}).items() if k in ("cpu", "memory")} for r in containers for group in ("limits", "requests")]
    if not any(amounts):
        return "BestEffort"
    whole = all(
        {"cpu", "memory"} <= (r.get("limits") or {}).keys() and (r.get("requests") or r["limits"]) == r["limits"] for r in containers
    )
    return "Guaranteed" if whole else "Burstable"


def _established(definition: Json) -> Json:
    """A CustomResourceDefinition whose kind is served."""
    since = definition.get("status", {}).get("conditions", [{}])[0].get("lastTransitionTime") or now()
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": since, "reason": reason, "message": message}
        for kind, reason, message in (
            ("NamesAccepted", "NoConflicts", "no conflicts found"),
            ("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        )
    ]
    stored = [version["name"] for version in definition["spec"]["versions"] if version.get("storage")]
    status = {"conditions": conditions, "acceptedNames": definition["spec"]["names"], "storedVersions": stored}
    return {**definition, "status": status}


INITIAL_STATUS: dict[str, Callable[[Json], Json]] = {
    "Pod": lambda pod: {"phase": "Pending", "qosClass": _qos(pod)},
    "Namespace": lambda _: {"phase": "Active"},
    "Service": lambda _: {"loadBalancer": {}},
    "Ingress": lambda _: {"loadBalancer": {}},
    "DaemonSet": lambda _: {},
    "Deployment": lambda _: {},
    "StatefulSet": lambda _: {},
    "ReplicaSet": lambda _: {},
    "Job": lambda _: {},
}


def deadline(seconds: int) -> str:
    """The time `seconds` from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
