"""The kinds of objects the server knows: built in, and those that CustomResourceDefinitions add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from lab.standins.kube import schema
from lab.standins.kube.errors import Json
from lab.standins.kube.schema import Schema

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`, of a custom kind (additionalPrinterColumns)."""

    name: str
    type: str
    path: str
    priority: int = 0


@dataclass(frozen=True)
class Resource:
    """A kind in one version, and how it is named in paths and on command lines."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    singular: str = ""
    list_kind: str = ""
    custom: Schema | None = field(default=None, compare=False)
    columns: tuple[Column, ...] = ()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def collection(self) -> str:
        """The name of its objects' collection, the same in all versions: daemonsets.apps."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def schema(self) -> Schema:
        return self.custom or schema.builtin(self.group, self.version, self.kind)

    @property
    def lists_as(self) -> str:
        return self.list_kind or self.kind + "List"

    @property
    def scales(self) -> bool:
        return "scale" in self.subresources


STATUS = ("status",)
SCALED = ("scale", "status")
WORKLOAD = ("all",)

BUILTIN = (
    Resource("", "v1", "Namespace", "namespaces", False, ("ns",), subresources=STATUS),
    Resource("", "v1", "Node", "nodes", False, ("no",), subresources=STATUS),
    Resource("", "v1", "Pod", "pods", True, ("po",), WORKLOAD, ("binding", "eviction", "exec", "log", "status")),
    Resource("", "v1", "Service", "services", True, ("svc",), WORKLOAD, STATUS),
    Resource("", "v1", "Endpoints", "endpoints", True, ("ep",), singular="endpoints"),
    Resource("", "v1", "Secret", "secrets"),
    Resource("", "v1", "ConfigMap", "configmaps", True, ("cm",)),
    Resource("", "v1", "ServiceAccount", "serviceaccounts", True, ("sa",)),
    Resource("", "v1", "Event", "events", True, ("ev",)),
    Resource("", "v1", "LimitRange", "limitranges", True, ("limits",)),
    Resource("", "v1", "ResourceQuota", "resourcequotas", True, ("quota",), subresources=STATUS),
    Resource("", "v1", "PersistentVolume", "persistentvolumes", False, ("pv",), subresources=STATUS),
    Resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", True, ("pvc",), subresources=STATUS),
    Resource("apps", "v1", "DaemonSet", "daemonsets", True, ("ds",), WORKLOAD, STATUS),
    Resource("apps", "v1", "Deployment", "deployments", True, ("deploy",), WORKLOAD, SCALED),
    Resource("apps", "v1", "StatefulSet", "statefulsets", True, ("sts",), WORKLOAD, SCALED),
    Resource("apps", "v1", "ReplicaSet", "replicasets", True, ("rs",), WORKLOAD, SCALED),
    Resource("apps", "v1", "ControllerRevision", "controllerrevisions"),
    Resource("batch", "v1", "Job", "jobs", True, (), WORKLOAD, STATUS),
    Resource("batch", "v1", "CronJob", "cronjobs", True, ("cj",), WORKLOAD, STATUS),
    Resource("networking.k8s.io", "v1", "Ingress", "ingresses", True, ("ing",), subresources=STATUS),
    Resource("networking.k8s.io", "v1", "IngressClass", "ingressclasses", False),
    Resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", True, ("netpol",)),
    Resource("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    Resource("rbac.authorization.k8s.io", "v1", "Role", "roles"),
    Resource("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
    Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", False),
    Resource("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", False),
    Resource("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", False),
    Resource("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", False, ("pc",)),
    Resource("coordination.k8s.io", "v1", "Lease", "leases"),
    Resource("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", True, ("pdb",), subresources=STATUS),
    Resource("storage.k8s.io", "v1", "StorageClass", "storageclasses", False, ("sc",)),
    Resource(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        False,
        ("crd", "crds"),
        ("api-extensions",),
        STATUS,
    ),
)
NAMESPACES, NODES = BUILTIN[:2]
DEFINITIONS = BUILTIN[-1]


class Resources:
    """Every kind that is served, by its place in paths."""

    def __init__(self) -> None:
        self._builtin = {(r.group, r.version, r.plural): r for r in BUILTIN}
        self._custom: dict[tuple[str, str, str], Resource] = {}
        self._stored: dict[str, Resource] = {r.collection: r for r in BUILTIN}

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource at a path."""
        return self._builtin.get((group, version, plural)) or self._custom.get((group, version, plural))

    def stored(self, collection: str) -> Resource | None:
        """The resource in the version its objects are stored in."""
        return self._stored.get(collection)

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource of an object's apiVersion and kind."""
        return next((r for r in self if r.api_version == api_version and r.kind == kind), None)

    def __iter__(self) -> Iterator[Resource]:
        return iter([*self._builtin.values(), *self._custom.values()])

    def define(self, definition: Json) -> None:
        """Serves what a CustomResourceDefinition defines, in place of what it defined before."""
        self.forget(definition)
        for resource, stored in custom_resources(definition):
            self._custom[resource.group, resource.version, resource.plural] = resource
            if stored:
                self._stored[resource.collection] = resource

    def forget(self, definition: Json) -> None:
        """Stops serving what a CustomResourceDefinition defines."""
        spec = definition["spec"]
        group, plural = spec["group"], spec["names"]["plural"]
        for place in [place for place in self._custom if place[0] == group and place[2] == plural]:
            del self._custom[place]
        self._stored.pop(f"{plural}.{group}", None)


def custom_resources(definition: Json) -> Iterator[tuple[Resource, bool]]:
    """The served versions of a CustomResourceDefinition, and whether each is the stored one."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        columns = tuple(
            Column(column["name"], column["type"], column["jsonPath"], column.get("priority", 0))
            for column in version.get("additionalPrinterColumns") or ()
        )
        resource = Resource(
            spec["group"],
            version["name"],
            names["kind"],
            names["plural"],
            spec["scope"] == "Namespaced",
            tuple(names.get("shortNames") or ()),
            tuple(names.get("categories") or ()),
            tuple(sorted(version.get("subresources") or ())),
            names.get("singular", ""),
            names.get("listKind", ""),
            _custom_schema((version.get("schema") or {}).get("openAPIV3Schema") or {}),
            columns,
        )
        yield resource, bool(version.get("storage"))


def _custom_schema(declared: Json) -> Schema:
    """The schema of a custom kind: what its definition declares, and the fields every object has."""
    text = {"type": "string"}
    metadata = {"$ref": schema.PREFIX + "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
    closed: Json = _closed(declared)
    properties = {**closed.get("properties", {}), "apiVersion": text, "kind": text, "metadata": metadata}
    return Schema({**closed, "type": "object", "properties": properties}, schema.published())


def _closed(raw: Json) -> Json:
    """A structural schema whose objects without `properties` have none, as opposed to any (published definitions)."""
    result = dict(raw)
    if isinstance(raw.get("items"), dict):
        result["items"] = _closed(raw["items"])
    if isinstance(raw.get("additionalProperties"), dict):
        result["additionalProperties"] = _closed(raw["additionalProperties"])
    elif raw.get("additionalProperties") is True:
        result["additionalProperties"] = {}
    if "properties" in raw:
        result["properties"] = {name: _closed(below) for name, below in raw["properties"].items()}
    elif raw.get("type") == "object" and "additionalProperties" not in result:
        result["properties"] = {}
    return result
