"""What of a Scout installation has to do with Ollama: Open WebUI as its chart makes it, with an Ollama beside it.

It is installed as Scout's playbook does it, past the product: by Helm's field manager, and with a first administrator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.labhost import LabHost

NAMESPACE = "scout-analytics"
ADMIN = "scout-deploy@scout-deploy.local"
PASSWORD = "correct-horse-battery-staple"  # noqa: S105 - a lab's
OLLAMA_IMAGE = "docker.io/ollama/ollama:0.24.0"
EMBEDDED_URL = f"http://ollama.{NAMESPACE}.svc.cluster.local:11434"
_LABELS = {"app.kubernetes.io/name": "open-webui", "app.kubernetes.io/component": "open-webui"}
_OLLAMA_LABELS = {"app.kubernetes.io/name": "ollama", "app.kubernetes.io/instance": "open-webui"}

Object = dict[str, Any]


@dataclass(frozen=True)
class OpenWebUi:
    """How Scout's chart was told to deploy it; ``embedded`` are the models of the Ollama beside it, None for none."""

    version: str = "0.11.0"
    replicas: int = 1
    kind: str = "StatefulSet"
    environment: Mapping[str, str] = field(default_factory=dict)
    embedded: Sequence[str] | None = ("tiny:latest",)

    @property
    def image(self) -> str:
        """The image with its tag."""
        return f"ghcr.io/open-webui/open-webui:{self.version}"


class Scout:
    """Scout on one host of a lab."""

    def __init__(self, host: LabHost) -> None:
        self.host = host
        self._token = ""

    def kubectl(self, *words: str, given: str = "", check: bool = True) -> str:
        """What kubectl prints."""
        return self.host.run(["k3s", "kubectl", "--namespace", NAMESPACE, *words], input=given, check=check).stdout

    def install(self, wanted: OpenWebUi, *, real: bool = False) -> None:
        """Install or upgrade it, and wait until it is ready; ``real``: Open WebUI itself, which its host has to see."""
        self.host.run(["tee", "/etc/lab/open-webui"], input="real\n" if real else "")
        images = [wanted.image, OLLAMA_IMAGE]
        self.host.run_module("lab.standins.k3s.import_images", *images)
        self.apply(*objects_of(wanted))
        if wanted.embedded is not None:
            self.wait_for_rollout("deployment/ollama")
            self.seed(*wanted.embedded)
        self.wait_until_ready(wanted)

    def apply(self, *objects: Object) -> None:
        """Apply objects as Helm does."""
        text = "\n---\n".join(map(json.dumps, objects))
        self.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", "-", given=text)

    def seed(self, *models: str) -> None:
        """Put models into the store of the embedded Ollama."""
        store = self.host.run(["sh", "-c", "echo /var/lib/rancher/k3s/storage/pvc-*_ollama"]).stdout.strip()
        self.host.run_module("lab.standins.models", "seed", f"{store}/models", *models)

    def wait_for_rollout(self, workload: str) -> None:
        """Return when all pods are of the newest template, and run."""
        self.kubectl("rollout", "status", workload, "--timeout=60s")

    def wait_until_ready(self, wanted: OpenWebUi) -> None:
        """Return when every replica answers that it is ready: Kubernetes does not know."""
        self.wait_for_rollout(f"{wanted.kind.lower()}/open-webui")
        for pod in self.pods():
            for _ in range(60):
                if self._is_ready(pod):
                    break
            else:
                raise AssertionError(self.kubectl("logs", pod, "--tail=40"))

    def _is_ready(self, pod: str) -> bool:
        """Wait for it inside of the pod, for ten seconds."""
        ask = (
            'n=0; until curl -sf http://127.0.0.1:8080/ready; do n=$((n+1)); [ "$n" -lt 50 ] || exit 1; sleep 0.2; done'
        )
        return '"status":true' in self.kubectl("exec", pod, "--", "sh", "-c", ask, check=False).replace(" ", "")

    def pods(self) -> list[str]:
        """The pods of Open WebUI."""
        found = self.kubectl("get", "pods", "-l", "app.kubernetes.io/name=open-webui", "-o", "name")
        return [name.removeprefix("pod/") for name in found.split()]

    def ask(self, path: str, body: Any = None, pod: str = "", token: str | None = None) -> Any:
        """What Open WebUI answers its administrator, in one pod: JSON, whatever the status."""
        bearer = self._bearer() if token is None else token
        words = ["curl", "--silent", "--max-time", "120", "--header", "Content-Type: application/json"]
        words += ["--header", f"Authorization: Bearer {bearer}"] if bearer else []
        words += [] if body is None else ["--data", json.dumps(body)]
        return json.loads(self.kubectl("exec", pod or self.pods()[0], "--", *words, f"http://127.0.0.1:8080{path}"))

    def _bearer(self) -> str:
        if not self._token:
            who = {"email": ADMIN, "password": PASSWORD}
            self._token = self.ask("/api/v1/auths/signin", who, token="")["token"]
        return self._token


