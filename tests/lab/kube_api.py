"""The API server under test, the stand-in or Kubernetes' own: a process of its own, used through a real kubectl."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import paths, rootfs
from lab.standins.kube.client import Client
from tests.lab import kubernetes_server

Json = dict[str, Any]
TOKEN = "an-operators-token"
SECONDS = 20
SERVERS = ("stand-in", pytest.param("kubernetes", marks=pytest.mark.kubernetes))
"""What a contract is tried against."""


def kubectl_path() -> str:
    """A real kubectl: the one SCOUT_LAB_KUBECTL names, else the one in the lab hosts' root file system."""
    given = os.environ.get("SCOUT_LAB_KUBECTL")
    return given or str(rootfs.directory() / "opt/lab/bin/kubectl")


@dataclass
class Cluster:
    """A running server."""

    directory: Path
    url: str
    process: subprocess.Popen[str]
    is_kubernetes: bool = False

    @property
    def ca(self) -> Path:
        return self.directory / "tls/ca.crt"

    def client(self, manager: str = "tests") -> Client:
        return Client(self.url, TOKEN, self.ca, manager)

    def kubectl(self, *arguments: str, given: Any = None) -> subprocess.CompletedProcess[str]:
        """Runs kubectl, with `given` (text, an object or a list of them) as its standard input."""
        text = given if isinstance(given, str) or given is None else "\n---\n".join(map(json.dumps, _listed(given)))
        return subprocess.run(
            [kubectl_path(), *arguments],
            env=self._environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def started(self, *arguments: str) -> subprocess.Popen[str]:
        """A kubectl that runs on."""
        return subprocess.Popen([kubectl_path(), *arguments], env=self._environment, stdout=subprocess.PIPE, text=True)

    @property
    def _environment(self) -> dict[str, str]:
        home = str(self.directory)
        return {"KUBECONFIG": f"{home}/kubeconfig", "HOME": home, "PATH": os.environ["PATH"]}

    def run(self, *arguments: str, given: Any = None) -> str:
        """What kubectl prints. Fails when it does."""
        done = self.kubectl(*arguments, given=given)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, given: Any = None) -> str:
        """The error of a kubectl that fails. Fails when it does not."""
        done = self.kubectl(*arguments, given=given)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} succeeded: {done.stdout}"
        return done.stderr.strip()

    def read(self, *arguments: str) -> Json:
        """`kubectl get ... -o json --show-managed-fields`."""
        found: Json = json.loads(self.run("get", *arguments, "-o", "json", "--show-managed-fields"))
        return found

    def apply(self, *objects: Json, manager: str = "scout-ollama", force: bool = False) -> str:
        """Server-side apply."""
        options = ["--server-side", "--field-manager", manager, *(["--force-conflicts"] if force else [])]
        return self.run("apply", *options, "-f", "-", given=list(objects))

    def stop(self) -> None:
        """Ends the server's process."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(SECONDS) == (-signal.SIGTERM if self.is_kubernetes else 0)
        if self.process.stdout:
            self.process.stdout.close()


def _listed(given: Any) -> list[Json]:
    return given if isinstance(given, list) else [given]


def start(directory: Path, port: int = 0) -> Cluster:
    """Starts a server on a free port; its data stays in `directory`."""
    tokens = directory / "tokens"
    tokens.write_text(f"{TOKEN},operator,1\n")
    command = [sys.executable, "-m", "lab.standins.kube", "--data", str(directory), "--listen", f"127.0.0.1:{port}"]
    process = subprocess.Popen(
        [*command, "--token-file", str(tokens)], cwd=paths.CHECKOUT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("serving https://"), f"the server did not start: {line}"
    return Cluster(directory, line.split()[1], process)


@contextmanager
def running(directory: Path, server: str = SERVERS[0]) -> Iterator[Cluster]:
    """A server for the length of a block."""
    cluster = start(directory) if server == SERVERS[0] else _start_kubernetes(directory)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _start_kubernetes(directory: Path) -> Cluster:
    if os.geteuid() != 0:
        pytest.skip("a network of its own is made by root on Linux; run the tests as root there")
    built = subprocess.run([paths.CHECKOUT / "scripts/build-kubernetes"], stdout=subprocess.PIPE, text=True, check=True)
    url, process = kubernetes_server.start(Path(built.stdout.strip()) / "kubernetes", directory, TOKEN)
    return Cluster(directory, url, process, is_kubernetes=True)


def namespace(name: str) -> Json:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def settings(name: str, space: str, **data: str) -> Json:
    """A ConfigMap."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": space}, "data": data}


def pod_spec(image: str = "docker.io/library/busybox:1", **more: Any) -> Json:
    """A pod's spec with one container, `main`."""
    return {"containers": [{"name": "main", "image": image}], **more}


def workload(kind: str, name: str, space: str, *, image: str = "docker.io/library/busybox:1", **spec: Any) -> Json:
    """A DaemonSet, Deployment or the like whose pods carry the label app=NAME."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod_spec(image)}
    body = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": space}, "spec": body}


def node(name: str, address: str = "127.0.0.1", port: int = 10250, **labels: str) -> Json:
    """A Node that is ready, as its kubelet registers it."""
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    times = {"lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {
        "addresses": [{"type": "InternalIP", "address": address}],
        "conditions": [{**ready, **times}],
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": status}
