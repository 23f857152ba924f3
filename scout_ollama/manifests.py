"""From an inventory to Kubernetes objects: the templates under ``manifests/``, filled in and labelled.

Rendering is pure: no host and no cluster is asked. Every value enters a template through ``tojson``, which YAML reads
as a quoted scalar, so no value can change the shape of an object.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from scout_ollama.errors import Trouble
from scout_ollama.inventory import (
    Cluster,
    Host,
    Ollama,
    OllamaCluster,
    ScoutCluster,
    SharedOllama,
    Site,
)
from scout_ollama.secrets import REDACTED

if TYPE_CHECKING:
    import jinja2

KubeObject = dict[str, Any]

# libyaml's, where PyYAML has it: what our own templates became needs no more, and the other takes ten times as long.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MANIFESTS = Path(__file__).resolve().parent.parent / "manifests"
MANAGER = "scout-ollama"
OWNED = {"app.kubernetes.io/managed-by": MANAGER}

DRAINED = "scout-ollama/drained"
"""Label of a node that Ollama leaves, and annotation that says by whom, when and why."""

# What a Scout may call on the shared endpoint. Everything that changes models stays inside the cluster.
EXPOSED_PATHS = (
    ("Exact", "/"),
    ("Exact", "/api/version"),
    ("Exact", "/api/tags"),
    ("Exact", "/api/ps"),
    ("Exact", "/api/show"),
    ("Exact", "/api/chat"),
    ("Exact", "/api/generate"),
    ("Exact", "/api/embed"),
    ("Exact", "/api/embeddings"),
    ("Prefix", "/v1"),
)


class ObjectKey(NamedTuple):
    """What names one object in a cluster; ``namespace`` is empty for cluster-wide kinds."""

    group: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """As a person reads it: ``DaemonSet ollama/ollama``."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def key_of(obj: Mapping[str, Any]) -> ObjectKey:
    """Return the key of an object; the API version is left out, as it does not name another object."""
    metadata = obj["metadata"]
    group, _, version = obj["apiVersion"].rpartition("/")
    return ObjectKey(group if version else "", obj["kind"], metadata.get("namespace", ""), metadata["name"])


@dataclass(frozen=True)
class Endpoint:
    """How Ollama is reached from other clusters: over HTTPS, from the allowed clients, by the exposed paths."""

    hostname: str
    certificate_base64: str
    key_base64: str
    allowed_clients: tuple[str, ...]
    paths: tuple[tuple[str, str], ...] = EXPOSED_PATHS


@dataclass(frozen=True)
class Admitted:
    """Whose pods the network policy lets in; no labels means every pod of the namespace."""

    reason: str
    namespace: str
    pod_labels: Mapping[str, str]


INGRESS_CONTROLLER = Admitted("the ingress controller", "kube-system", {"app.kubernetes.io/name": "traefik"})


def ollama_objects(site: Site, cluster: Cluster, *, with_secrets: bool = True) -> list[KubeObject]:
    """Return the objects that run Ollama on one cluster, in the order in which they are applied.

    A shared cluster is reached through its ingress; a Scout cluster in ``deploy`` mode only from Open WebUI's
    namespace. Without ``with_secrets`` certificate and key are not read: ``(redacted)`` stands there.

    Raises:
        Trouble: the cluster runs no Ollama, its GPU hosts differ in their number of GPUs, or the key cannot be read.
    """
    ollama = settings(cluster)
    if isinstance(cluster, OllamaCluster):
        endpoint: Endpoint | None = _endpoint(cluster.ollama, with_secrets)
        admitted = INGRESS_CONTROLLER
    else:
        assert isinstance(cluster, ScoutCluster)  # a staging cluster has no settings
        endpoint = None
        admitted = Admitted("Open WebUI's namespace", cluster.open_webui.namespace, {})
    values = {
        **_daemonset_values(site, cluster, ollama),
        "namespace": ollama.namespace,
        "air_gapped": cluster.air_gapped,
        "endpoint": endpoint,
        "admitted": admitted,
    }
    return render("ollama", values)


def ollama_hosts(cluster: Cluster) -> list[Host]:
    """Return the hosts that run an Ollama pod: those with the role ``gpu``, on a CPU-only cluster too."""
    return [host for host in cluster.hosts.values() if "gpu" in host.roles]


def store_path(site: Site, cluster: Cluster) -> str:
    """Return the directory on each node that its pod serves from: the node's copy, or the mounted share."""
    ollama, staging = settings(cluster), site.staging_of(cluster)
    return staging.ollama_nfs_path if staging and ollama.source == "nfs" else ollama.store


def least_gpu_memory_mib(gib: int) -> int:
    """Return what a card sold with so many GiB reports at least, in MiB.

    Cards report less than their name: 81559 MiB for 80 GB (H100), 46068 for 48 (L40S), 23034 for 24 (L4).
    """
    return gib * 950


def render(folder: str, values: Mapping[str, Any]) -> list[KubeObject]:
    """Fill in the numbered templates of one folder, in their order, and label each object as ours.

    Raises:
        jinja2.UndefinedError: a template names a value that is not given (our bug, never the user's).
    """
    objects: list[KubeObject] = []
    for path in sorted((MANIFESTS / folder).glob("[0-9]*.yaml.j2")):
        text = filled(f"{folder}/{path.name}", values)
        objects += [_labelled(obj, folder) for obj in yaml.load_all(text, Loader=_LOADER) if obj]
    return objects


