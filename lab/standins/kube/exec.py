"""kubectl exec: the API server hands the connection on to the kubelet on the pod's node, and passes bytes both ways.

Only WebSockets are spoken, as kubectl does since 1.31; the older SPDY is refused as a proxy that cannot upgrade does.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode

from lab.standins.kube import logs
from lab.standins.kube.errors import ApiError, Json, bad_request, internal

Exec = Callable[[Json, str, str, Mapping[str, str]], socket.socket]
"""(pod, container, query, headers) -> the connection to its kubelet, before the answer is read; raises ApiError."""
OPTIONS = {"command": "command", "stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
"""What kubelets call them; and what is true is 1 to them."""
HEADERS = ("connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol")
PIECE = 65536


def from_kubelet(node_of: Callable[[str], Json | None], token: str, *, timeout: float = 30) -> Exec:
    """Ask the kubelet at the node's InternalIP: GET /exec/NAMESPACE/POD/CONTAINER, to be upgraded to a WebSocket."""

    def ask(pod: Json, container: str, query: str, headers: Mapping[str, str]) -> socket.socket:
        if headers.get("upgrade", "").lower() != "websocket":
            raise bad_request("unable to upgrade: only WebSocket connections are served")
        node = pod["spec"].get("nodeName")
        if not node:
            raise bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
        address, port = logs.kubelet(node_of(node), node)
        options = [(OPTIONS[name], value) for name, value in parse_qsl(query) if name in OPTIONS]
        asked = urlencode(
            [(name, value if name == "command" else str(int(value == "true"))) for name, value in options]
        )
        path = f"/exec/{pod['metadata']['namespace']}/{pod['metadata']['name']}/{container}?{asked}"
        passed = [f"{name}: {headers[name]}" for name in HEADERS if name in headers]
        lines = [f"GET {path} HTTP/1.1", f"Host: {address}", f"Authorization: Bearer {token}", *passed, "", ""]
        try:
            kubelet = socket.create_connection((address, port), timeout=timeout)
            kubelet.settimeout(None)
            kubelet.sendall("\r\n".join(lines).encode())
        except OSError as error:
            why = str(error.strerror or error).lower()
            raise internal(f"error dialing backend: dial tcp {address}:{port}: connect: {why}") from error
        return kubelet

    return ask


def allowed(pod: Json, wanted: str) -> str:
    """The container that is meant. Raises ApiError 400 when that is not clear, or nothing of the pod runs any more."""
    phase = (pod.get("status") or {}).get("phase")
    if phase in ("Succeeded", "Failed"):
        raise ApiError(400, "BadRequest", f"cannot exec into a container in a completed pod; current phase is {phase}")
    return logs.container_of(pod, wanted)


def relay(client: ssl.SSLSocket, kubelet: socket.socket) -> None:
    """Pass on what each says until one of them hangs up."""
    with kubelet:
        while True:
            ready = [client] if client.pending() else select.select([client, kubelet], [], [])[0]
            for source in ready:
                data = source.recv(PIECE)
                if not data:
                    return
                (kubelet if source is client else client).sendall(data)
