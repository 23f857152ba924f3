"""What Kubernetes says of Open WebUI: its workload whatever its kind, its pods, and an Ollama beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from scout_ollama.errors import Trouble
from scout_ollama.manifests import MANAGER, KubeObject
from scout_ollama.pods import is_owned_by

CONTAINER = "open-webui"
KINDS = ("StatefulSet", "Deployment", "DaemonSet")


@dataclass(frozen=True)
class Claim:
    """A claimed volume: what was asked for, and the directory on the node that holds it, if it is one."""

    name: str
    size: str
    directory: str
    node: str


@dataclass(frozen=True)
class Embedded:
    """An Ollama in Open WebUI's namespace, which its chart or somebody else put there."""

    kind: str
    name: str
    replicas: int
    services: tuple[str, ...]
    claims: tuple[Claim, ...]

    @property
    def workload(self) -> str:
        """As kubectl names it: ``deployment/ollama``."""
        return f"{self.kind.lower()}/{self.name}"


@dataclass(frozen=True)
class Workload:
    """Open WebUI: ``environment`` has the entries of its container by name, ``managers`` who set each of them."""

    kind: str
    name: str
    namespace: str
    container: str
    image: str
    replicas: int
    environment: dict[str, KubeObject]
    managers: dict[str, str]
    volumes: tuple[str, ...]
    pods: tuple[str, ...]

    @property
    def workload(self) -> str:
        """As kubectl names it: ``statefulset/open-webui``."""
        return f"{self.kind.lower()}/{self.name}"

    def value(self, name: str) -> str | None:
        """The value of a variable; None where it is not set, or not by a plain value."""
        return self.environment.get(name, {}).get("value")


class NotThere(Trouble):
    """There is no Open WebUI where it should be, or more than one."""


def find(objects: Sequence[KubeObject], namespace: str) -> Workload:
    """Return Open WebUI's workload.

    Raises:
        NotThere: there is none, or more than one.
    """
    found = [obj for obj in objects if obj["kind"] in KINDS and _container(obj)]
    if len(found) != 1:
        names = ", ".join(f"{obj['kind']} {obj['metadata']['name']}" for obj in found)
        raise NotThere(
            f"there is no Open WebUI in namespace {namespace}"
            if not found
            else f"there are several Open WebUIs: {names}",
            why="looked for is a workload with a container open-webui, or of an image of that name",
            next="correct open_webui.namespace in the Scout's file; kubectl get statefulsets,deployments -A",
        )
    workload = found[0]
    container = _container(workload) or {}
    pod_spec = workload["spec"]["template"]["spec"]
    return Workload(
        kind=workload["kind"],
        name=workload["metadata"]["name"],
        namespace=namespace,
        container=container["name"],
        image=container["image"],
        replicas=int(workload["spec"].get("replicas", 1)),
        environment={entry["name"]: entry for entry in container.get("env") or []},
        managers=_managers(workload, container["name"]),
        volumes=tuple(volume["name"] for volume in pod_spec.get("volumes") or []),
        pods=tuple(sorted(pod["metadata"]["name"] for pod in _pods(objects, workload))),
    )


def embedded(objects: Sequence[KubeObject], volumes: Sequence[KubeObject]) -> Embedded | None:
    """Return an Ollama in the same namespace that is not ours."""
    for obj in objects:
        if obj["kind"] in KINDS[:2] and _runs_ollama(obj) and not _is_ours(obj) and not _container(obj):
            pod = obj["spec"]["template"]
            labels = pod["metadata"].get("labels", {})
            services = (o for o in objects if o["kind"] == "Service" and _selects(o, labels))
            return Embedded(
                kind=obj["kind"],
                name=obj["metadata"]["name"],
                replicas=int(obj["spec"].get("replicas", 1)),
                services=tuple(service["metadata"]["name"] for service in services),
                claims=tuple(_claims(obj, objects, volumes)),
            )
    return None


