"""What K3s itself puts into a cluster: runtime and storage classes, and Traefik, which a HelmChartConfig may change."""

from collections.abc import Mapping
from typing import Any

import yaml

from lab.standins.images import TRAEFIK_IMAGE
from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.controllers import local_path
from lab.standins.k3s.hostinfo import KUBELET_KUBECONFIG
from lab.standins.k3s.journal import log
from lab.standins.k3s.objects import Object
from lab.standins.k3s.world import World, run_until_stopped

CONFIGS = "helm.cattle.io/v1/helmchartconfigs"
COLLECTIONS = (CONFIGS,)
NAMESPACE = "kube-system"
KUBECONFIG = str(KUBELET_KUBECONFIG)
RUNTIMES = ("nvidia", "nvidia-cdi", "nvidia-experimental", "crun")
PLURALS = {"DaemonSet": "apps/v1/daemonsets", "Deployment": "apps/v1/deployments"}
LABELS = {"app.kubernetes.io/name": "traefik", "app.kubernetes.io/instance": "traefik-kube-system"}
ROUND_SECONDS = 3600.0


class Addons:
    """Keeps the addons applied."""

    def __init__(self, api: Api, world: World, *, traefik: bool) -> None:
        self._api = api
        self._world = world
        self._traefik = traefik
        self._values: Mapping[str, Any] | None = None

    def run(self) -> None:
        """Until the world stops."""
        for runtime in RUNTIMES:
            self._api.apply("node.k8s.io/v1/runtimeclasses", runtime_class(runtime))
        self._api.apply("storage.k8s.io/v1/storageclasses", local_path.storage_class())
        if self._traefik:
            self._api.apply("networking.k8s.io/v1/ingressclasses", ingress_class())
            run_until_stopped(self._world, self._round, ROUND_SECONDS)

    def _round(self) -> None:
        config = self._world.get(CONFIGS, NAMESPACE, "traefik")
        try:
            values = chart_values(config)
            if values != self._values:
                self._install(values)
                self._values = values
        except (ApiError, ValueError) as error:
            log("error", f"helm upgrade --install traefik: {error}")

    def _install(self, values: Mapping[str, Any]) -> None:
        workload = traefik_workload(values)
        other = next(kind for kind in PLURALS if kind != workload["kind"])
        present = self._api.get(PLURALS[other], NAMESPACE, "traefik")
        if present is not None:
            self._api.delete(PLURALS[other], present)
        self._api.apply(PLURALS[workload["kind"]], workload)
        self._api.apply("v1/services", traefik_service(values))


def chart_values(config: Object | None) -> Mapping[str, Any]:
    """The values of a HelmChartConfig. Raises ValueError when they are not YAML, or not a mapping."""
    text = ((config or {}).get("spec") or {}).get("valuesContent") or ""
    try:
        values = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"failed to parse values: {error}") from error
    if not isinstance(values, dict):
        raise ValueError("failed to parse values: not a mapping")
    return values


def runtime_class(name: str) -> Object:
    """What `runtimeClassName` names; containerd knows the runtime by the same name."""
    return {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": name}


def ingress_class() -> Object:
    """Traefik's, the default one."""
    annotations = {"ingressclass.kubernetes.io/is-default-class": "true"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "traefik", "annotations": annotations, "labels": LABELS},
        "spec": {"controller": "traefik.io/ingress-controller"},
    }


def traefik_workload(values: Mapping[str, Any]) -> Object:
    """The Deployment or DaemonSet of Traefik's chart, as far as a cluster's other objects can tell."""
    deployment = values.get("deployment") or {}
    kind = deployment.get("kind", "Deployment")
    if kind not in PLURALS:
        raise ValueError(f"deployment.kind: {kind} is neither Deployment nor DaemonSet")
    rolling = {"maxUnavailable": 0, "maxSurge": 1} if kind == "Deployment" else {"maxUnavailable": 1}
    strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
    spec: Object = {
        "selector": {"matchLabels": LABELS},
        "template": {"metadata": {"labels": LABELS}, "spec": _pod_spec()},
        ("strategy" if kind == "Deployment" else "updateStrategy"): strategy,
    }
    if kind == "Deployment":
        spec["replicas"] = int(deployment.get("replicas", 1))
    metadata = {"name": "traefik", "namespace": NAMESPACE, "labels": LABELS}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def _pod_spec() -> Object:
    return {
        "containers": [
            {
                "name": "traefik",
                "image": TRAEFIK_IMAGE,
                "imagePullPolicy": "IfNotPresent",
                "ports": [{"name": "web", "containerPort": 8000}, {"name": "websecure", "containerPort": 8443}],
                "readinessProbe": {
                    "httpGet": {"path": "/ping", "port": 8080},
                    "failureThreshold": 1,
                    "periodSeconds": 2,
                    "timeoutSeconds": 2,
                },
                "volumeMounts": [{"name": "kubeconfig", "mountPath": KUBECONFIG, "readOnly": True}],
            }
        ],
        "volumes": [{"name": "kubeconfig", "hostPath": {"path": KUBECONFIG, "type": "File"}}],
        "priorityClassName": "system-cluster-critical",
        "terminationGracePeriodSeconds": 60,
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"},
        ],
    }


def traefik_service(values: Mapping[str, Any]) -> Object:
    """The LoadBalancer Service in front of it."""
    wanted = (values.get("service") or {}).get("spec") or {}
    policy = wanted.get("externalTrafficPolicy", "Cluster")
    if policy not in ("Cluster", "Local"):
        raise ValueError(f"service.spec.externalTrafficPolicy: {policy} is neither Cluster nor Local")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "traefik", "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "type": "LoadBalancer",
            "externalTrafficPolicy": policy,
            "selector": LABELS,
            "ports": [
                {"name": "web", "port": 80, "targetPort": "web"},
                {"name": "websecure", "port": 443, "targetPort": "websecure"},
            ],
        },
    }
