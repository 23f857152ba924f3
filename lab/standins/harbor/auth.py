"""Who may talk to the registry: Harbor's robot accounts, by Basic authentication or by token.

Users are the lines `name:password` of a file that is read anew each time. Without the file everybody may pull.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

TOKEN_SECONDS = 1800
_SERVICE = "harbor-registry"


class Gate:
    """Checks credentials and gives out tokens. Its tokens die with it."""

    def __init__(self, users_file: Path) -> None:
        self._users_file = users_file
        self._key = secrets.token_bytes(32)

    @property
    def is_open(self) -> bool:
        """Whether nobody has to log in."""
        return not self._users_file.exists()

    def admits(self, authorization: str) -> bool:
        """Whether a request with this Authorization header may pass."""
        if self.is_open:
            return True
        kind, _, value = authorization.partition(" ")
        if kind.lower() == "basic":
            return self.knows(authorization)
        return kind.lower() == "bearer" and self._is_ours(value)

    def knows(self, authorization: str) -> bool:
        """Whether the header carries a user's name and password."""
        kind, _, value = authorization.partition(" ")
        try:
            given = base64.b64decode(value, validate=True)
        except ValueError:
            return False
        if kind.lower() != "basic":
            return False
        users = self._users_file.read_bytes().splitlines() if not self.is_open else []
        return any(hmac.compare_digest(given, line.strip()) for line in users if b":" in line)

    def challenge(self, host: str, path: str) -> str:
        """The WWW-Authenticate header that sends a client to the token service."""
        challenge = f'Bearer realm="https://{host}/service/token",service="{_SERVICE}"'
        parts = path.removeprefix("/v2/").split("/")
        for kind in ("manifests", "blobs", "tags"):
            if kind in parts[1:]:
                repository = "/".join(parts[: parts.index(kind, 1)])
                return f'{challenge},scope="repository:{repository}:pull"'
        return challenge

    def token(self) -> Mapping[str, object]:
        """The token service's answer to somebody who may have one."""
        expires = str(int(time.time()) + TOKEN_SECONDS)
        token = f"{expires}.{self._sign(expires)}"
        issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"token": token, "access_token": token, "expires_in": TOKEN_SECONDS, "issued_at": issued}

    def _is_ours(self, token: str) -> bool:
        expires, _, signature = token.partition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(expires).encode()):
            return False
        return int(expires) > time.time()

    def _sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


def error_body(code: str, message: str) -> bytes:
    """Harbor's form of an error."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()
