"""Requests and replies, and the small HTTP server under the API, with the manners of Go's net/http and gin."""

from __future__ import annotations

import html
import json
import os
import posixpath
import re
import select
import socket
import socketserver
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from itertools import chain
from typing import Any, ClassVar
from urllib.parse import unquote

from lab.standins.ollama import golang
from lab.standins.ollama.body import Body

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"


class ApiError(Exception):
    """An answer other than success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A whole answer."""

    body: bytes = b""
    content_type: str = ""
    status: int = 200

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        return cls(golang.encode_json(value).rstrip(b"\n"), JSON, status)

    @classmethod
    def text(cls, text: str, status: int = 200) -> Reply:
        return cls(text.encode(), TEXT, status)

    @classmethod
    def error(cls, error: ApiError) -> Reply:
        return cls.json({"error": str(error)}, error.status)


@dataclass(frozen=True)
class Stream:
    """An answer sent piece by piece. An ApiError before the first piece becomes the answer."""

    pieces: Iterator[bytes]
    content_type: str = NDJSON


@dataclass
class Request:
    """What a handler is given. Path parameters are decoded."""

    read: Callable[[int], bytes]
    parameters: dict[str, str]
    gone: Callable[[], bool]
    """Whether the client has closed its side."""

    def json(self) -> dict[str, Any]:
        """The body. Raises ApiError 400 if it is missing or no JSON object."""
        body = b"".join(iter(lambda: self.read(1 << 20), b""))
        if not body.strip():
            raise ApiError(400, "missing request body")
        try:
            value = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise ApiError(400, f"invalid JSON: {error}") from error
        if not isinstance(value, dict):
            raise wrong_type(value)
        return value


Handler = Callable[[Request], Reply | Stream]


