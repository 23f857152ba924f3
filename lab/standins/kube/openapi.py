"""OpenAPI: enough of /openapi/v3 for kubectl's checks of parameters and for `kubectl explain`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lab.standins.kube import schema
from lab.standins.kube.errors import Json
from lab.standins.kube.resources import Resource, Resources

COMPONENTS = "#/components/schemas/"


def index(resources: Resources) -> Json:
    """/openapi/v3: the documents there are; the hash in each URL changes with its content."""
    paths: Json = {}
    for resource in resources:
        place = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
        paths.setdefault(place, []).append(f"{resource.plural}{hash_of(resource)}")
    return {
        "paths": {
            place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={_digest(''.join(names))}"}
            for place, names in paths.items()
        }
    }


def hash_of(resource: Resource) -> str:
    """A digest that changes with a custom kind's schema."""
    return _digest(json.dumps(resource.custom.raw, sort_keys=True)) if resource.custom else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32].upper()


def document(resources: Resources, group: str, version: str) -> Json:
    """The OpenAPI v3 document of one group and version; its schemas carry the published descriptions."""
    definitions: Json = json.loads(schema.published_path().read_bytes())["$defs"]
    found = [r for r in resources if (r.group, r.version) == (group, version)]
    paths: Json = {}
    wanted: list[str] = []
    components: Json = {}
    for resource in found:
        name = resource.schema.reference or f"{group}.{version}.{resource.kind}"
        wanted.append(name)
        if resource.custom:
            definitions[name] = resource.custom.raw
        paths |= _paths(resource, name)
    while wanted:
        name = wanted.pop()
        if name in components:
            continue
        components[name] = {}
        raw = definitions[name]
        components[name] = _translate(raw, wanted)
    for resource in found:
        name = resource.schema.reference or f"{group}.{version}.{resource.kind}"
        components[name]["x-kubernetes-group-version-kind"] = [_gvk(resource)]
    info = {"title": "Kubernetes", "version": version}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": components}}


def _gvk(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _paths(resource: Resource, name: str) -> Json:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    if resource.namespaced:
        root += "/namespaces/{namespace}"
    body = {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": COMPONENTS + name}}}}}

    def operation(action: str, *parameters: str) -> Json:
        listed = [{"name": p, "in": "query", "schema": {"type": "string", "uniqueItems": True}} for p in parameters]
        return {
            "parameters": listed,
            "responses": body,
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": _gvk(resource),
        }

    writing = ("dryRun", "fieldManager", "fieldValidation")
    return {
        f"{root}/{resource.plural}": {"get": operation("list"), "post": operation("post", *writing)},
        f"{root}/{resource.plural}/{{name}}": {
            "get": operation("get"),
            "put": operation("put", *writing),
            "patch": operation("patch", *writing, "force"),
            "delete": operation("delete", "dryRun"),
        },
    }


def _translate(raw: Any, wanted: list[str]) -> Any:
    """A definition in OpenAPI's own terms: the published files mark optional fields by a second type, null."""
    if isinstance(raw, list):
        return [_translate(item, wanted) for item in raw]
    if not isinstance(raw, dict):
        return raw
    result: Json = {}
    for key, value in raw.items():
        if key == "$ref" and isinstance(value, str):
            name = value.rsplit("/", 1)[-1]
            wanted.append(name)
            result[key] = COMPONENTS + name
        elif key == "type" and isinstance(value, list):
            result[key] = next((item for item in value if item != "null"), "object")
        elif key == "enum" and isinstance(value, list) and raw.get("type") == ["string", "null"]:
            continue  # apiVersion and kind, which OpenAPI leaves open
        else:
            result[key] = _translate(value, wanted)
    if isinstance(result.get("description"), str) and "$ref" in result:
        result["allOf"] = [{"$ref": result.pop("$ref")}]
    return result
