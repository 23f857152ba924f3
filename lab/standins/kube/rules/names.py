"""Names, labels and annotations: k8s.io/apimachinery/pkg/util/validation and pkg/api/validation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lab.standins.kube.errors import FieldError, Json, forbidden_field, invalid_value, required, too_long
from lab.standins.kube.resources import Resource

Errors = Iterator[FieldError]
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = _LABEL + r"(\." + _LABEL + ")*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?"
LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and "
    "must start and end "
    f"with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_QUALIFIED_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
    "must start and end "
    "with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
LABEL_NAMED = ("Namespace", "Service")
PATH_NAMED = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
ANNOTATIONS_LIMIT = 256 * 1024


def dns_label(name: str, path: str) -> Errors:
    """A lower case RFC 1123 label of at most 63 bytes."""
    if len(name) > 63:
        yield invalid_value(path, name, "must be no more than 63 bytes")
    if not re.fullmatch(_LABEL, name):
        yield invalid_value(path, name, "must not contain dots" if re.fullmatch(_SUBDOMAIN, name) else LABEL_TEXT)


def dns_subdomain(name: str, path: str) -> Errors:
    """Lower case RFC 1123 labels joined by dots, of at most 253 bytes."""
    if len(name) > 253:
        yield invalid_value(path, name, "must be no more than 253 bytes")
    if not re.fullmatch(_SUBDOMAIN, name):
        yield invalid_value(path, name, _SUBDOMAIN_TEXT)


def port_name(name: str, path: str) -> Errors:
    """An RFC 6335 service name: at most 15 characters, lower case, with a letter."""
    if len(name) > 15:
        yield invalid_value(path, name, "must be no more than 15 characters")
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name) or "--" in name:
        yield invalid_value(path, name, "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    elif not re.search("[a-z]", name):
        yield invalid_value(path, name, "must contain at least one letter (a-z)")


def qualified(name: str, path: str) -> Errors:
    """A label's or annotation's key: [prefix/]name."""
    prefix, slash, own = name.rpartition("/")
    if slash and not re.fullmatch(_SUBDOMAIN, prefix):
        yield invalid_value(path, name, "prefix part " + _SUBDOMAIN_TEXT)
    if len(own) > 63:
        yield invalid_value(path, name, "name part must be no more than 63 bytes")
    if not re.fullmatch(_QUALIFIED, own):
        yield invalid_value(path, name, _QUALIFIED_TEXT)


def label_map(labels: dict[str, str], path: str) -> Errors:
    """Labels: keys and values."""
    for key, value in labels.items():
        yield from qualified(key, path)
        if len(value) > 63:
            yield invalid_value(path, value, "must be no more than 63 bytes")
        if not re.fullmatch(_VALUE, value):
            yield invalid_value(path, value, _VALUE_TEXT)


def metadata(resource: Resource, new: Json, old: Json | None) -> Errors:
    """An object's name, labels, annotations, owners and finalizers, and that its identity stays."""
    meta: dict[str, Any] = new["metadata"]
    name = meta.get("name", "")
    if not name:
        yield required("metadata.name", "name or generateName is required")
    elif old is None:
        yield from _name(resource, name)
    yield from label_map(meta.get("labels") or {}, "metadata.labels")
    annotations = meta.get("annotations") or {}
    for key in annotations:
        yield from qualified(key.lower(), "metadata.annotations")
    if sum(len(key) + len(value) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        yield too_long("metadata.annotations", ANNOTATIONS_LIMIT)
    for index, owner in enumerate(meta.get("ownerReferences") or ()):
        for part in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(part):
                yield invalid_value(f"metadata.ownerReferences[{index}].{part}", "", f"{part} must not be empty")
    for index, finalizer in enumerate(meta.get("finalizers") or ()):
        yield from qualified(finalizer, f"metadata.finalizers[{index}]")
    if old is not None and "deletionTimestamp" in old["metadata"]:
        added = set(meta.get("finalizers") or ()) - set(old["metadata"].get("finalizers") or ())
        if added:
            text = (
                f"no new finalizers can be added if the object is being deleted, found new finalizers {sorted(added)}"
            )
            yield forbidden_field("metadata.finalizers", text)


def _name(resource: Resource, name: str) -> Errors:
    if resource.kind in LABEL_NAMED:
        yield from dns_label(name, "metadata.name")
    elif resource.kind in PATH_NAMED:
        for bad in ("/", "%"):
            if bad in name or name in (".", ".."):
                yield invalid_value("metadata.name", name, f"may not contain '{bad}'")
    else:
        yield from dns_subdomain(name, "metadata.name")
