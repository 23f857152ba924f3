"""A cluster of the lab as its operator sees it: kubectl on the first server, and the hosts themselves."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import pytest

from lab.lab import Lab
from lab.labhost import LabHost
from lab.process import holds_in_time
from lab.topology import ClusterSpec, HostSpec, gpu_hosts

Object = dict[str, Any]
T = TypeVar("T")

TOPOLOGY = (
    ClusterSpec(
        "phi",
        "ollama",
        gpu_hosts("phi", 2),
        air_gapped=True,
        staging="staging",
        models=("tiny:latest",),
        gpu_operator="preinstalled",
    ),
    ClusterSpec("staging", "staging", (HostSpec("staging-1"),)),
    ClusterSpec("scout-prod", "scout", (HostSpec("scout-prod-1"),), air_gapped=True, ollama_cluster="phi"),
)
BUSYBOX = "docker.io/rancher/mirrored-library-busybox:1.37.0"  # on every node, as from K3s's air-gap archive
OLLAMA = "docker.io/ollama/ollama:0.24.0"
REGISTRIES = """
mirrors:
  docker.io: {endpoint: ["https://harbor.staging.example.edu"], rewrite: {"^(.*)$": "dockerhub-proxy/$1"}}
configs:
  harbor.staging.example.edu: {tls: {ca_file: /etc/rancher/k3s/harbor.crt}}
"""
SECONDS = 90.0


@pytest.fixture(scope="module")
def cluster(namespaces: None) -> Iterator["Cluster"]:  # noqa: ARG001  fixtures are asked for by name
    """A lab with two GPU nodes, Harbor and a Scout host; its nodes are ready, have a model, pull from Harbor."""
    with Lab.running(f"k3s-{os.getpid()}", TOPOLOGY) as lab:
        made = Cluster(lab)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda host: use_harbor(lab, host), made.gpu_hosts))
            list(pool.map(put_model, made.gpu_hosts))
        wait(lambda: made.kubectl("get", "nodes").count(" Ready ") == 2, lambda: made.kubectl("get", "nodes"))
        yield made


def use_harbor(lab: Lab, host: LabHost, registries: str = REGISTRIES) -> None:
    """What a deployment does to a node in an air gap: the mirror, its CA, and a restart of K3s."""
    host.run(["mkdir", "-p", "/etc/rancher/k3s"])
    host.run(["tee", "/etc/rancher/k3s/harbor.crt"], input=(lab.site / "secrets/ca.crt").read_text())
    host.run(["tee", "/etc/rancher/k3s/registries.yaml"], input=registries)
    host.run(["systemctl", "restart", "k3s"])


def put_model(host: LabHost) -> None:
    """A model in the store of a node, past everything that brings models to nodes."""
    host.run_module("lab.standins.models", "seed", "/var/lib/ollama", "tiny:latest")


class Cluster:
    """The cluster `phi` of a lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.server = lab.host("phi-gpu-1")
        self.gpu_hosts = [lab.host("phi-gpu-1"), lab.host("phi-gpu-2")]
        self.client = lab.host("scout-prod-1")

    def kubectl(self, *arguments: str, given: str = "", check: bool = True) -> str:
        """What kubectl prints, errors too when `check` is off."""
        done = self.server.run(["k3s", "kubectl", *arguments], input=given, check=check)
        return done.stdout if check else done.stdout + done.stderr

    def apply(self, *objects: Object) -> None:
        """Server-side apply; raises Trouble with what kubectl says."""
        self.kubectl("apply", "--server-side", "-f", "-", given="\n---\n".join(map(json.dumps, objects)))

    def namespace(self, name: str) -> str:
        """A namespace of its own for a test."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        found: Object = json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json"))
        return found

    def pods(self, namespace: str) -> list[Object]:
        found: list[Object] = json.loads(self.kubectl("-n", namespace, "get", "pods", "-o", "json"))["items"]
        return found

    def ready_pods(self, namespace: str, count: int) -> list[Object]:
        """The pods of a namespace once that many are ready and no others are there."""
        return wait(lambda: _all_ready(self.pods(namespace), count), lambda: self.story(namespace))

    def events(self, namespace: str) -> str:
        """Reasons and messages of all events."""
        columns = "custom-columns=REASON:.reason,MESSAGE:.message,COUNT:.count"
        return self.kubectl("-n", namespace, "get", "events", "-o", columns)

    def wait_for_event(self, namespace: str, text: str, seconds: float = SECONDS) -> None:
        wait(lambda: text in self.events(namespace), lambda: self.story(namespace), seconds)

    def story(self, namespace: str) -> str:
        """What a person would look at when a wait was in vain."""
        return self.kubectl("-n", namespace, "get", "pods", "-o", "wide") + self.events(namespace)


def wait(condition: Callable[[], T | None], story: Callable[[], str] = str, seconds: float = SECONDS) -> T:
    """What the condition gives as soon as that is true; the story is told when it does not become true in time."""
    found: list[T] = []

    def holds() -> bool:
        found[:] = [value] if (value := condition()) else []
        return bool(found)

    if not holds_in_time(holds, seconds):
        pytest.fail(f"not within {seconds:g} s\n{story()}")
    return found[0]


def _all_ready(pods: list[Object], count: int) -> list[Object]:
    ready = [p for p in pods if is_ready(p) and "deletionTimestamp" not in p["metadata"]]
    return ready if len(ready) == len(pods) == count else []


def is_ready(pod: Object) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def pod_spec(command: str = "exec sleep infinity", image: str = BUSYBOX, **container: object) -> Object:
    """A pod that runs a shell command and ends at once when told to."""
    made: Object = {"name": "main", "image": image, **container}
    if image == BUSYBOX:
        made["command"] = ["sh", "-c", f"trap 'exit 0' TERM; {command}"]
    return {"containers": [made], "terminationGracePeriodSeconds": 5}


def pod(namespace: str, name: str, spec: Object, **labels: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec,
    }


def workload(kind: str, namespace: str, name: str, spec: Object, **more: object) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
            **more,
        },
    }
