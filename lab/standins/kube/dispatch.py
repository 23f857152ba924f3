"""From an HTTP request to its answer: paths, parameters, and the forms an answer can take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from lab.standins.kube import deletion, discovery, logs, openapi, selectors, subresources, tables, watching
from lab.standins.kube.errors import (
    Json,
    bad_request,
    method_not_allowed,
    unknown_path,
    unsupported_media_type,
)
from lab.standins.kube.place import Place, Write
from lab.standins.kube.resources import NODES, PODS, Resource
from lab.standins.kube.rest import APPLY_PATCH, Api

PROTOBUF = "application/vnd.kubernetes.protobuf"
READABLE = ["application/json", "application/yaml"]


class _PlainLoader(yaml.SafeLoader):
    """YAML as the API reads it: dates stay text."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Request:
    """One request, its connection left out."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    user: str

    @property
    def accept(self) -> str:
        return self.headers.get("accept", "")

    def flag(self, name: str) -> bool:
        """Whether a boolean parameter is set."""
        return self.query.get(name) in ("true", "1")


@dataclass
class Response:
    """One answer: a body, or pieces that are sent as they come."""

    body: Json | str = ""
    code: int = 200
    warnings: list[str] = field(default_factory=list)
    stream: Iterator[bytes] | None = None
    media_type: str = "application/json"


class Dispatcher:
    """Answers requests from the objects of one cluster."""

    def __init__(self, api: Api, version: str, ask_logs: logs.Logs) -> None:
        self.api = api
        self._version = version
        self._ask_logs = ask_logs

    def answer(self, request: Request) -> Response:
        """The answer to a request. Raises ApiError for what goes wrong."""
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["healthz" | "livez" | "readyz", *_]:
                return Response("ok", media_type="text/plain")
            case ["version"]:
                return Response(discovery.version(self._version))
            case ["api" | "apis"] if discovery.AGGREGATED in request.accept:
                body = discovery.aggregated(self.api.resources, core=parts == ["api"])
                return Response(body, media_type=discovery.AGGREGATED_TYPE)
            case _ if len(parts) < 4 and (found := self._discovery(parts)):
                return Response(found)
            case ["openapi", "v3"]:
                return Response(openapi.index(self.api.resources))
            case ["openapi", "v3", "api", version]:
                return Response(openapi.document(self.api.resources, "", version))
            case ["openapi", "v3", "apis", group, version]:
                return Response(openapi.document(self.api.resources, group, version))
            case ["api", version, *rest]:
                return self._objects(self._place("", version, rest), request)
            case ["apis", group, version, *rest]:
                return self._objects(self._place(group, version, rest), request)
        raise unknown_path()

    def _discovery(self, parts: list[str]) -> Json | None:
        resources = self.api.resources
        if not parts:
            return {"paths": ["/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
        match parts:
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return discovery.group_list(resources)
            case ["apis", group] if group in discovery.groups(resources):
                body = discovery.group(group, discovery.groups(resources)[group])
                return {"kind": "APIGroup", "apiVersion": "v1", **body}
            case ["api", version] | ["apis", _, version]:
                group = parts[1] if parts[0] == "apis" else ""
                found = [r for r in resources if (r.group, r.version) == (group, version)]
                if found:
                    return discovery.resource_list(found, found[0].api_version)
        return None

    def _place(self, group: str, version: str, rest: list[str]) -> Place:
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] != "status":
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = [*rest, "", "", ""][:3]
        resource = self.api.resources.find(group, version, plural)
        if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
            raise unknown_path()
        if subresource and subresource not in resource.subresources:
            raise unknown_path()
        if name and resource.namespaced and not namespace:
            raise unknown_path()
        return Place(resource, namespace, name, subresource)

    def _objects(self, place: Place, request: Request) -> Response:
        """A request for objects."""
        if place.subresource not in ("", "status"):
            return self._subresource(place, request)
        match request.method:
            case "GET" if place.name and not request.flag("watch"):
                return Response(self._shown(place.resource, [self.api.get(place)], request, single=True))
            case "GET" if request.flag("watch"):
                return self._watch(place, request)
            case "GET":
                return Response(self._list(place, request))
            case "POST" if not place.name:
                write = self._write(request)
                created = self.api.create(place, self._body(request), write)
                return Response(self._single(place, created, request), 201, write.warnings)
            case "PUT" if place.name:
                write = self._write(request)
                return Response(
                    self._single(place, self.api.update(place, self._body(request), write), request),
                    200,
                    write.warnings,
                )
            case "PATCH" if place.name:
                return self._patch(place, request)
            case "DELETE" if place.name:
                wanted = deletion.options(self._options(request), request.query)
                return Response(deletion.delete(self.api, place, wanted))
            case "DELETE":
                return Response(self._delete_all(place, request))
        raise method_not_allowed()

    def _subresource(self, place: Place, request: Request) -> Response:
        match place.subresource, request.method:
            case "log", "GET":
                pod = self.api.get(place)
                container = logs.container_of(pod, request.query.get("container", ""))
                options = {name: request.query[name] for name in logs.OPTIONS if name in request.query}
                return Response(stream=self._ask_logs(pod, container, options), media_type="text/plain")
            case "eviction", "POST":
                return Response(
                    subresources.evict(self.api, place, self._options(request, lenient=True), request.query), 201
                )
            case "binding", "POST":
                return Response(subresources.bind(self.api, place, self._body(request)), 201)
            case "scale", "GET":
                return Response(subresources.scale(self.api.get(place)))
            case "scale", "PUT" | "PATCH":
                media_type = self._media_type(request) if request.method == "PATCH" else ""
                return Response(
                    subresources.rescale(self.api, place, self._body(request), media_type, self._write(request))
                )
        raise method_not_allowed()

    def _patch(self, place: Place, request: Request) -> Response:
        write, body, media_type = self._write(request), self._body(request), self._media_type(request)
        if media_type != APPLY_PATCH:
            changed = self.api.patch(place, body, media_type, write)
            return Response(self._single(place, changed, request), 200, write.warnings)
        write.manager = request.query.get("fieldManager", "")
        applied, created = self.api.apply(place, body, write)
        return Response(self._single(place, applied, request), 201 if created else 200, write.warnings)

    # Parameters and bodies

    @staticmethod
    def _write(request: Request) -> Write:
        if request.query.get("dryRun") not in (None, "", "All"):
            text = f'Invalid value: ["{request.query["dryRun"]}"]: dryRun must be empty or All'
            raise bad_request(f"dryRun: {text}")
        agent = request.headers.get("user-agent", "").split("/")[0] or "unknown"
        validation = request.query.get("fieldValidation") or "Warn"
        if validation not in ("Strict", "Warn", "Ignore"):
            raise bad_request(
                f'fieldValidation: Unsupported value: "{validation}": supported values: "", "Ignore", "Strict", "Warn"'
            )
        manager = request.query.get("fieldManager") or agent
        return Write(manager, request.query.get("dryRun") == "All", request.flag("force"), validation)

    @staticmethod
    def _media_type(request: Request) -> str:
        return request.headers.get("content-type", "application/json").split(";")[0].strip()

    def _body(self, request: Request) -> Any:
        media_type = self._media_type(request)
        if media_type == PROTOBUF or not ("json" in media_type or "yaml" in media_type):
            raise unsupported_media_type(READABLE)
        try:
            if request.body.lstrip()[:1] in (b"{", b"[") or "yaml" not in media_type:
                return json.loads(request.body)
            return yaml.load(request.body, _PlainLoader)  # noqa: S506 - a SafeLoader without dates
        except (ValueError, yaml.YAMLError) as error:
            raise bad_request(f"error decoding request body: {error}") from error

    def _options(self, request: Request, *, lenient: bool = False) -> Json:
        """A body that only holds options; `lenient` takes one that cannot be read (protobuf) as none."""
        if not request.body or (lenient and self._media_type(request) == PROTOBUF):
            return {}
        body = self._body(request)
        return body if isinstance(body, dict) else {}

    # Answers

    def _matching(self, place: Place, request: Request) -> selectors.Match:
        by_label = selectors.labels(request.query.get("labelSelector", ""))
        by_field = selectors.fields(request.query.get("fieldSelector", ""), place.resource.collection)
        return lambda obj: by_label(obj) and by_field(obj) and (not place.name or obj["metadata"]["name"] == place.name)

    def _list(self, place: Place, request: Request) -> Json:
        match = self._matching(place, request)
        with self.api.store.lock:
            found = self.api.store.list(place.resource.collection, place.namespace)
            metadata = {"resourceVersion": str(self.api.store.version)}
        objects = [self.api.versioned(obj, place.resource) for obj in found if match(obj)]
        return self._shown(place.resource, objects, request, metadata=metadata)

    def _shown(
        self,
        resource: Resource,
        objects: list[Json],
        request: Request,
        *,
        metadata: Json | None = None,
        single: bool = False,
    ) -> Json:
        """Objects in the form the request accepts: as they are, as a table, or their metadata only."""
        if "as=Table" in request.accept:
            meta = objects[0]["metadata"] if single else (metadata or {})
            shown = {"resourceVersion": meta.get("resourceVersion", "")}
            return tables.table(resource, objects, shown, request.query.get("includeObject", "Metadata"))
        if "as=PartialObjectMetadata" in request.accept:
            parts = [tables.partial(obj) for obj in objects]
            kind = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
            return parts[0] if single else {**kind, "metadata": metadata, "items": parts}
        if single:
            return objects[0]
        return {"kind": resource.lists_as, "apiVersion": resource.api_version, "metadata": metadata, "items": objects}

    def _single(self, place: Place, obj: Json, request: Request) -> Json:
        return self._shown(place.resource, [obj], request, single=True)

    def _delete_all(self, place: Place, request: Request) -> Json:
        wanted = deletion.options(self._options(request), request.query)
        match = self._matching(place, request)
        gone = []
        for obj in self.api.store.list(place.resource.collection, place.namespace):
            if match(obj):
                where = Place(place.resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                deletion.delete(self.api, where, wanted)
                gone.append(obj)
        return self._shown(place.resource, gone, request, metadata={"resourceVersion": str(self.api.store.version)})

    def _watch(self, place: Place, request: Request) -> Response:
        options = watching.options(request.query)

        def shown(obj: Json, first: bool) -> Json:
            obj = self.api.versioned(obj, place.resource)
            if "as=Table" in request.accept:
                include = request.query.get("includeObject", "Metadata")
                meta = {"resourceVersion": obj["metadata"]["resourceVersion"]}
                return tables.table(place.resource, [obj], meta, include, header=first)
            return tables.partial(obj) if "as=PartialObjectMetadata" in request.accept else obj

        events = watching.events(self.api.store, place, self._matching(place, request), options, shown)
        return Response(stream=events)

    def node(self, name: str) -> Json | None:
        """A node by name, for whoever asks kubelets."""
        return self.api.store.get((NODES.collection, "", name))

    def pod(self, namespace: str, name: str) -> Json | None:
        """A pod by name."""
        return self.api.store.get((PODS.collection, namespace, name))
