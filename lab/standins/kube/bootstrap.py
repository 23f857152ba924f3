"""What a K3s cluster has from its first start: namespaces, a Service, priority classes, its own and Traefik's kinds."""

from __future__ import annotations

from typing import Any

from lab.standins.kube.errors import Json
from lab.standins.kube.place import Place, Write
from lab.standins.kube.resources import DEFINITIONS
from lab.standins.kube.rest import Api

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
PRIORITIES = {"system-node-critical": 2000001000, "system-cluster-critical": 2000000000}


def ensure(api: Api) -> None:
    """Creates what is missing of it."""
    for name in NAMESPACES:
        _ensure(api, "v1", "Namespace", {"metadata": {"name": name}})
    for name, value in PRIORITIES.items():
        _ensure(api, "scheduling.k8s.io/v1", "PriorityClass", {"metadata": {"name": name}, "value": value})
    ports = [{"name": "https", "port": 443, "targetPort": 6443}]
    service = {
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"clusterIP": "10.43.0.1", "ports": ports},
    }
    _ensure(api, "v1", "Service", service)
    for definition in definitions():
        _ensure(api, DEFINITIONS.api_version, DEFINITIONS.kind, definition)


def _ensure(api: Api, api_version: str, kind: str, obj: Json) -> None:
    resource = api.resources.by_kind(api_version, kind)
    if resource is None:
        raise KeyError(kind)
    place = Place(resource, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
    if api.store.get(place.key) is None:
        api.create(place, {"apiVersion": api_version, "kind": kind, **obj}, Write("k3s"))


def _typed(kind: str, **rest: Any) -> Json:
    return {"type": kind, **rest}


def _object(*required: str, **properties: Json) -> Json:
    """An object type; `required` names some of its `properties`."""
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


TEXT, NUMBER, FLAG = _typed("string"), _typed("integer"), _typed("boolean")
OPEN: Json = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
INT_OR_TEXT: Json = {"x-kubernetes-int-or-string": True}
TEXTS = _list(TEXT)


def definition(
    group: str,
    version: str,
    kind: str,
    plural: str,
    spec: Json,
    *,
    short: str = "",
    scope: str = "Namespaced",
    status: bool = False,
) -> Json:
    """A CustomResourceDefinition with one version."""
    names: Json = {"kind": kind, "plural": plural, "singular": kind.lower(), "listKind": kind + "List"}
    if short:
        names["shortNames"] = [short]
    served: Json = {"name": version, "served": True, "storage": True}
    properties = {"spec": spec} | ({"status": OPEN} if status else {})
    served["schema"] = {"openAPIV3Schema": _object(**properties)}
    if status:
        served["subresources"] = {"status": {}}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "names": names, "scope": scope, "versions": [served]},
    }


def definitions() -> list[Json]:
    """The kinds of K3s's Helm controller (k3s-io/helm-controller) and of its Traefik.

    Specs are declared as far as this project uses them and open where it does not look.
    """
    chart = _object(
        chart=TEXT,
        version=TEXT,
        repo=TEXT,
        chartContent=TEXT,
        targetNamespace=TEXT,
        createNamespace=FLAG,
        bootstrap=FLAG,
        set=_typed("object", additionalProperties=INT_OR_TEXT),
        valuesContent=TEXT,
        values=OPEN,
        helmVersion=TEXT,
        jobImage=TEXT,
        backOffLimit=NUMBER,
        timeout=TEXT,
        failurePolicy=_typed("string", enum=["abort", "reinstall"]),
        repoCA=TEXT,
        insecureSkipTLSVerify=FLAG,
        plainHTTP=FLAG,
        repoCAConfigMap=_object(name=TEXT),
        valuesSecrets=_list(_object(name=TEXT, keys=TEXTS, ignoreUpdates=FLAG)),
        authSecret=_object(name=TEXT),
        authPassCredentials=FLAG,
        dockerRegistrySecret=_object(name=TEXT),
        podSecurityContext=OPEN,
        securityContext=OPEN,
        driver=TEXT,
        takeOwnership=FLAG,
    )
    config = _object(valuesContent=TEXT, values=OPEN, failurePolicy=_typed("string", enum=["abort", "reinstall"]))
    matched = _object(
        "match",
        match=TEXT,
        kind=_typed("string", enum=["Rule"]),
        priority=NUMBER,
        syntax=TEXT,
        middlewares=_list(_object("name", name=TEXT, namespace=TEXT)),
        services=_list({**_object("name", name=TEXT, namespace=TEXT, port=INT_OR_TEXT), **OPEN}),
    )
    route = _object("routes", entryPoints=TEXTS, routes=_list(matched), tls=OPEN)
    whole = {"TLSOption": "tlsoptions", "ServersTransport": "serverstransports", "TraefikService": "traefikservices"}
    certificate = _object("secretName", secretName=TEXT)
    store = _object(defaultCertificate=certificate, certificates=_list(certificate), defaultGeneratedCert=OPEN)
    return [
        definition("helm.cattle.io", "v1", "HelmChart", "helmcharts", chart, status=True),
        definition("helm.cattle.io", "v1", "HelmChartConfig", "helmchartconfigs", config),
        definition("traefik.io", "v1alpha1", "Middleware", "middlewares", middleware()),
        definition("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes", route),
        definition("traefik.io", "v1alpha1", "TLSStore", "tlsstores", store),
        *(definition("traefik.io", "v1alpha1", kind, plural, OPEN) for kind, plural in whole.items()),
    ]


def middleware() -> Json:
    """The spec of a Traefik Middleware: the kinds an allow-list, a redirect or a path rule needs, the others open."""
    allowed = _object(
        sourceRange=TEXTS,
        rejectStatusCode=NUMBER,
        ipStrategy=_object(depth=NUMBER, excludedIPs=TEXTS, ipv6Subnet=NUMBER),
    )
    prefixes = _object(prefixes=TEXTS, forceSlash=FLAG)
    replace_path = _object(regex=TEXT, replacement=TEXT)
    buffering = _object(
        maxRequestBodyBytes=NUMBER,
        memRequestBodyBytes=NUMBER,
        maxResponseBodyBytes=NUMBER,
        memResponseBodyBytes=NUMBER,
        retryExpression=TEXT,
    )
    kinds: tuple[str, ...] = (
        "addPrefix",
        "basicAuth",
        "chain",
        "circuitBreaker",
        "compress",
        "contentType",
        "digestAuth",
        "errors",
    )
    kinds += ("forwardAuth", "grpcWeb", "headers", "passTLSClientCert", "plugin", "rateLimit", "redirectRegex", "retry")
    return _object(
        **dict.fromkeys(kinds, OPEN),
        ipAllowList=allowed,
        ipWhiteList=allowed,
        inFlightReq=_object(amount=_typed("integer", minimum=0), sourceCriterion=OPEN),
        redirectScheme=_object(scheme=TEXT, port=TEXT, permanent=FLAG),
        replacePath=_object(path=TEXT),
        replacePathRegex=replace_path,
        stripPrefix=prefixes,
        stripPrefixRegex=_object(regex=TEXTS),
        buffering=buffering,
    )
