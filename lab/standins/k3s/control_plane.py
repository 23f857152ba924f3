"""Kubernetes' own control plane on the first server, where the lab has it, in place of the stand-in.

It is what `lab/kubernetes` is built to, or a real K3s without its agent: the node stays the lab's either way.
"""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.hostinfo import HostInfo
from lab.standins.k3s.journal import log
from lab.standins.kube import tls

DIRECTORY = Path("/opt/lab/kubernetes")
PROGRAM, K3S = "kubernetes", "k3s"
DEFINITIONS = "apiextensions.k8s.io/v1/customresourcedefinitions"
READY_SECONDS = 100
RETRY_SECONDS = 0.2


def is_there() -> bool:
    """Whether the lab's hosts have it."""
    return DIRECTORY.exists()


def start(data: Path, host: HostInfo, url: str, user: str) -> tls.Files:
    """Start it, with K3s's own kinds; returns once it is ready. It lives as long as the thread that calls this.

    `data` keeps its objects and certificates; `user` has the cluster's token. Raises OSError when it does not start.
    """
    data.mkdir(parents=True, exist_ok=True)
    names = ["127.0.0.1", "localhost", "10.43.0.1", "kubernetes.default.svc"]
    files = tls.ensure(data / "tls", [host.me.address, host.me.name, host.me.node_name, *names])
    # The API server would tell the service manager that it is ready, which the node is only later.
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    process = subprocess.Popen(_command(data, files, host, user), env=environment)
    api = Api(url, host.token, files.ca, "k3s")
    _wait(process, lambda: _has_its_first_objects(api))
    _wait(process, lambda: _has_the_kinds_of_k3s(api))
    threading.Thread(target=_end_with, args=(process,), name="control plane", daemon=True).start()
    return files


def _command(data: Path, files: tls.Files, host: HostInfo, user: str) -> list[str]:
    tokens = data / "cluster-token.csv"
    tokens.touch(mode=0o600)
    tokens.write_text(f'{host.token},{user},{user},"system:masters"\n')
    own = data / "control-plane"
    argv = _k3s(own, files, tokens, host) if (DIRECTORY / K3S).exists() else _built(own, files, tokens, host)
    return ["setpriv", "--pdeathsig", "KILL", *argv]


def _built(data: Path, files: tls.Files, tokens: Path, host: HostInfo) -> list[str]:
    settings = {"data": data, "tls": files.ca.parent, "address": host.me.address, "tokens": tokens}
    return [str(DIRECTORY / PROGRAM), *(f"-{name}={value}" for name, value in settings.items())]


def _k3s(data: Path, files: tls.Files, tokens: Path, host: HostInfo) -> list[str]:
    """K3s takes authorities that it finds in the place of its own (k3s-io/k3s, issue 1868), and makes all else."""
    authorities = data / "server/tls"
    authorities.mkdir(parents=True, exist_ok=True)
    for name in ("server-ca", "client-ca"):
        shutil.copyfile(files.ca, authorities / f"{name}.crt")
        shutil.copy(files.ca_key, authorities / f"{name}.key")
    return [
        str(DIRECTORY / K3S),
        "server",
        "--disable-agent",
        "--disable-cloud-controller",
        "--disable-helm-controller",
        "--disable-network-policy",
        "--disable=coredns,local-storage,metrics-server,servicelb,traefik",
        f"--data-dir={data}",
        f"--advertise-address={host.me.address}",
        f"--tls-san={host.me.address}",
        f"--write-kubeconfig={data / 'kubeconfig'}",
        # The lab's kubelets answer at their own address, with certificates of their own making.
        "--egress-selector-mode=disabled",
        "--flannel-backend=none",
        "--kube-apiserver-arg=kubelet-certificate-authority=",
        f"--kube-apiserver-arg=token-auth-file={tokens}",
        "--kube-controller-manager-arg=node-monitor-grace-period=6s",
        "--kube-controller-manager-arg=node-monitor-period=1s",
    ]


def _has_its_first_objects(api: Api) -> bool:
    return bool(api.get("v1/services", "default", "kubernetes") and api.get("v1/namespaces", "", "kube-node-lease"))


def _has_the_kinds_of_k3s(api: Api) -> bool:
    from lab.standins.kube import bootstrap  # only the first server pays for its schemas in time and memory

    for definition in bootstrap.definitions():
        kind = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
        api.apply(DEFINITIONS, {**kind, **definition})
    return True


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    """Until it is ready; while it starts it may not answer, or reset a connection. Raises OSError."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if is_ready():
                return
        except ApiError as error:
            log("debug", f"Waiting for API server: {error}")
        time.sleep(RETRY_SECONDS)
    raise OSError(f"the control plane is not ready after {READY_SECONDS} s, its exit status: {process.poll()}")


def _end_with(process: subprocess.Popen[bytes]) -> None:
    """A control plane that ends takes the service with it, so that it is seen, and started again."""
    log("fatal", f"the control plane ended with status {process.wait()}")
    os.kill(os.getpid(), signal.SIGTERM)
