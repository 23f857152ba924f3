"""Pulling an image: real requests to the registries that serve it, with containerd's words when they fail.

Layers are not downloaded: in the lab an image stands for a program that is already there. The manifest and the config
are, so a pull succeeds only where the real one could begin.
"""

import base64
import hashlib
import http.client
import json
import re
import socket
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from lab.standins.k3s.registries import Auth, Endpoint, Reference, Registries, Tls, parse_reference

DIAL_TIMEOUT = 30  # seconds, containerd's
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)
PLATFORM = {"os": "linux", "architecture": "amd64"}


class PullError(Exception):
    """A pull failed; the text is what the kubelet gets from containerd."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {message}")
        self.message = message


@dataclass(frozen=True)
class Image:
    """A pulled image: full name, digest of the manifest, image ID (digest of the config), bytes compressed."""

    name: str
    digest: str
    image_id: str
    size: int

    @property
    def repository(self) -> str:
        return parse_reference(self.name).repository

    @property
    def repo_digest(self) -> str:
        reference = parse_reference(self.name)
        return f"{reference.registry}/{reference.repository}@{self.digest}"


@dataclass(frozen=True)
class Response:
    """What a registry answered."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


class RequestError(Exception):
    """A request could not be made; the text is Go's."""


def pull(image: str, registries: Registries) -> Image:
    """Fetch manifest and config of `image` from the first endpoint that has it. Raises PullError."""
    try:
        reference = parse_reference(image)
    except ValueError as error:
        raise PullError("InvalidArgument", f'failed to parse image reference "{image}": {error}') from error
    endpoint = _resolve(reference, registries)
    try:
        return _fetch(reference, endpoint)
    except (RequestError, ValueError, KeyError) as error:
        raise PullError("Unknown", f'failed to pull and unpack image "{reference}": {error}') from error


def _resolve(reference: Reference, registries: Registries) -> Endpoint:
    """The first endpoint that has the manifest.

    When none has it, the error of the endpoint that got furthest is told, as containerd 2 does: what a mirror answered
    is not hidden by the default endpoint's failing name look-up.
    """
    worst, priority = f"{reference}: not found", 0
    code = "NotFound"
    for endpoint in registries.endpoints(reference.registry):
        try:
            answer = _request(endpoint, "HEAD", _manifest_path(reference, endpoint, reference.object))
        except RequestError as error:
            if priority < 1:
                worst, priority, code = str(error), 1, "Unknown"
            continue
        if answer.status < 300:
            return endpoint
        if answer.status == http.HTTPStatus.NOT_FOUND:
            if priority < 2:
                worst, priority, code = f"{reference}: not found", 2, "NotFound"
        elif priority < 3:
            worst, priority, code = _unexpected(reference, endpoint, answer.status), 3, "Unknown"
    raise PullError(
        code, f'failed to pull and unpack image "{reference}": failed to resolve reference "{reference}": {worst}'
    )


def _unexpected(reference: Reference, endpoint: Endpoint, status: int) -> str:
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return (
            "pull access denied, repository does not exist or may require authorization: "
            "authorization failed: no basic auth credentials"
        )
    url = endpoint.url + _manifest_path(reference, endpoint, reference.object)
    return f"unexpected status from HEAD request to {url}: {status} {http.HTTPStatus(status).phrase}"


def _fetch(reference: Reference, endpoint: Endpoint) -> Image:
    answer = _expect(_request(endpoint, "GET", _manifest_path(reference, endpoint, reference.object)), str(reference))
    digest = _digest(answer.body)
    if reference.digest and reference.digest != digest:
        raise ValueError(f"unexpected commit digest {digest}, expected {reference.digest}: failed precondition")
    manifest: dict[str, Any] = json.loads(answer.body)
    if "manifests" in manifest:
        child = _for_this_platform(manifest["manifests"])
        answer = _expect(_request(endpoint, "GET", _manifest_path(reference, endpoint, child)), child)
        manifest = json.loads(answer.body)
    config = manifest["config"]["digest"]
    blob = f"/{endpoint.repository(reference.repository)}/blobs/{config}"
    if _digest(_expect(_request(endpoint, "GET", blob), config).body) != config:
        raise ValueError(f"failed commit on ref: unexpected digest of {config}: failed precondition")
    size = sum(int(layer["size"]) for layer in manifest["layers"]) + int(manifest["config"]["size"])
    return Image(str(reference), digest, config, size)


