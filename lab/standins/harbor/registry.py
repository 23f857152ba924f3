"""A client of the registry's HTTP API (OCI distribution), as far as the stand-in needs it."""

from __future__ import annotations

import hashlib
import http.client
import json
from dataclasses import dataclass
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_ACCEPT = ", ".join(
    (
        MANIFEST_TYPE,
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)
_TIMEOUT_SECONDS = 30


class RegistryError(Exception):
    """The registry did not answer, or not as it should."""


@dataclass(frozen=True)
class Manifest:
    """A manifest as the registry has it."""

    digest: str
    media_type: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Registry:
    """The registry at `host:port`, spoken to without TLS: it is on this host."""

    address: str

    def connect(self) -> http.client.HTTPConnection:
        """A new connection, not yet open."""
        return http.client.HTTPConnection(self.address, timeout=_TIMEOUT_SECONDS)

    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self._call("GET", "/v2/")[0] == 200
        except RegistryError:
            return False

    def repositories(self) -> list[str]:
        """All repositories' names."""
        return list(self._json("/v2/_catalog?n=1000").get("repositories") or [])

    def tags(self, repository: str) -> list[str]:
        """A repository's tags; none if there is no such repository."""
        return sorted(self._json(f"/v2/{repository}/tags/list").get("tags") or [])

    def manifest(self, repository: str, reference: str) -> Manifest | None:
        """The manifest of a tag or digest, or None."""
        status, headers, body = self._call(
            "GET", f"/v2/{repository}/manifests/{reference}", headers={"Accept": _ACCEPT}
        )
        if status != 200:
            return None
        return Manifest(headers["Docker-Content-Digest"], headers["Content-Type"], json.loads(body))

    def push_blob(self, repository: str, content: bytes) -> dict[str, Any]:
        """Upload a blob unless it is there; its digest and size, as a manifest wants them."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if self._call("HEAD", f"/v2/{repository}/blobs/{digest}")[0] != 200:
            status, headers, body = self._call("POST", f"/v2/{repository}/blobs/uploads/")
            if status != 202:
                raise RegistryError(f"upload to {repository} refused: {status} {body!r}")
            location = headers["Location"]
            query = f"{'&' if '?' in location else '?'}digest={digest}"
            self._expect(201, "PUT", location + query, content, {"Content-Type": "application/octet-stream"})
        return {"digest": digest, "size": len(content)}

    def push_manifest(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        """Upload a manifest under a tag; its digest."""
        content = json.dumps(manifest, separators=(",", ":")).encode()
        path = f"/v2/{repository}/manifests/{tag}"
        return self._expect(201, "PUT", path, content, {"Content-Type": manifest["mediaType"]})["Docker-Content-Digest"]

    def _expect(
        self, wanted: int, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> http.client.HTTPMessage:
        status, received, answer = self._call(method, path, body, headers)
        if status != wanted:
            raise RegistryError(f"{method} {path}: {status} {answer!r}")
        return received

    def _json(self, path: str) -> dict[str, Any]:
        status, _, body = self._call("GET", path)
        return json.loads(body) if status == 200 else {}

    def _call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise RegistryError(f"the registry at {self.address} does not answer: {error}") from error
        finally:
            connection.close()