class Routes:
    """Which handler answers what; `:name` in a pattern stands for one path segment."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, methods: str, pattern: str, handler: Handler) -> None:
        """Answer `pattern` for each of the space-separated `methods`."""
        compiled = re.compile(re.sub(r":(\w+)", r"(?P<\1>[^/]+)", pattern))
        self._routes += [(method, compiled, handler) for method in methods.split()]

    def find(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """The handler and its path parameters. Raises ApiError 404, or 405 if another method would do."""
        allowed = set()
        for known, pattern, handler in self._routes:
            if match := pattern.fullmatch(path):
                if known == method:
                    return handler, {key: unquote(value) for key, value in match.groupdict().items()}
                allowed.add(known)
        raise ApiError(405 if allowed else 404, ", ".join(sorted(allowed)))


class Connection(BaseHTTPRequestHandler):
    """One client's connection: reads requests, finds their handlers, writes their replies."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    routes: ClassVar[Routes]
    allows_host: ClassVar[Callable[[str], bool]]

    def handle_one_request(self) -> None:
        """Read and answer one request; a client that leaves ends the connection."""
        try:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            self._answer()
            self.wfile.flush()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def _answer(self) -> None:
        started, self._status = time.monotonic(), 0
        self._body = Body(self.rfile, self.headers)
        try:
            self._route()
        finally:
            self._log(time.monotonic() - started)
        if not self._body.finished:
            self.close_connection = True

    def _route(self) -> None:
        # Not self.path: http.server has folded a leading // there.
        path, _, query = self.requestline.split()[1].partition("?")
        # Go's mux cleans a path by redirect before any handler sees it, gin does so for a trailing slash.
        clean = posixpath.normpath("/" + path.lstrip("/"))
        if path.endswith("/") and clean != "/" and "//" in path:
            clean += "/"
        if clean != path and ("//" in path or "/." in path):
            self._redirect(clean, query, 307)
        else:
            self._dispatch(path, query)

    def _dispatch(self, path: str, query: str) -> None:
        try:
            if not type(self).allows_host(self.headers.get("Host", "")):
                self._send(Reply(status=403))
                return
            handler, parameters = self.routes.find(self.command, path)
        except ApiError as error:
            if path.endswith("/") and self._known(path.rstrip("/")):
                self._redirect(path.rstrip("/"), query, 301 if self.command == "GET" else 307)
                return
            extra = {"Allow": str(error)} if error.status == 405 else {}
            words = "404 page not found" if error.status == 404 else "405 method not allowed"
            self._send(Reply(words.encode(), "text/plain", error.status), extra)
            return
        try:
            reply = handler(Request(self._body.read, parameters, self._gone))
        except ApiError as error:
            reply = Reply.error(error)
        if isinstance(reply, Stream):
            self._stream(reply)
        else:
            self._send(reply)

    def _known(self, path: str) -> bool:
        try:
            self.routes.find(self.command, path)
        except ApiError:
            return False
        return True

    def _redirect(self, path: str, query: str, status: int) -> None:
        words = {301: "Moved Permanently", 307: "Temporary Redirect"}[status]
        reply = Reply(status=status)
        if self.command in ("GET", "HEAD"):
            reply = Reply(
                f'<a href="{html.escape(path)}">{words}</a>.\n\n'.encode(), "text/html; charset=utf-8", status
            )
        self._send(reply, {"Location": f"{path}?{query}" if query else path})

    def _send(self, reply: Reply, extra: dict[str, str] | None = None) -> None:
        self._status = reply.status
        self.send_response(reply.status)
        if reply.content_type:
            self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def _stream(self, stream: Stream) -> None:
        pieces = stream.pieces
        try:
            first = next(pieces, b"")
        except ApiError as error:
            self._send(Reply.error(error))
            return
        self._status = 200
        self.send_response(200)
        self.send_header("Content-Type", stream.content_type)
        # HTTP/1.0 knows no chunks: the end of the connection is the end of the answer.
        chunked = self.request_version != "HTTP/1.0"
        self.send_header(*(("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")))
        self.end_headers()
        for piece in chain([first], pieces):
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                self.wfile.flush()
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _gone(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def _log(self, seconds: float) -> None:
        # gin trusts every proxy: the first address of X-Forwarded-For counts as the client.
        client = self.headers.get("X-Forwarded-For", "").partition(",")[0].strip() or self.client_address[0]
        spent = f"{seconds:.6f}s" if seconds >= 1 else f"{seconds * 1000:.3f}ms"
        moment = f"{datetime.now().astimezone():%Y/%m/%d - %H:%M:%S}"
        line = f'[GIN] {moment} | {self._status} | {spent:>13} | {client:>15} | {self.command:<8} "{self.path}"\n'
        sys.stdout.write(line)
        sys.stdout.flush()

    def version_string(self) -> str:
        """No Server header says more than that this is the stand-in."""
        return "lab-stand-in-for-ollama"

    def log_message(self, *_: object) -> None:
        """Requests are logged in gin's form instead."""


class Server(socketserver.ThreadingTCPServer):
    """The listening socket: bound and listening when made, answering once `serve_forever` runs."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, routes: Routes, allows_host: Callable[[str], bool]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        handler = type("BoundConnection", (Connection,), {"routes": routes, "allows_host": staticmethod(allows_host)})
        super().__init__((address, port), handler)

    def handle_error(self, *_: object) -> None:
        """A handler's bug goes to the log with its traceback; the client sees a cut connection."""
        error = sys.exception()
        golang.log("ERROR", "panic in a handler", error=repr(error))


def wrong_type(value: Any, field: str = "", wanted: str = "") -> ApiError:
    """Go's complaint about a JSON value of the wrong type."""
    kinds = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    target = f"Go struct field .{field} of type {wanted}" if field else "Go value"
    return ApiError(400, f"json: cannot unmarshal {kinds.get(type(value), 'null')} into {target}")


def ndjson(values: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """One JSON object a line. An ApiError after the first line becomes a last line `{"error": …}`."""
    written = False
    try:
        for value in values:
            yield golang.encode_json(value)
            written = True
    except ApiError as error:
        if not written:
            raise
        yield golang.encode_json({"error": str(error)})


def loopback_hosts_only(host_header: str) -> bool:
    """The real server's rule for the Host header when it listens on a loopback address: no foreign names."""
    host = re.sub(r":\d+$", "", host_header).strip("[]").lower()
    if host in ("", "localhost", os.uname().nodename.lower()) or host.endswith((".localhost", ".local", ".internal")):
        return True
    return bool(re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*", host))