def is_address_of(url: str, embedded: Embedded | None, namespace: str) -> bool:
    """Whether a URL names the Ollama beside Open WebUI, or one that would be in its own pod, as its defaults do."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    if host in ("localhost", "127.0.0.1", "host.docker.internal", "") or url.startswith("/"):
        return True
    return any(is_service(url, service, namespace) for service in (embedded.services if embedded else ()))


def is_service(url: str, service: str, namespace: str) -> bool:
    """Whether a URL names a Service, as it is called within its namespace or from another one."""
    host = (urlsplit(url).hostname or "").removesuffix(".")
    qualified = f"{service}.{namespace}"
    return host in (service, qualified, f"{qualified}.svc", f"{qualified}.svc.cluster.local")


def _container(workload: KubeObject) -> KubeObject | None:
    for container in workload["spec"]["template"]["spec"]["containers"]:
        repository = container["image"].partition("@")[0].rpartition(":")[0] or container["image"]
        if container["name"] == CONTAINER or repository.endswith("/open-webui"):
            found: KubeObject = container
            return found
    return None


def _runs_ollama(workload: KubeObject) -> bool:
    images = [container["image"] for container in workload["spec"]["template"]["spec"]["containers"]]
    return any("/ollama:" in f"/{image.partition('@')[0]}:" for image in images)


def _is_ours(obj: KubeObject) -> bool:
    return bool(obj["metadata"].get("labels", {}).get("app.kubernetes.io/managed-by") == MANAGER)


def _managers(workload: KubeObject, container: str) -> dict[str, str]:
    """Who set each variable, by Kubernetes' record of fields."""
    managers: dict[str, str] = {}
    for entry in workload["metadata"].get("managedFields", []):
        fields = entry.get("fieldsV1", {})
        for step in ("f:spec", "f:template", "f:spec", "f:containers", f'k:{{"name":"{container}"}}', "f:env"):
            fields = fields.get(step, {})
        for key in fields:
            if key.startswith('k:{"name":"'):
                managers[key.removeprefix('k:{"name":"').removesuffix('"}')] = entry.get("manager", "?")
    return managers


def _pods(objects: Iterable[KubeObject], workload: KubeObject) -> Iterator[KubeObject]:
    """The pods that stay of a workload; a Deployment's are its ReplicaSets', so that their labels tell."""
    selector = workload["spec"]["selector"].get("matchLabels", {})
    for obj in objects:
        if obj["kind"] == "Pod" and not obj["metadata"].get("deletionTimestamp"):
            labels = obj["metadata"].get("labels", {})
            if is_owned_by(obj, workload) or all(labels.get(name) == value for name, value in selector.items()):
                yield obj


def _selects(service: KubeObject, labels: dict[str, str]) -> bool:
    selector = service["spec"].get("selector") or {}
    return bool(selector) and all(labels.get(name) == value for name, value in selector.items())


def _claims(workload: KubeObject, objects: Sequence[KubeObject], volumes: Sequence[KubeObject]) -> Iterator[Claim]:
    spec = workload["spec"]["template"]["spec"]
    named = {v["persistentVolumeClaim"]["claimName"] for v in spec.get("volumes") or [] if "persistentVolumeClaim" in v}
    prefixes = tuple(f"{t['metadata']['name']}-{workload['metadata']['name']}-" for t in _templates(workload))
    for obj in objects:
        name = obj["metadata"]["name"]
        if obj["kind"] == "PersistentVolumeClaim" and (name in named or (prefixes and name.startswith(prefixes))):
            bound = next((v for v in volumes if v["metadata"]["name"] == obj["spec"].get("volumeName")), None)
            yield Claim(name, obj["spec"]["resources"]["requests"]["storage"], *_place(bound))


def _templates(workload: KubeObject) -> Sequence[KubeObject]:
    return workload["spec"].get("volumeClaimTemplates") or ()


def _place(volume: KubeObject | None) -> tuple[str, str]:
    """Directory and node of a volume that is a directory on a node; empty otherwise."""
    if volume is None:
        return "", ""
    path = (volume["spec"].get("hostPath") or volume["spec"].get("local") or {}).get("path", "")
    for term in ((volume["spec"].get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms", []):
        for expression in term.get("matchExpressions", []):
            if expression["key"] == "kubernetes.io/hostname":
                return path, expression["values"][0]
    return path, ""
