"""Kubernetes' own API server under test, with its controllers, in a network of its own as its ports are fixed."""

import ctypes
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from lab.standins.kube import bootstrap, server, tls
from lab.standins.kube.client import Client, Failure

ADDRESS, PORT = "192.0.2.11", 6443
SECONDS = 60
CLONE_NEWNET = 0x40000000
IN_A_NETWORK = f'ip link set lo up && ip address add {ADDRESS} dev lo && exec "$@"'
DEFINITION = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}


def start(program: Path, directory: Path, token: str) -> tuple[str, subprocess.Popen[str]]:
    """Start it with the kinds of K3s, and a kubeconfig in the directory; its address, once it is ready."""
    files = tls.ensure(directory / "tls", ["127.0.0.1"])
    tokens = directory / "tokens"
    tokens.write_text(f'{token},operator,1,"system:masters"\n')
    settings = {"data": directory / "data", "tls": files.ca.parent, "address": ADDRESS, "tokens": tokens}
    arguments = [f"-{name}={value}" for name, value in settings.items()]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", IN_A_NETWORK, "sh", program, *arguments], stderr=log, text=True
        )
    network = Path(f"/proc/{process.pid}/ns/net")
    while network.readlink() == Path("/proc/self/ns/net").readlink():
        time.sleep(0.01)
    url = _forward(network)
    (directory / "kubeconfig").write_text(server.kubeconfig(url, files.ca, token))
    _wait(Client(url, token, files.ca, "tests"))
    return url, process


def _wait(client: Client) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if client.find("v1/serviceaccounts", "default", namespace="default"):
                break
        except Failure:
            assert time.monotonic() < deadline, "it is not ready"
        time.sleep(0.1)
    for definition in bootstrap.definitions():
        client.apply("apiextensions.k8s.io/v1/customresourcedefinitions", {**DEFINITION, **definition})


def _forward(network: Path) -> str:
    """An address on this machine that leads into a network."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with network.open() as entered:
            assert ctypes.CDLL(None).setns(entered.fileno(), CLONE_NEWNET) == 0
        while True:
            client, _ = listener.accept()
            try:
                inside = socket.create_connection(("127.0.0.1", PORT))
            except OSError:
                client.close()
                continue
            for ends in ((client, inside), (inside, client)):
                threading.Thread(target=_copy, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"https://127.0.0.1:{listener.getsockname()[1]}"


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
