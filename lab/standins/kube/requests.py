"""What is checked of a request's object before anything is done with it."""

from __future__ import annotations

import json
from typing import Any

from lab.standins.kube import fieldsets
from lab.standins.kube.decode import Decoded, Path, decode, shown
from lab.standins.kube.errors import ApiError, Json, bad_request, invalid, invalid_value
from lab.standins.kube.place import Place, Write
from lab.standins.kube.resources import Resource


def identify(body: Any, resource: Resource) -> None:
    """Checks that a body is an object of the kind its path is for.

    It need not say so of a built-in one. Raises ApiError 400.
    """
    if isinstance(body, dict) and resource.custom is None:
        body.setdefault("apiVersion", resource.api_version)
        body.setdefault("kind", resource.kind)
    if not isinstance(body, dict) or not body.get("kind"):
        raise bad_request(f"Object 'Kind' is missing in '{json.dumps(body)[:200]}'")
    if body.get("apiVersion") != resource.api_version or body["kind"] != resource.kind:
        given = f'{body["kind"]} in version "{body.get("apiVersion", "")}"'
        raise bad_request(f"{given} cannot be handled as a {resource.kind}")
    if not isinstance(body.get("metadata", {}), dict):
        raise bad_request(f"json: cannot unmarshal into Go struct field {resource.kind}.metadata of type v1.ObjectMeta")


def placed(place: Place, metadata: Json) -> Place:
    """The place of the object that `metadata` names; its namespace filled in and checked against the path."""
    if place.resource.namespaced:
        if not metadata.get("namespace"):
            metadata["namespace"] = place.namespace
        if metadata["namespace"] != place.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    else:
        metadata.pop("namespace", None)
    name = str(metadata.get("name", ""))
    if place.name and name != place.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({place.name})")
    return Place(place.resource, place.namespace, name, place.subresource)


def check_version(place: Place, old: Json, metadata: Json) -> None:
    """Checks that a change means the object there is: its uid and, when given, its version. Raises ApiError 409."""
    given, current = metadata.get("uid"), old["metadata"]["uid"]
    if given and given != current:
        raise place.conflict(f"Precondition failed: UID in precondition: {given}, UID in object meta: {current}")
    if metadata.get("resourceVersion") not in (None, "", old["metadata"]["resourceVersion"]):
        raise place.conflict()


def read(place: Place, body: Json, write: Write) -> Json:
    """A created or replacing object as typed values.

    Raises ApiError 400 for a value of the wrong type and, under strict validation, for unknown fields. Custom kinds'
    types are left to their structural schemas.
    """
    resource = place.resource
    found = decode(body, resource.schema)
    head = f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}: '
    if found.wrong and not resource.custom:
        raise bad_request(head + found.wrong[0].go_text)
    texts = _unknown(found.unknown, write)
    if texts:
        raise bad_request(head + "strict decoding error: " + ", ".join(texts))
    obj: Json = found.value
    return obj


def read_patched(patched: Json, patch: Any, resource: Resource, write: Write) -> Json:
    """A patched object as typed values. Raises ApiError 422 as `read` does 400: a patch is to blame, not a body."""
    found: Decoded = decode(patched, resource.schema)
    text = found.wrong[0].go_text if found.wrong and not resource.custom else ""
    if not text:
        unknown = _unknown(found.unknown, write)
        text = "strict decoding error: " + ", ".join(unknown) if unknown else ""
    if text:
        cause = invalid_value("patch", json.dumps(patch, separators=(",", ":")), text)
        raise invalid("", "", "", [cause])
    obj: Json = found.value
    return obj


def _unknown(unknown: list[Path], write: Write) -> list[str]:
    """The complaints about unknown fields that stop a request; those that only warn are noted in `write`."""
    texts = [f'unknown field "{shown(path)}"' for path in unknown]
    if write.validation == "Strict":
        return texts
    if write.validation == "Warn":
        write.warnings += texts
    return []


def read_applied(place: Place, config: Json) -> Json:
    """An apply patch as typed values. What its type does not know is an error, whatever fieldValidation says."""
    found = decode(config, place.resource.schema, keep_unknown=True)
    texts = [f"{_merge_path(config, place.resource, path)}: field not declared in schema" for path in found.unknown]
    for wrong in found.wrong:
        texts.append(f"{_merge_path(config, place.resource, wrong.path)}: {wrong.detail or wrong.merge_text}")
    if texts:
        raise untyped(place, texts)
    result: Json = found.value
    return result


def untyped(place: Place, texts: list[str]) -> ApiError:
    """What apply answers to a patch that does not fit its type: 500, as the real server does."""
    what = f"{place.namespace}/{place.name}; {place.resource.api_version}, Kind={place.resource.kind}"
    listed = texts[0] if len(texts) == 1 else "errors:\n" + "\n".join(f"  {text}" for text in texts)
    return ApiError(500, "", f"failed to create typed patch object ({what}): {listed}")


def _merge_path(config: Json, resource: Resource, path: Path) -> str:
    """A path in an apply patch as structured-merge-diff prints it: list items by key."""
    schema, steps = resource.schema, []
    value: Any = config
    for step in path:
        if isinstance(step, int):
            keyed = fieldsets.merges_as_list(value, schema)
            steps.append(fieldsets.element(value[step], schema) if keyed else f"i:{step}")
            schema = schema.items
        else:
            steps.append(f"f:{step}")
            schema = schema.child(step) or schema.values
        value = value[step]
    return fieldsets.describe(tuple(steps))
