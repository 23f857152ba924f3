"""`k3s server` and `k3s agent`: what the unit k3s.service runs."""

import base64
import json
import os
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from lab.standins.k3s import addons, control_plane, hostinfo, kubelet, runtime
from lab.standins.k3s.api import Api
from lab.standins.k3s.controllers import manager
from lab.standins.k3s.events import Recorder
from lab.standins.k3s.gpu_operator import GpuOperator
from lab.standins.k3s.gpus import Ledger
from lab.standins.k3s.hostinfo import KUBELET_KUBECONFIG, HostInfo
from lab.standins.k3s.image_manager import ImageManager
from lab.standins.k3s.image_store import ImageStore
from lab.standins.k3s.journal import log
from lab.standins.k3s.kubelet_server import KubeletServer, fetch_ca
from lab.standins.k3s.node_agent import NodeAgent
from lab.standins.k3s.node_context import NodeContext
from lab.standins.k3s.pod_network import prepare_node
from lab.standins.k3s.world import World
from lab.standins.kube.tls import Files

DATA = Path("/var/lib/rancher/k3s")
K3S_YAML = Path("/etc/rancher/k3s/k3s.yaml")
CA = DATA / "agent/server-ca.crt"
USER = "system:admin"
API_PORT = 6443
RETRY_SECONDS = 0.3


def run() -> int:
    """Serve until SIGTERM; the exit status."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        host = hostinfo.read()
    except (OSError, KeyError, TypeError) as error:
        log("fatal", f"this host has no K3s in the lab: {error!r}")
        return 1
    try:
        lock = runtime.hold_lock()
        if not _start(host, stop):
            return 0
    except (runtime.RefusedError, OSError, sqlite3.Error, subprocess.CalledProcessError) as error:
        log("fatal", str(error))
        return 1
    stop.wait()
    os.close(lock)
    return 0


def _start(host: HostInfo, stop: threading.Event) -> bool:
    """Bring the node up; False when stopped before that. Raises RefusedError, and what a bad disk or network raises."""
    registries, containerd_config = runtime.configure()
    log("info", f"Starting k3s {host.version} (lab stand-in)")
    images = ImageStore()
    runtime.import_system_images(images)
    prepare_node(host)
    if host.is_first_server:
        _start_api(host)
    elif not _join(host, stop):
        return False
    _write_kubeconfigs(host)
    _Node(host, ImageManager(images, registries), containerd_config).start(stop)
    return True


def _start_api(host: HostInfo) -> None:
    if control_plane.is_there():
        files = control_plane.start(DATA / "server", host, f"https://127.0.0.1:{API_PORT}", USER)
    else:
        files = _start_stand_in(host)
    CA.parent.mkdir(parents=True, exist_ok=True)
    CA.write_bytes(files.ca.read_bytes())


def _start_stand_in(host: HostInfo) -> Files:
    from lab.standins.kube.server import serve  # only the first server pays for its schemas in time and memory

    names = [host.me.address, host.me.name, host.me.node_name]
    tokens = {host.token: USER}
    listen = ("0.0.0.0", API_PORT)  # noqa: S104 - the lab's own network namespace, as the real one
    return serve(
        DATA / "server", tokens, listen=listen, names=names, version=host.version, kubelet_token=host.token
    ).files


def _join(host: HostInfo, stop: threading.Event) -> bool:
    """Fetch the cluster's CA, waiting for the first server; False when stopped before that."""
    while not stop.is_set():
        try:
            ca = fetch_ca(host)
        except OSError as error:
            log("info", f"Waiting to retrieve agent configuration; server is not ready: {error}")
            stop.wait(RETRY_SECONDS)
            continue
        CA.parent.mkdir(parents=True, exist_ok=True)
        CA.write_bytes(ca)
        return True
    return False


def _write_kubeconfigs(host: HostInfo) -> None:
    url = f"https://{host.server}:{API_PORT}"
    _private(KUBELET_KUBECONFIG, kubeconfig(url, host.token))
    if host.is_server:
        own = f"https://127.0.0.1:{API_PORT}" if host.is_first_server else url
        _private(K3S_YAML, kubeconfig(own, host.token))


def kubeconfig(url: str, token: str) -> str:
    """A kubeconfig in JSON, which is YAML."""
    authority = base64.b64encode(CA.read_bytes()).decode()
    name = "default"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"certificate-authority-data": authority, "server": url}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {"token": token}}],
            "current-context": name,
        },
        indent=2,
    )


def _private(path: Path, text: str) -> None:
    """Write a file that only root can read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text)
    new.rename(path)


class _Node:
    """The threads of a node, and on the first server those of the cluster."""

    def __init__(self, host: HostInfo, images: ImageManager, containerd_config: str) -> None:
        self._host = host
        self._gpus = Ledger()
        self._recorder = Recorder(self._api("kubelet"), host.me.node_name)
        self._world = World(self._api("kubelet"), self._recorder, kubelet.COLLECTIONS)
        api = self._api("kubelet")
        self._agent = NodeAgent(api, host, self._gpus, self._world)
        context = NodeContext(host, api, self._world, self._recorder, images, self._gpus, containerd_config)
        self._kubelet = kubelet.Kubelet(context)

    def start(self, stop: threading.Event) -> None:
        """Start everything; returns when the node is registered."""
        KubeletServer(self._host, self._kubelet.pod, CA).start()
        self._world.start()
        if self._host.is_first_server:
            self._start_controllers()
        self._agent.register(stop)
        _notify_ready()
        _thread("node agent", lambda: self._agent.run(stop))
        _thread("kubelet", self._kubelet.run, after=self._world)

    def _start_controllers(self) -> None:
        api = self._api("k3s")
        recorder = Recorder(api, self._host.me.node_name)
        world = World(api, recorder, (*manager.COLLECTIONS, *addons.COLLECTIONS), quiet=(manager.LEASES,))
        world.start()
        traefik = addons.Addons(api, world, traefik=self._host.has_traefik)
        operator = GpuOperator(api, world)
        runs = (
            ("controllers", manager.Manager(world, only_k3s=control_plane.is_there()).run),
            ("addons", traefik.run),
            ("GPU operator", operator.run),
        )
        for name, run in runs:
            _thread(name, run, after=world)

    def _api(self, manager: str) -> Api:
        return Api(f"https://{self._host.server}:{API_PORT}", self._host.token, CA, manager)


def _thread(name: str, target: Callable[[], None], *, after: World | None = None) -> None:
    """A thread that begins when a world is complete. Its death by a defect ends the service, so that it is seen."""

    def guarded() -> None:
        try:
            if after is not None:
                after.wait_synced()
            target()
        except Exception as error:
            log("fatal", f"{name}: {type(error).__name__}: {error}")
            os.kill(os.getpid(), signal.SIGTERM)
            raise

    threading.Thread(target=guarded, name=name, daemon=True).start()


def _notify_ready() -> None:
    """Tell the service manager that the node is up (sd_notify)."""
    path = os.environ.get("NOTIFY_SOCKET")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(f"READY=1\nMAINPID={os.getpid()}".encode(), path)
