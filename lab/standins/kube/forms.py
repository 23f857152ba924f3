"""The forms in which a client may ask for objects: whole, as a table, or their metadata only."""

from __future__ import annotations

from lab.standins.kube import tables
from lab.standins.kube.errors import Json
from lab.standins.kube.messages import Request
from lab.standins.kube.resources import Resource


def one(resource: Resource, obj: Json, request: Request, *, header: bool = True) -> Json:
    """An object in the form that is asked for; `header` is whether a table names its columns."""
    if "as=Table" in request.accept:
        version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
        return tables.table(resource, [obj], version, _included(request), header=header)
    return tables.partial(obj) if "as=PartialObjectMetadata" in request.accept else obj


def listed(resource: Resource, objects: list[Json], version: int, request: Request) -> Json:
    """A list at a version, in the form that is asked for."""
    metadata: Json = {"resourceVersion": str(version)}
    if "as=Table" in request.accept:
        return tables.table(resource, objects, metadata, _included(request))
    if "as=PartialObjectMetadata" in request.accept:
        kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        return {**kind, "metadata": metadata, "items": [tables.partial(obj) for obj in objects]}
    return {"kind": resource.lists_as, "apiVersion": resource.api_version, "metadata": metadata, "items": objects}


def _included(request: Request) -> str:
    """What the rows of a table carry of their objects."""
    return request.query.get("includeObject", "Metadata")
