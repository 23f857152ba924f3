"""The HTTPS server: TLS, bearer tokens, connections; the answers come from `dispatch`."""

from __future__ import annotations

import base64
import hmac
import json
import select
import socket
import ssl
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from lab.standins.kube import bootstrap, exec, tls
from lab.standins.kube.client import Client
from lab.standins.kube.deletion import Collector
from lab.standins.kube.dispatch import Dispatcher
from lab.standins.kube.errors import ApiError, Json, internal, unauthorized
from lab.standins.kube.logs import Logs, from_kubelet
from lab.standins.kube.messages import Request, Response
from lab.standins.kube.resources import NODES, Resources
from lab.standins.kube.rest import Api
from lab.standins.kube.store import Store

LARGEST_BODY = 3 * 1024 * 1024
HANDSHAKE_SECONDS = 10.0
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared with, not bound to


class Server:
    """A running API server. Use `serve` to make one."""

    def __init__(
        self,
        data: Path,
        listen: tuple[str, int],
        tokens: Mapping[str, str],
        files: tls.Files,
        version: str,
        ask_logs: Logs | None,
        kubelet_token: str,
    ) -> None:
        self.tokens = dict(tokens)
        self.files = files
        self.store = Store(data / "objects.sqlite")
        self.api = Api(self.store, Resources())
        self.dispatcher = Dispatcher(
            self.api,
            version,
            ask_logs or from_kubelet(self._node, kubelet_token),
            exec.from_kubelet(self._node, kubelet_token),
        )
        bootstrap.ensure(self.api)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        self._http = _Http(listen, self, context)
        self.address: tuple[str, int] = self._http.server_address[:2]  # type: ignore[assignment]  # IPv4: host, port
        Collector(self.api).start()
        threading.Thread(target=self._http.serve_forever, name="accept", daemon=True).start()

    def _node(self, name: str) -> Json | None:
        return self.store.get((NODES.collection, "", name))

    @property
    def url(self) -> str:
        """Where it answers on this host: https://ADDRESS:PORT."""
        address = "127.0.0.1" if self.address[0] == ANY_ADDRESS else self.address[0]
        return f"https://{address}:{self.address[1]}"

    def client(self, manager: str, url: str = "") -> Client:
        """A client that writes as `manager`, with the first token."""
        return Client(url or self.url, next(iter(self.tokens)), self.files.ca, manager)

    def close(self) -> None:
        """Stops accepting, ends watches, closes the store."""
        self._http.shutdown()
        self._http.server_close()
        self.store.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def serve(
    data: Path,
    tokens: Mapping[str, str],
    *,
    listen: tuple[str, int] = ("127.0.0.1", 6443),
    names: Sequence[str] = (),
    files: tls.Files | None = None,
    version: str = "v1.36.3+k3s1",
    logs: Logs | None = None,
    kubelet_token: str = "",
) -> Server:
    """Starts an API server in this process and returns it.

    `data` keeps its objects and, unless `files` are given, its certificates: made for `names`, the listening address
    and the usual in-cluster names. `tokens` maps bearer tokens to user names. Port 0 picks a free one. `logs` answers
    for pods' logs; without it the pod's kubelet is asked, with `kubelet_token`.
    """
    data.mkdir(parents=True, exist_ok=True)
    usual = [
        listen[0],
        "127.0.0.1",
        "localhost",
        socket.gethostname(),
        "10.43.0.1",
        "kubernetes",
        "kubernetes.default.svc",
    ]
    files = files or tls.ensure(data / "tls", [*names, *(name for name in usual if name != ANY_ADDRESS)])
    return Server(data, listen, tokens, files, version, logs, kubelet_token)


def kubeconfig(url: str, ca: Path, token: str, name: str = "default") -> str:
    """A kubeconfig (JSON, which is YAML) for `url`, with the authority's certificate in it."""
    authority = base64.b64encode(ca.read_bytes()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url, "certificate-authority-data": authority}}],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return json.dumps(document, indent=2) + "\n"


class _Http(ThreadingHTTPServer):
    """One thread a connection; the TLS handshake happens in that thread, so a silent client holds up nobody."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listen: tuple[str, int], owner: Server, context: ssl.SSLContext) -> None:
        self.owner = owner
        self._context = context
        super().__init__(listen, _Handler)

    def finish_request(self, request: Any, client_address: Any) -> None:
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request.settimeout(HANDSHAKE_SECONDS)
        try:
            secured = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return  # not TLS, or a client that does not trust us: it says so itself
        secured.settimeout(None)
        with secured:
            _Handler(secured, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is its client's business."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024

    def _respond(self) -> None:
        owner = cast(_Http, self.server).owner
        if owner.store.closed:
            self.close_connection = True
            return
        try:
            response = owner.dispatcher.answer(self._request(owner))
        except ApiError as error:
            response = Response(error.status, error.code)
        except (BrokenPipeError, ConnectionError):
            raise
        except Exception as error:  # a fault of the stand-in must reach whoever tests with it
            self.log_error("%s %s: %r", self.command, self.path, error)
            response = Response(internal(f"stand-in fault: {error!r}").status, 500)
        if response.handed_on is not None:
            self.close_connection = True
            exec.relay(self.connection, response.handed_on)
        elif response.stream is None:
            self._send_whole(response)
        else:
            self._send_stream(response)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _respond

    def _request(self, owner: Server) -> Request:
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.close_connection = True
            raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {LARGEST_BODY}")
        body = self.rfile.read(length) if length else self._chunks()
        kind, _, given = self.headers.get("Authorization", "").partition(" ")
        known = any(hmac.compare_digest(token.encode(), given.strip().encode()) for token in owner.tokens)
        if kind.lower() != "bearer" or not known:
            raise unauthorized()
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        return Request(self.command, unquote(url.path), query, headers, body, url.query)

    def _chunks(self) -> bytes:
        """A body sent in chunks."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return b""
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _head(self, response: Response) -> None:
        self.send_response(response.code)
        self.send_header("Content-Type", response.media_type)
        self.send_header("Cache-Control", "no-cache, private")
        for text in response.warnings:
            self.send_header("Warning", "299 - " + json.dumps(text))
        if response.code == 401:
            self.send_header("WWW-Authenticate", "Bearer")

    def _send_whole(self, response: Response) -> None:
        text = (
            response.body if isinstance(response.body, str) else json.dumps(response.body, separators=(",", ":")) + "\n"
        )
        content = text.encode()
        self._head(response)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _send_stream(self, response: Response) -> None:
        assert response.stream is not None
        self._head(response)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            for piece in response.stream:
                if piece:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                    self.wfile.flush()
                elif self._gone():
                    self.close_connection = True
                    return
            self.wfile.write(b"0\r\n\r\n")
        finally:
            close = getattr(response.stream, "close", None)
            if close:
                close()

    def _gone(self) -> bool:
        """Whether the client hung up: it has nothing to say while it listens, so anything readable is its goodbye."""
        return bool(select.select([self.connection], [], [], 0)[0])

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Requests are not logged; faults of the stand-in are, to standard error."""