def objects_of(wanted: OpenWebUi) -> list[Object]:
    """What Scout's chart makes of it, and the Ollama beside it."""
    embedded = [] if wanted.embedded is None else _embedded()
    secret = {"stringData": {"BOOTSTRAP_PASSWORD": PASSWORD, "WEBUI_SECRET_KEY": "a-lab-signs-with-this"}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        _named("v1", "Secret", "open-webui-secrets", **secret),
        _claim("open-webui"),
        _service("open-webui", _LABELS, 80, 8080),
        _workload(wanted),
        *embedded,
    ]


def _workload(wanted: OpenWebUi) -> Object:
    environment = {
        "OLLAMA_BASE_URLS": EMBEDDED_URL,
        "RAG_EMBEDDING_ENGINE": "ollama",
        "RAG_EMBEDDING_MODEL": "tiny:latest",
        "RAG_OLLAMA_BASE_URL": EMBEDDED_URL,
        "HF_HUB_OFFLINE": "1",
        "WEBUI_ADMIN_EMAIL": ADMIN,
        **wanted.environment,
    }
    container = {
        "name": "open-webui",
        "image": wanted.image,
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            _from_secret("WEBUI_ADMIN_PASSWORD", "BOOTSTRAP_PASSWORD"),
            _from_secret("WEBUI_SECRET_KEY", "WEBUI_SECRET_KEY"),
        ],
        "volumeMounts": [{"name": "data", "mountPath": "/app/backend/data"}],
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "open-webui"}}]
    pod = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 5}
    spec: Object = {
        "replicas": wanted.replicas,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS}, "spec": pod},
    }
    if wanted.kind == "StatefulSet":
        spec |= {"serviceName": "open-webui", "podManagementPolicy": "Parallel"}
    return _named("apps/v1", wanted.kind, "open-webui", spec=spec)


def _from_secret(name: str, key: str) -> Object:
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": "open-webui-secrets", "key": key}}}


def _embedded() -> list[Object]:
    container = {
        "name": "ollama",
        "image": OLLAMA_IMAGE,
        "env": [{"name": "OLLAMA_MODELS", "value": "/root/.ollama/models"}],
        "ports": [{"name": "http", "containerPort": 11434}],
        "volumeMounts": [{"name": "ollama-data", "mountPath": "/root/.ollama"}],
    }
    volumes = [{"name": "ollama-data", "persistentVolumeClaim": {"claimName": "ollama"}}]
    pod = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 5}
    template = {"metadata": {"labels": _OLLAMA_LABELS}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": _OLLAMA_LABELS}, "template": template}
    return [
        _claim("ollama"),
        _service("ollama", _OLLAMA_LABELS, 11434, 11434),
        _named("apps/v1", "Deployment", "ollama", spec=spec),
    ]


def _claim(name: str) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "30Gi"}}}
    return _named("v1", "PersistentVolumeClaim", name, spec=spec)


def _service(name: str, labels: Mapping[str, str], port: int, target: int) -> Object:
    spec = {"selector": dict(labels), "ports": [{"name": "http", "port": port, "targetPort": target}]}
    return _named("v1", "Service", name, spec=spec)


def _named(api_version: str, kind: str, name: str, **rest: Any) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "Helm"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}
