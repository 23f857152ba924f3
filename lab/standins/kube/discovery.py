"""Discovery: which groups, versions and resources there are, in the old and in the aggregated form."""

from __future__ import annotations

from collections.abc import Iterable

from lab.standins.kube.errors import Json
from lab.standins.kube.resources import VERBS, Resource, Resources

AGGREGATED = "g=apidiscovery.k8s.io;v=v2;"
AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
# Subresources whose objects are of another kind than their parent.
SUBRESOURCE_KINDS = {
    "scale": ("autoscaling", "v1", "Scale"),
    "eviction": ("policy", "v1", "Eviction"),
    "binding": ("", "v1", "Binding"),
}
SUBRESOURCE_VERBS = {"log": ["get"], "eviction": ["create"], "binding": ["create"]}


def groups(resources: Resources) -> dict[str, list[str]]:
    """The versions of each group but the core one."""
    found: dict[str, list[str]] = {}
    for resource in resources:
        versions = found.setdefault(resource.group, []) if resource.group else []
        if resource.version not in versions:
            versions.append(resource.version)
    return found


def group(name: str, versions: list[str]) -> Json:
    """One APIGroup."""
    entries = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": entries, "preferredVersion": entries[0]}


def group_list(resources: Resources) -> Json:
    """/apis in the old form."""
    found = [group(name, versions) for name, versions in groups(resources).items()]
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": found}


def resource_list(resources: Iterable[Resource], group_version: str) -> Json:
    """/api/v1 or /apis/GROUP/VERSION in the old form."""
    entries: list[Json] = []
    for resource in resources:
        entry: Json = {
            "name": resource.plural,
            "singularName": resource.singular or resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": list(VERBS),
        }
        if resource.short:
            entry["shortNames"] = list(resource.short)
        if resource.categories:
            entry["categories"] = list(resource.categories)
        entries.append(entry)
        for name in resource.subresources:
            _, _, kind = SUBRESOURCE_KINDS.get(name, ("", "", resource.kind))
            below: Json = {"name": f"{resource.plural}/{name}", "singularName": "", "namespaced": resource.namespaced}
            below |= {"kind": kind, "verbs": SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"])}
            if name in SUBRESOURCE_KINDS:
                below |= {"group": SUBRESOURCE_KINDS[name][0], "version": SUBRESOURCE_KINDS[name][1]}
            entries.append(below)
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}


def aggregated(resources: Resources, *, core: bool) -> Json:
    """/api (core) or /apis in the aggregated form."""
    found = {"": ["v1"]} if core else groups(resources)
    items = [
        {
            "metadata": {"name": name} if name else {},
            "versions": [
                {
                    "version": version,
                    "resources": [_aggregated(r) for r in resources if (r.group, r.version) == (name, version)],
                    "freshness": "Current",
                }
                for version in versions
            ],
        }
        for name, versions in found.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items}


def _aggregated(resource: Resource) -> Json:
    entry: Json = {
        "resource": resource.plural,
        "responseKind": {"group": resource.group, "version": resource.version, "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular or resource.kind.lower(),
        "verbs": list(VERBS),
    }
    if resource.short:
        entry["shortNames"] = list(resource.short)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = [_aggregated_subresource(resource, name) for name in resource.subresources]
    return entry


def _aggregated_subresource(resource: Resource, name: str) -> Json:
    group_name, version, kind = SUBRESOURCE_KINDS.get(name, (resource.group, resource.version, resource.kind))
    return {
        "subresource": name,
        "responseKind": {"group": group_name, "version": version, "kind": kind},
        "verbs": SUBRESOURCE_VERBS.get(name, ["get", "patch", "update"]),
    }


def version(git_version: str) -> Json:
    """/version of a server that calls itself `git_version`, e.g. v1.36.3+k3s1."""
    major, minor = git_version.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }
