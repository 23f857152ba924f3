"""The HTTPS front: tokens and API answered here, /v2/ passed on to the registry piece by piece."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socketserver
import ssl
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import ClassVar

from lab.standins.harbor import api
from lab.standins.harbor.auth import Gate, error_body
from lab.standins.harbor.registry import Registry, RegistryError

_PIECE = 64 * 1024
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "authorization", "upgrade", "te", "trailer"}
_READING = {"GET", "HEAD"}


@dataclass(frozen=True)
class Settings:
    """Where to listen, with which certificate, in front of which registry."""

    address: str = ""
    port: int = 443
    certificate: Path = Path("/etc/lab/tls/harbor.crt")
    key: Path = Path("/etc/lab/tls/harbor.key")
    users: Path = Path("/etc/lab/harbor-users")
    registry: str = "localhost:5000"


class Front(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    registry: ClassVar[Registry]
    gate: ClassVar[Gate]

    def do_GET(self) -> None:
        """Answer any method: the name is what http.server looks for."""
        path, _, query = self.path.partition("?")
        try:
            if path == "/service/token":
                self._token()
            elif path.startswith(f"{api.PREFIX}/"):
                self._api(path, query)
            elif path == "/v2" or path.startswith("/v2/"):
                self._registry(path)
            else:
                self._send(404, error_body("NOT_FOUND", f"{path} not found"))
        except RegistryError as error:
            self._send(502, error_body("UNKNOWN", str(error)))
        except ConnectionError:
            self.close_connection = True

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _token(self) -> None:
        authorization = self.headers.get("Authorization", "")
        if self.gate.is_open or self.gate.knows(authorization):
            self._send(200, json.dumps(self.gate.token()).encode())
        else:
            self._send(401, error_body("UNAUTHORIZED", "unauthorized: invalid user name or password"))

    def _api(self, path: str, query: str) -> None:
        if self.command not in _READING:
            self._send(405, error_body("METHOD_NOT_ALLOWED", "the lab's stand-in for Harbor is read-only"))
            return
        public = path.removeprefix(api.PREFIX).strip("/") in ("ping", "health", "systeminfo")
        if not public and not self.gate.admits(self.headers.get("Authorization", "")):
            self._send(401, error_body("UNAUTHORIZED", "unauthorized"))
            return
        try:
            value = api.answer(self.registry, path, query)
        except api.NotFound as error:
            self._send(404, error_body("NOT_FOUND", str(error)))
            return
        if isinstance(value, str):
            self._send(200, value.encode(), "text/plain; charset=utf-8")
        else:
            count = {"X-Total-Count": str(len(value))} if isinstance(value, list) else {}
            self._send(200, json.dumps(value).encode(), extra=count)

    def _registry(self, path: str) -> None:
        if not self.gate.admits(self.headers.get("Authorization", "")):
            challenge = self.gate.challenge(self.headers.get("Host", "localhost"), path)
            body = error_body("UNAUTHORIZED", "unauthorized to access repository")
            self._send(401, body, extra={"WWW-Authenticate": challenge})
            return
        project = path.removeprefix("/v2/").partition("/")[0]
        if self.command not in _READING and project.endswith("-proxy"):
            self._send(403, error_body("DENIED", f"can not push artifact to a proxy project: {project}"))
            return
        connection = self.registry.connect()
        try:
            self._pass_on(connection)
        except (OSError, http.client.HTTPException) as error:
            raise RegistryError(f"the registry does not answer: {error}") from error
        finally:
            connection.close()

    def _pass_on(self, connection: http.client.HTTPConnection) -> None:
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                connection.putheader(name, value)
        connection.putheader("X-Forwarded-Proto", "https")
        connection.endheaders()
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            connection.send(piece)
            left -= len(piece)
        response = connection.getresponse()
        self.send_response(response.status)
        for name, value in response.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"date", "server"}:
                self.send_header(name, value)
        if response.headers.get("Content-Length") is None and self.command != "HEAD":
            # A length the registry does not tell ends with the connection.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        while piece := response.read(_PIECE):
            self.wfile.write(piece)

    def _send(
        self, status: int, body: bytes, content_type: str = "application/json", extra: dict[str, str] | None = None
    ) -> None:
        if int(self.headers.get("Content-Length") or 0) or self.headers.get("Transfer-Encoding"):
            # The request's body was not read: the connection cannot be used again.
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        """No Server header says more than that this is the stand-in."""
        return "lab-stand-in-for-harbor"


class Server(socketserver.ThreadingTCPServer):
    """The listening socket. TLS starts in each connection's own thread, so a slow client holds up nobody."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: Settings) -> None:
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(settings.certificate, settings.key)
        shared = {"registry": Registry(settings.registry), "gate": Gate(settings.users)}
        super().__init__((settings.address, settings.port), type("BoundFront", (Front,), shared))

    def finish_request(self, request: object, client_address: object) -> None:
        """Shake hands, then serve the connection."""
        try:
            encrypted = self._tls.wrap_socket(request, server_side=True)  # type: ignore[arg-type] # always a socket here
        except (ssl.SSLError, OSError):
            return
        super().finish_request(encrypted, client_address)
        encrypted.close()


def serve(settings: Settings) -> None:
    """Serve until SIGTERM. Raises OSError if the port is taken or a file is missing, ssl.SSLError for bad ones."""
    server = Server(settings)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.serve_forever()
