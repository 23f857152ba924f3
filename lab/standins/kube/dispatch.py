"""From a request to its answer: which path is what, and which method does what there."""

from __future__ import annotations

from lab.standins.kube import deletion, discovery, exec, forms, logs, openapi, selectors, subresources, watching
from lab.standins.kube.errors import Json, method_not_allowed, unknown_path
from lab.standins.kube.messages import Request, Response
from lab.standins.kube.place import Place
from lab.standins.kube.rest import APPLY_PATCH, Api

ROOT = ("/api", "/api/v1", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version")


class Dispatcher:
    """Answers requests from the objects of one cluster."""

    def __init__(self, api: Api, version: str, ask_logs: logs.Logs, ask_exec: exec.Exec) -> None:
        self._api = api
        self._version = version
        self._ask_logs = ask_logs
        self._ask_exec = ask_exec

    def answer(self, request: Request) -> Response:
        """The answer to a request. Raises ApiError for what goes wrong."""
        parts = [part for part in request.path.split("/") if part]
        match parts:
            case ["healthz" | "livez" | "readyz", *_]:
                return Response("ok", media_type="text/plain")
            case ["version"]:
                return Response(discovery.version(self._version))
            case ["api" | "apis"] if discovery.AGGREGATED in request.accept:
                body = discovery.aggregated(self._api.resources, core=parts == ["api"])
                return Response(body, media_type=discovery.AGGREGATED_TYPE)
            case _ if len(parts) < 4 and (found := self._discovery(parts)):
                return Response(found)
            case ["openapi", "v3"]:
                return Response(openapi.index(self._api.resources))
            case ["openapi", "v3", "api", version]:
                return Response(openapi.document(self._api.resources, "", version))
            case ["openapi", "v3", "apis", group, version]:
                return Response(openapi.document(self._api.resources, group, version))
            case ["api", version, *rest]:
                return self._objects(self._place("", version, rest), request)
            case ["apis", group, version, *rest]:
                return self._objects(self._place(group, version, rest), request)
        raise unknown_path()

    def _discovery(self, parts: list[str]) -> Json | None:
        """What the old form of discovery answers at a path; None where there is no such thing."""
        resources = self._api.resources
        match parts:
            case []:
                return {"paths": list(ROOT)}
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
        """The place that [namespaces/NAMESPACE/]PLURAL[/NAME[/SUBRESOURCE]] names."""
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces" and rest[2] != "status":
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource = [*rest, "", "", ""][:3]
        resource = self._api.resources.find(group, version, plural)
        if resource is None or len(rest) > 3 or (namespace and not resource.namespaced):
            raise unknown_path()
        if subresource and subresource not in resource.subresources:
            raise unknown_path()
        if name and resource.namespaced and not namespace:
            raise unknown_path()
        return Place(resource, namespace, name, subresource)

    def _objects(self, place: Place, request: Request) -> Response:
        if place.subresource not in ("", "status"):
            return self._subresource(place, request)
        api, resource = self._api, place.resource
        match request.method:
            case "GET" if request.flag("watch"):
                return self._watch(place, request)
            case "GET" if place.name:
                return Response(forms.one(resource, api.get(place), request))
            case "GET":
                return Response(self._list(place, request))
            case "POST" if not place.name:
                write = request.write
                made = api.create(place, request.document, write)
                return Response(forms.one(resource, made, request), 201, write.warnings)
            case "PUT" if place.name:
                write = request.write
                replaced = api.update(place, request.document, write)
                return Response(forms.one(resource, replaced, request), 200, write.warnings)
            case "PATCH" if place.name:
                return self._patch(place, request)
            case "DELETE" if place.name:
                return Response(deletion.delete(api, place, deletion.options(request.options, request.query)))
            case "DELETE":
                return Response(self._delete_all(place, request))
        raise method_not_allowed()

    def _patch(self, place: Place, request: Request) -> Response:
        write, created = request.write, False
        if request.media_type == APPLY_PATCH:
            write.manager = request.query.get("fieldManager", "")
            obj, created = self._api.apply(place, request.document, write)
        else:
            obj = self._api.patch(place, request.document, request.media_type, write)
        return Response(forms.one(place.resource, obj, request), 201 if created else 200, write.warnings)

    def _subresource(self, place: Place, request: Request) -> Response:
        api = self._api
        match place.subresource, request.method:
            case "log", "GET":
                pod = api.get(place)
                container = logs.container_of(pod, request.query.get("container", ""))
                options = {name: request.query[name] for name in logs.OPTIONS if name in request.query}
                return Response(stream=self._ask_logs(pod, container, options), media_type="text/plain")
            case "exec", "GET" | "POST":
                pod = api.get(place)
                container = exec.allowed(pod, request.query.get("container", ""))
                return Response(handed_on=self._ask_exec(pod, container, request.raw_query, request.headers))
            case "eviction", "POST":
                # kubectl drain sends protobuf, which is not read: an Eviction that names its pod, as the path does.
                wanted = request.options.get("deleteOptions") or {}
                return Response(subresources.evict(api, place, deletion.options(wanted, request.query)), 201)
            case "binding", "POST":
                return Response(subresources.bind(api, place, request.document), 201)
            case "scale", "GET":
                return Response(subresources.scale(api.get(place)))
            case "scale", "PUT":
                return Response(subresources.rescale(api, place, request.document, request.write))
            case "scale", "PATCH":
                wanted = subresources.patched_scale(api, place, request.document, request.media_type)
                return Response(subresources.rescale(api, place, wanted, request.write))
        raise method_not_allowed()

    @staticmethod
    def _matching(place: Place, request: Request) -> selectors.Match:
        by_label = selectors.labels(request.query.get("labelSelector", ""))
        by_field = selectors.fields(request.query.get("fieldSelector", ""), place.resource.collection)
        return lambda obj: by_label(obj) and by_field(obj) and place.name in ("", obj["metadata"]["name"])

    def _list(self, place: Place, request: Request) -> Json:
        match, store = self._matching(place, request), self._api.store
        with store.lock:
            found, version = store.list(place.resource.collection, place.namespace), store.version
        objects = [self._api.versioned(obj, place.resource) for obj in found if match(obj)]
        return forms.listed(place.resource, objects, version, request)

    def _delete_all(self, place: Place, request: Request) -> Json:
        wanted = deletion.options(request.options, request.query)
        match, store = self._matching(place, request), self._api.store
        with store.lock:
            gone = [obj for obj in store.list(place.resource.collection, place.namespace) if match(obj)]
            for obj in gone:
                where = Place(place.resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                deletion.delete(self._api, where, wanted)
            return forms.listed(place.resource, gone, store.version, request)

    def _watch(self, place: Place, request: Request) -> Response:
        def shown(obj: Json, first: bool) -> Json:
            return forms.one(place.resource, self._api.versioned(obj, place.resource), request, header=first)

        wanted, match = watching.options(request.query), self._matching(place, request)
        return Response(stream=watching.events(self._api.store, place, match, wanted, shown))