def filled(template: str, values: Mapping[str, Any]) -> str:
    """Return the text of one template, named below ``manifests/``; raises as ``render`` does."""
    return _environment().get_template(template).render(values)


def to_yaml(objects: Iterable[KubeObject]) -> str:
    """Return objects as the YAML stream that ``kubectl apply -f -`` reads."""
    return yaml.safe_dump_all(objects, sort_keys=False, explicit_start=True, width=120)


def to_stdin(objects: Iterable[KubeObject]) -> bytes:
    """Return objects as the YAML stream for a script's standard input.

    A stream that is cut off with its connection may still be a shorter valid one, so the last line says that it is
    whole; the scripts that change something look for it.
    """
    return (to_yaml(objects) + "# end of objects\n").encode()


def images_of(objects: Iterable[KubeObject]) -> list[str]:
    """Return every container image that the objects name, in order, once each."""
    images: dict[str, None] = {}
    for obj in objects:
        pod = obj.get("spec", {}).get("template", {}).get("spec", {})
        for container in [*pod.get("initContainers", []), *pod.get("containers", [])]:
            images[container["image"]] = None
    return list(images)


def certificate_of(objects: Iterable[KubeObject]) -> str:
    """Return the PEM text of the certificate that the objects make the endpoint serve; empty if they have none."""
    encoded = (obj["data"]["tls.crt"] for obj in objects if obj.get("type") == "kubernetes.io/tls")
    return base64.b64decode(next(encoded, "")).decode()


def settings(cluster: Cluster) -> Ollama:
    """Return the Ollama that runs on a cluster.

    Raises:
        Trouble: none shall run there.
    """
    ollama = cluster.runs_ollama
    if ollama is None:
        raise Trouble(
            f"{cluster.name} runs no Ollama of its own",
            why="its ollama_mode is not deploy: the Ollama that it uses belongs to another cluster",
            next="inv list-hosts --hosts ollama",
        )
    return ollama


def _daemonset_values(site: Site, cluster: Cluster, ollama: Ollama) -> dict[str, Any]:
    hosts = ollama_hosts(cluster)
    memory = f"{ollama.memory_gib}Gi" if ollama.memory_gib else None
    return {
        "image": f"{ollama.image}:{ollama.version}",
        "drained": DRAINED,
        "node_names": [host.node for host in hosts],
        "gpus": _gpus_each(cluster.name, hosts),
        "cpu_only": ollama.cpu_only,
        "runtime_class": ollama.runtime_class,
        "min_gpu_memory_mib": ollama.min_gpu_memory_gib and least_gpu_memory_mib(ollama.min_gpu_memory_gib),
        "memory_request": memory or "4Gi",
        "memory_limit": memory,
        "keep_alive": ollama.keep_alive,
        "load_timeout": ollama.load_timeout,
        "optional_environment": _optional_environment(ollama),
        "nfs": ollama.source == "nfs",
        "store": store_path(site, cluster),
        "stop_delay_seconds": 5,
    }


def _optional_environment(ollama: Ollama) -> dict[str, int]:
    values = {
        "OLLAMA_CONTEXT_LENGTH": ollama.context_length,
        "OLLAMA_NUM_PARALLEL": ollama.num_parallel,
        "OLLAMA_MAX_LOADED_MODELS": ollama.max_loaded_models,
    }
    return {name: value for name, value in values.items() if value is not None}


def _gpus_each(cluster: str, hosts: Sequence[Host]) -> int:
    counts = {host.gpus for host in hosts}
    if len(counts) > 1:
        raise Trouble(
            f"the GPU hosts of {cluster} have different numbers of GPUs: {sorted(counts)}",
            why="one DaemonSet asks for the same number on each node, so some node would never get its pod",
            next=f"edit {cluster}.yaml: hosts.*.gpus, or put the odd hosts into a cluster of their own",
        )
    return counts.pop() if counts else 0


def _endpoint(ollama: SharedOllama, with_secrets: bool) -> Endpoint:
    certificate = key = REDACTED.encode()
    if with_secrets:
        certificate = ollama.tls.certificate.read_bytes()
        key = f"{ollama.tls.key.read().reveal()}\n".encode()
    return Endpoint(
        hostname=ollama.hostname,
        certificate_base64=base64.b64encode(certificate).decode(),
        key_base64=base64.b64encode(key).decode(),
        allowed_clients=tuple(str(network) for network in ollama.allowed_clients),
    )


def _labelled(obj: KubeObject, component: str) -> KubeObject:
    labels = {"app.kubernetes.io/name": component, "app.kubernetes.io/part-of": "scout", **OWNED}
    obj["metadata"]["labels"] = {**labels, **obj["metadata"].get("labels", {})}
    return obj


def _quoted(value: Any) -> str:
    """The value as JSON that is YAML too: JSON's escape of a character beyond U+FFFF is two characters to YAML."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if " " <= char <= "~" else f"\\U{ord(char):08x}" for char in text)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(MANIFESTS),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the output is YAML; every value goes through tojson
    )
    environment.policies["json.dumps_function"] = _quoted
    environment.policies["json.dumps_kwargs"] = {}
    return environment
