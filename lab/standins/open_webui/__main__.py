"""The HTTP server: routes, tokens, JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any, ClassVar

from lab.standins.open_webui.api import FORBIDDEN, Api, Asked, Handler, HttpError
from lab.standins.open_webui.database import Database
from lab.standins.open_webui.settings import Settings


class Connection(BaseHTTPRequestHandler):
    """One client's connection."""

    protocol_version = "HTTP/1.1"
    api: ClassVar[Api]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, answer = 200, self._handled(self.path.partition("?")[0].rstrip("/"), body)
        except HttpError as error:
            status, answer = error.status, {"detail": error.detail}
        except (IndexError, KeyError, TypeError, ValueError) as error:
            print(f"ERROR {self.command} {self.path}: {error!r}", flush=True)
            status, answer = 500, "Internal Server Error"
        print(f'INFO "{self.command} {self.path}" {status}', flush=True)
        data = json.dumps(answer).encode() if not isinstance(answer, str) else answer.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _answer

    def _handled(self, path: str, body: bytes) -> Any:
        parent, _, last = path.rpartition("/")
        path, rest = (parent, last) if last.isdigit() else (path, "")
        name = f"{self.command} {path}"
        try:
            asked = json.loads(body) if body else {}
        except ValueError:
            raise HttpError(422, [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error"}]) from None
        if handler := self.api.public.get(name):
            return handler(Asked(asked))
        handler, role = self._allowed(name)
        return handler(Asked(asked, rest, role))

    def _allowed(self, name: str) -> tuple[Handler, str]:
        handler = self.api.for_users.get(name) or self.api.for_admins.get(name)
        if handler is None:
            raise HttpError(404, "Not Found")
        kind, _, token = self.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer":
            raise HttpError(401, "Not authenticated")
        role = self.api.role_of(token)
        if name in self.api.for_admins and role != "admin":
            raise HttpError(401, FORBIDDEN)
        return handler, role

    def log_message(self, *_: object) -> None:
        """Requests have a line of their own."""


def main() -> int:
    """Serve until ended."""
    signal.signal(signal.SIGTERM, _stop)
    settings = Settings.read()
    settings.data.mkdir(parents=True, exist_ok=True)
    Connection.api = Api(settings, Database(settings))
    address = os.environ.get("LAB_ADDRESS", "0.0.0.0")  # noqa: S104 - a pod's network is its own
    ThreadingHTTPServer((address, settings.port), Connection).serve_forever()
    return 0


def _stop(*_: int | FrameType | None) -> None:
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
