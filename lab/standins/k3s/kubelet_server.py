"""What a node answers on port 10250: logs of pods, commands in them, and on the first server the CA for those who join.

Plain HTTP with the cluster's token; where the control plane is Kubernetes' own it is TLS, and the API server shows its
certificate. The CA is signed with the token: it is fetched before anything can be verified.
"""

import hashlib
import hmac
import http.client
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lab.standins.k3s import control_plane, remote_command
from lab.standins.k3s.containers import Container
from lab.standins.k3s.hostinfo import HostInfo
from lab.standins.k3s.launch import log_directory
from lab.standins.k3s.objects import Object, uid_of
from lab.standins.kube import exec, tls

PORT = 10250
FOLLOW_SECONDS = 0.25
CA_SECONDS = 5
HANDSHAKE_SECONDS = 10.0
PKI = Path("/var/lib/kubelet/pki")
SIGNATURE = "X-Signature"

FindPod = Callable[[str, str], Object | None]


class NoLog(Exception):
    """There is no such log; the text is the kubelet's."""


def fetch_ca(host: HostInfo) -> bytes:
    """The cluster's CA from its first server. Raises OSError while that does not answer, or not as who it should be."""
    connection = _connection(host.server)
    try:
        connection.request("GET", "/cacerts")
        answer = connection.getresponse()
        ca = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise OSError(f"https://{host.server}:6443/cacerts: {answer.status} {answer.reason}")
        if not hmac.compare_digest(answer.headers.get(SIGNATURE, ""), _sign(ca, host.token)):
            raise OSError("token CA hash does not match the Cluster CA certificate hash")
        return ca
    except http.client.HTTPException as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def _connection(address: str) -> http.client.HTTPConnection:
    if not control_plane.is_there():
        return http.client.HTTPConnection(address, PORT, timeout=CA_SECONDS)
    unverified = ssl._create_unverified_context()  # noqa: S323 - what it says is signed
    return http.client.HTTPSConnection(address, PORT, timeout=CA_SECONDS, context=unverified)


def _sign(data: bytes, token: str) -> str:
    return hmac.new(token.encode(), data, hashlib.sha256).hexdigest()


class KubeletServer:
    """Answers in threads of its own from `start` on."""

    def __init__(self, host: HostInfo, find_pod: FindPod, ca: Path) -> None:
        self.host, self.find_pod, self.ca = host, find_pod, ca

    def start(self) -> None:
        """Raises OSError when the port is taken."""
        server = _Server((self.host.me.address, PORT), _Handler)
        server.owner = self
        if control_plane.is_there():
            server.context = _tls(self.host.me.address, self.ca)
        threading.Thread(target=server.serve_forever, name="kubelet server", daemon=True).start()


def _tls(address: str, ca: Path) -> ssl.SSLContext:
    """A certificate of the node's own making, which nobody verifies; clients may have one of the cluster's."""
    files = tls.ensure(PKI, [address])
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(ca))
    context.load_cert_chain(files.certificate, files.key)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: KubeletServer
    context: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(HANDSHAKE_SECONDS)
        with self.context.wrap_socket(request, server_side=True) as secured:
            secured.settimeout(None)
            self._finish_secured(secured, client_address)

    def _finish_secured(self, secured: ssl.SSLSocket, client_address: Any) -> None:
        """The handler reads and writes from several threads, which TLS cannot do: it gets a plain connection."""
        plain, inside = socket.socketpair()
        relay = threading.Thread(target=exec.relay, args=(secured, inside), daemon=True)
        relay.start()
        with plain:
            (_Verified if secured.getpeercert() else _Handler)(plain, client_address, self)
        relay.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is its client's business."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    is_verified = False

    def do_GET(self) -> None:
        owner = self.server.owner
        parts = urlsplit(self.path)
        steps = parts.path.strip("/").split("/")
        if parts.path == "/cacerts" and owner.host.is_first_server:
            ca = owner.ca.read_bytes()
            self._answer(200, ca, {SIGNATURE: _sign(ca, owner.host.token)})
        elif not self.is_verified and not self._has_token():
            self._answer(401, b"Unauthorized")
        elif steps[0] == "containerLogs" and len(steps) == 4:
            self._logs(steps[1], steps[2], steps[3], {k: v[-1] for k, v in parse_qs(parts.query).items()})
        elif steps[0] == "exec" and len(steps) == 4:
            self._exec(steps[1], steps[2], steps[3], parts.query)
        else:
            self._answer(404, b"404 page not found\n")

    def _has_token(self) -> bool:
        given, token = self.headers.get("Authorization", ""), self.server.owner.host.token
        return hmac.compare_digest(given, f"Bearer {token}")

    def _exec(self, namespace: str, name: str, container: str, query: str) -> None:
        pod = self.server.owner.find_pod(namespace, name)
        found = Container.find(uid_of(pod), container) if pod else None
        if found is None or not found.alive():
            self._answer(404, f'unable to upgrade connection: container not found ("{container}")'.encode())
            return
        self.close_connection = True
        remote_command.serve(self, found, query)

    def _logs(self, namespace: str, name: str, container: str, options: dict[str, str]) -> None:
        pod = self.server.owner.find_pod(namespace, name)
        try:
            if pod is None:
                raise NoLog(f'pod "{name}" not found')
            file = current_log(pod, container, previous=options.get("previous") == "true")
        except NoLog as error:
            self._answer(400, str(error).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        for piece in read_log(file, options):
            self.wfile.write(piece)
            self.wfile.flush()

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not worth a line in the journal."""


class _Verified(_Handler):
    """For a client with a certificate of the cluster's authority, which only its API server has."""

    is_verified = True


def current_log(pod: Object, container: str, *, previous: bool) -> Path:
    """The log of the container's last run, or of the one before. Raises NoLog."""
    runs = sorted((log_directory(pod) / container).glob("*.log"), key=lambda p: int(p.stem))
    name = pod["metadata"]["name"]
    if previous:
        if len(runs) < 2:
            raise NoLog(f'previous terminated container "{container}" in pod "{name}" not found')
        return runs[-2]
    if not runs:
        status = pod.get("status") or {}
        states = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        waiting = next((s["state"].get("waiting") for s in states if s["name"] == container), None) or {}
        reason = waiting.get("reason", "ContainerCreating")
        raise NoLog(f'container "{container}" in pod "{name}" is waiting to start: {reason}')
    return runs[-1]


def read_log(file: Path, options: dict[str, str]) -> Iterator[bytes]:
    """The log, or its last lines; with `follow` also what is still to be written, until the file is removed."""
    with file.open("rb") as log:
        if options.get("tailLines"):
            lines = log.readlines()
            wanted = int(options["tailLines"])
            yield b"".join(lines[len(lines) - wanted :] if wanted else [])
        else:
            yield log.read()
        while options.get("follow") == "true" and os.fstat(log.fileno()).st_nlink:
            piece = log.read()
            if piece:
                yield piece
            else:
                time.sleep(FOLLOW_SECONDS)