def _for_this_platform(manifests: list[dict[str, Any]]) -> str:
    for entry in manifests:
        platform = entry.get("platform") or {}
        if all(platform.get(key) == value for key, value in PLATFORM.items()):
            return str(entry["digest"])
    raise ValueError("no match for platform in manifest: not found")


def _expect(answer: Response, what: str) -> Response:
    if answer.status != http.HTTPStatus.OK:
        raise ValueError(f"failed to copy: httpReadSeeker: failed open: {what}: unexpected status {answer.status}")
    return answer


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _manifest_path(reference: Reference, endpoint: Endpoint, object_: str) -> str:
    path = f"/{endpoint.repository(reference.repository)}/manifests/{object_}"
    # A mirror is told which registry it stands for.
    is_mirror = endpoint.host not in (reference.registry, "registry-1.docker.io")
    return f"{path}?{urlencode({'ns': reference.registry})}" if is_mirror else path


def _request(endpoint: Endpoint, method: str, path: str) -> Response:
    """One request, repeated with credentials when the registry asks for them."""
    url = endpoint.url + path
    accept = {"Accept": ", ".join((*MANIFESTS, "*/*"))}
    answer = _send(method, url, accept, endpoint.tls)
    if answer.status != http.HTTPStatus.UNAUTHORIZED:
        return answer
    authorization = _authorization(answer.headers.get("www-authenticate", ""), endpoint)
    if not authorization:
        return answer
    return _send(method, url, {**accept, "Authorization": authorization}, endpoint.tls)


def _authorization(challenge: str, endpoint: Endpoint) -> str | None:
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return _basic(endpoint.auth) if endpoint.auth else None
    if scheme.lower() != "bearer":
        return None
    fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    query = urlencode({key: fields[key] for key in ("service", "scope") if key in fields})
    headers = {"Authorization": _basic(endpoint.auth)} if endpoint.auth else {}
    answer = _send("GET", f"{fields.get('realm', '')}?{query}", headers, endpoint.tls)
    if answer.status != http.HTTPStatus.OK:
        return None
    token = json.loads(answer.body)
    return f"Bearer {token.get('token') or token.get('access_token')}"


def _basic(auth: Auth) -> str:
    return "Basic " + base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()


def _send(method: str, url: str, headers: dict[str, str], tls: Tls) -> Response:
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection = _connection(parts.scheme, parts.netloc, tls)
    try:
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        return Response(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    except (OSError, http.client.HTTPException) as error:
        why = go_error(error, parts.hostname or "", connection.port)
        raise RequestError(f'failed to do request: {method.capitalize()} "{url}": {why}') from error
    finally:
        connection.close()


def _connection(scheme: str, host: str, tls: Tls) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(host, timeout=DIAL_TIMEOUT)
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file)
    except OSError as error:
        raise RequestError(f"failed to load TLS files of {host}: open {tls.ca_file}: {error.strerror}") from error
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, timeout=DIAL_TIMEOUT, context=context)


def go_error(error: Exception, host: str, port: int) -> str:
    """A network error in the words of Go's net package, which is what the kubelet and containerd print."""
    dial = f"dial tcp {host}:{port}"
    match error:
        case ssl.SSLCertVerificationError():
            return f"tls: failed to verify certificate: x509: {_x509(error, host)}"
        case ssl.SSLError():
            return f"remote error: tls: {error.reason}"
        case socket.gaierror():
            return f"dial tcp: lookup {host}: no such host"
        case TimeoutError():
            return f"{dial}: i/o timeout"
        case ConnectionRefusedError():
            return f"{dial}: connect: connection refused"
        case ConnectionResetError():
            return f"read tcp {host}:{port}: read: connection reset by peer"
        case OSError():
            return f"{dial}: connect: {(error.strerror or str(error)).lower()}"
    return "EOF"


def _x509(error: ssl.SSLCertVerificationError, host: str) -> str:
    match error.verify_code:
        case 9 | 10:
            return "certificate has expired or is not yet valid"
        case 62 | 64:
            return f"certificate is not valid for any names, but wanted to match {host}"
    return "certificate signed by unknown authority"
