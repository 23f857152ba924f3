"""Small helpers over Kubernetes objects, which stay plain dictionaries as they came from the API."""

import datetime
import hashlib
import json
import random
from collections.abc import Iterable, Mapping
from typing import Any

Object = dict[str, Any]

# The alphabet of Kubernetes' generated suffixes: no vowels, nothing that reads as another letter.
SUFFIX_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def name_of(obj: Object) -> str:
    """metadata.name"""
    return str(obj["metadata"]["name"])


def namespace_of(obj: Object) -> str:
    """metadata.namespace; nothing for objects of the whole cluster."""
    return str(obj["metadata"].get("namespace", ""))


def uid_of(obj: Object) -> str:
    """metadata.uid"""
    return str(obj["metadata"].get("uid", ""))


def labels_of(obj: Object) -> dict[str, str]:
    """metadata.labels"""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """metadata.annotations"""
    return obj["metadata"].get("annotations") or {}


def is_deleted(obj: Object) -> bool:
    """Whether deletion has begun (the object is going, though it may still be listed)."""
    return "deletionTimestamp" in obj["metadata"]


def owner_reference(owner: Object) -> Object:
    """The reference by which its owner controls an object."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": name_of(owner),
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned_by(obj: Object, owner: Object) -> bool:
    """Whether the owner controls the object."""
    references: Iterable[Object] = obj["metadata"].get("ownerReferences") or []
    return any(ref.get("controller") and ref.get("uid") == uid_of(owner) for ref in references)


def timestamp(moment: datetime.datetime | None = None) -> str:
    """RFC 3339 in UTC with seconds, as Kubernetes' metav1.Time."""
    return (moment or datetime.datetime.now(datetime.UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_timestamp() -> str:
    """RFC 3339 in UTC with microseconds, as Kubernetes' metav1.MicroTime."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def age_seconds(stamp: str) -> float:
    """Seconds since an RFC 3339 time."""
    moment = datetime.datetime.fromisoformat(stamp)
    return (datetime.datetime.now(datetime.UTC) - moment).total_seconds()


def condition(obj: Object, kind: str) -> Object:
    """The status condition of that type, or an empty dictionary."""
    conditions: Iterable[Object] = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def is_true(obj: Object, kind: str) -> bool:
    """Whether the status condition of that type is True."""
    return condition(obj, kind).get("status") == "True"


def make_condition(previous: Object, kind: str, status: bool | str, reason: str = "", message: str = "") -> Object:
    """A condition whose lastTransitionTime moves only when its status does."""
    text = status if isinstance(status, str) else str(status)
    unchanged = previous.get("status") == text and "lastTransitionTime" in previous
    made: Object = {
        "type": kind,
        "status": text,
        "lastTransitionTime": previous["lastTransitionTime"] if unchanged else timestamp(),
    }
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made


def digest_of(value: Any, length: int = 10) -> str:
    """A short stable digest of a JSON value, safe in names and labels."""
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    number = int.from_bytes(hashlib.sha256(data).digest(), "big")
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(SUFFIX_ALPHABET))
        letters.append(SUFFIX_ALPHABET[index])
    return "".join(letters)


def random_suffix(length: int = 5) -> str:
    """As Kubernetes' generateName."""
    return "".join(random.choices(SUFFIX_ALPHABET, k=length))  # noqa: S311 - a name, not a secret


UNITS = {
    "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50,
}  # fmt: skip


def quantity(text: str | int | float) -> float:
    """A Kubernetes quantity as a number (bytes, cores, pieces). Raises ValueError when it is none."""
    value = str(text)
    for length in (2, 1):
        if value[-length:] in UNITS:
            return float(value[:-length]) * UNITS[value[-length:]]
    return float(value)


def requests_of(pod_spec: Mapping[str, Any]) -> dict[str, float]:
    """What a pod asks of a node, by resource: the containers' sum, or the largest init container if that is more.

    A limit without a request counts as the request, as the API server defaults it.
    """
    total: dict[str, float] = {}
    for container in pod_spec.get("containers") or []:
        for resource, amount in _container_requests(container).items():
            total[resource] = total.get(resource, 0.0) + amount
    for container in pod_spec.get("initContainers") or []:
        for resource, amount in _container_requests(container).items():
            total[resource] = max(total.get(resource, 0.0), amount)
    return total


def _container_requests(container: Mapping[str, Any]) -> dict[str, float]:
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {resource: quantity(amount) for resource, amount in wanted.items()}
