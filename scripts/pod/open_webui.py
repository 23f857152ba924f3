"""Runs inside Open WebUI's pod, where python3 is certain and nothing else. It comes over standard input, by lines:

the program itself (a JSON string, which the caller has read already), the administrator's password in base64, then one
JSON object: {"email", "token", "asks": [...]}. It prints one JSON object: {"token", "results": [...]} or {"error"}.

A password is used only if a token is needed and the given one is not taken. Keys of connections never leave the pod:
"(redacted)" stands for them, and what is sent back with that mark gets the saved ones again.
"""

import base64
import json
import os
import socket
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

REDACTED = "(redacted)"
SECRET = ("key", "headers")
NAMED = ("OLLAMA_", "AIOHTTP_CLIENT_S", "ENABLE_PERSISTENT", "RESET_CONFIG", "ENABLE_OLLAMA", "RAG_OLLAMA_BASE_URL")
Json = dict[str, Any]
BASE = "http://127.0.0.1:" + os.environ.get("PORT", "8080")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Refused(Exception):
    """Why nothing more can be asked; `kind` tells the runner which of the known reasons it is."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Session:
    """Signed in at most once."""

    def __init__(self, password: str, request: Json) -> None:
        self.password, self.email, self.token = password, request["email"], request.get("token") or ""
        self.new_token = ""

    def call(self, path: str, body: Any = None, seconds: float = 60) -> tuple[int, Any]:
        """Return status and answer of one call, as the administrator."""
        status, answer = send(path, body, self.token, seconds) if self.token else (401, None)
        if status == 401 and not self.new_token:
            self.sign_in()
            status, answer = send(path, body, self.token, seconds)
        return status, answer

    def get(self, path: str) -> Any:
        """Return the answer of a call that has to succeed."""
        status, answer = self.call(path)
        if status != 200:
            raise Refused("refused", f"{path}: HTTP {status} {detail(answer)}")
        return answer

    def sign_in(self) -> None:
        """Get a token; raise Refused with the reason."""
        if not self.password:
            raise Refused("password", "the Secret has no BOOTSTRAP_PASSWORD")
        status, answer = send("/api/v1/auths/signin", {"email": self.email, "password": self.password})
        if status != 200 or "token" not in answer:
            kind = {400: "password", 403: "forbidden", 429: "limited"}.get(status, "refused")
            raise Refused(kind, f"HTTP {status} {detail(answer)}")
        if answer.get("role") != "admin":
            raise Refused("forbidden", f"{self.email} is {answer.get('role')}, not an administrator")
        self.token = self.new_token = answer["token"]


def send(path: str, body: Any = None, token: str = "", seconds: float = 60) -> tuple[int, Any]:
    """Return status and answer of one call to Open WebUI in this pod; raise Refused if nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = "Bearer " + token
    try:
        asked = urllib.request.Request(BASE + path, data, headers)  # noqa: S310 - this pod's own
        with DIRECT.open(asked, timeout=seconds) as answer:
            return answer.status, parsed(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, parsed(error.read())
    except (OSError, ValueError) as error:
        raise Refused("silent", f"{path}: {getattr(error, 'reason', error)}") from error


def parsed(text: bytes) -> Any:
    """The JSON of an answer, or its first characters as an error of FastAPI's form."""
    try:
        return json.loads(text)
    except ValueError:
        return {"detail": text[:200].decode(errors="replace")}


def detail(answer: Any) -> str:
    """What an error says."""
    found = answer.get("detail") if isinstance(answer, dict) else answer
    return found if isinstance(found, str) else json.dumps(found)


def redacted(value: Any) -> Any:
    """The value without the keys of connections."""
    if isinstance(value, dict):
        return {name: REDACTED if name in SECRET and below else redacted(below) for name, below in value.items()}
    return [redacted(below) for below in value] if isinstance(value, list) else value


def filled(config: Json, saved: Json) -> Json:
    """The configuration of a connection, with what is redacted in it as it is saved now for the same URL."""
    for name, value in config.items():
        if name in SECRET and value == REDACTED and not saved.get(name):
            raise Refused("key", f"the {name} of a connection is not saved any more")
    return {name: saved[name] if name in SECRET and value == REDACTED else value for name, value in config.items()}


def by_url(connection: Json) -> Json:
    """The configuration of each connection, by its URL."""
    configs, urls = connection.get("OLLAMA_API_CONFIGS") or {}, connection.get("OLLAMA_BASE_URLS") or []
    return {url: configs.get(str(at), configs.get(url, {})) for at, url in enumerate(urls)}


def facts(session: Session, ask: Json) -> Json:
    """What Open WebUI itself says of its configuration, and whether it reaches the Ollama at the URL in `reach`."""
    version = send("/api/version")[1].get("version", "")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < (0, 10):
        return {"version": version}
    names = {"connection": "/ollama/config", "embedding": "/api/v1/retrieval/embedding"}
    names.update(tasks="/api/v1/tasks/config", defaults="/api/v1/configs/models", presets="/api/v1/models/export")
    found = {name: redacted(session.get(path)) for name, path in names.items()}
    presets = found.pop("presets")
    slim = [{name: p.get(name) for name in ("id", "base_model_id", "is_active")} for p in presets]
    environment = {name: value for name, value in os.environ.items() if name.startswith(NAMED)}
    reached = reach(session, found["connection"], ask.get("reach"))
    return dict(found, version=version, presets=slim, environment=redacted_configs(environment), reached=reached)


def reach(session: Session, connection: Json, url: str | None) -> Json | None:
    """What the Ollama at a URL says of its version, through Open WebUI; None if there is no such connection in use."""
    urls = connection["OLLAMA_BASE_URLS"] or [] if connection["ENABLE_OLLAMA_API"] else []
    return call(session, {"path": f"/ollama/api/version/{urls.index(url)}"}) if url in urls else None


def redacted_configs(environment: Json) -> Json:
    """The environment without what may hold keys."""
    return {name: REDACTED if name == "OLLAMA_API_CONFIGS" else value for name, value in environment.items()}


def connect(session: Session, ask: Json) -> Json:
    """Save a connection as a whole, and the embedding's; return both as they read afterwards."""
    saved, wanted = by_url(session.get("/ollama/config")), ask["connection"]
    configs, urls = wanted["OLLAMA_API_CONFIGS"], wanted["OLLAMA_BASE_URLS"]
    whole = {at: filled(config, saved.get(urls[int(at)], {})) for at, config in configs.items()}
    post(session, "/ollama/config/update", dict(wanted, OLLAMA_API_CONFIGS=whole))
    if ask.get("embedding"):
        embedding = dict(ask["embedding"])
        before = session.get("/api/v1/retrieval/embedding")["ollama_config"]
        embedding["ollama_config"] = filled(embedding["ollama_config"], before)
        post(session, "/api/v1/retrieval/embedding/update", embedding)
    return read(session, ask)


def post(session: Session, path: str, body: Json) -> None:
    """Save something; raise Refused if it is not taken."""
    status, answer = session.call(path, body)
    if status != 200:
        raise Refused("refused", f"{path}: HTTP {status} {detail(answer)}")


def read(session: Session, _ask: Json) -> Json:
    """The connection and the embedding's, as they are saved."""
    found = {"connection": session.get("/ollama/config"), "embedding": session.get("/api/v1/retrieval/embedding")}
    return {name: redacted(value) for name, value in found.items()}


def call(session: Session, ask: Json) -> Json:
    """One call of the API."""
    status, answer = session.call(ask["path"], ask.get("body"), ask.get("seconds", 60))
    return {"status": status, "answer": redacted(answer)}


def ready(_session: Session, ask: Json) -> Json:
    """Wait until Open WebUI has started; Kubernetes does not know."""
    deadline = time.monotonic() + ask["seconds"]
    while True:
        try:
            if send("/ready", seconds=10)[0] in (200, 404):
                return {"ready": True}
        except Refused as error:
            last = str(error)
        else:
            last = "it says that it is still starting"
        if time.monotonic() > deadline:
            raise Refused("unready", last)
        time.sleep(0.5)


def probe(_session: Session, ask: Json) -> Json:
    """Try an Ollama from here, without Open WebUI: name, TCP, TLS as this pod trusts and with the given CA, answers."""
    url = urllib.parse.urlsplit(ask["url"])
    port = url.port or (443 if url.scheme == "https" else 80)
    proxies = {} if urllib.request.proxy_bypass(url.hostname or "") else urllib.request.getproxies()
    proxy = urllib.parse.urlsplit(proxies.get(url.scheme, ""))
    found: Json = {"proxy": proxy.hostname or "", "name": "", "tcp": "", "tls": "", "tls_with_ca": "", "answers": {}}
    found["no_proxy"] = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    try:
        socket.getaddrinfo(url.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return dict(found, name=str(error))
    try:
        socket.create_connection((url.hostname, port), timeout=10).close()
    except OSError as error:
        return dict(found, tcp=str(error))
    contexts = {"tls": trusted(), "tls_with_ca": trusted(ask.get("ca"))} if url.scheme == "https" else {}
    for name, context in contexts.items():
        try:
            with socket.create_connection((url.hostname, port), timeout=10) as raw:
                context.wrap_socket(raw, server_hostname=url.hostname).close()
        except (OSError, ValueError) as error:
            found[name] = str(error)
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted(ask.get("ca")))]
    opener = urllib.request.build_opener(*handlers)
    for name in ("version", "tags", "ps"):
        try:
            with opener.open(ask["url"] + "/api/" + name, timeout=20) as answer:
                found["answers"][name] = json.loads(answer.read())
        except (OSError, ValueError) as error:
            found["answers"][name] = {"error": str(error)}
    return found


def bundle() -> str:
    """The file of the certificates that Open WebUI's connections trust here; empty for none."""
    session = os.environ.get("AIOHTTP_CLIENT_SESSION_SSL", "").strip()
    files = [session, os.environ.get("AIOHTTP_CLIENT_SSL_CERT_FILE", "").strip(), os.environ.get("SSL_CERT_FILE", "")]
    default = ssl.get_default_verify_paths()
    files += [default.cafile or "", default.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"]
    return next((file for file in files if file and Path(file).is_file()), "")


def trusted(ca: str | None = None) -> ssl.SSLContext:
    """What this pod trusts, and the given authority."""
    file = bundle()
    context = ssl.create_default_context(cafile=file or None)
    if ca:
        context.load_verify_locations(cadata=ca)
    return context


def trust(_session: Session, _ask: Json) -> Json:
    """The certificates that this pod trusts."""
    file = bundle()
    return {"file": file, "certificates": Path(file).read_text() if file else ""}


OPERATIONS = {one.__name__: one for one in (facts, connect, read, call, ready, probe, trust)}


def main() -> None:
    """Do what is asked, and print what came of it."""
    password = base64.b64decode(sys.stdin.readline().strip()).decode().rstrip("\n")
    request = json.loads(sys.stdin.readline())
    session = Session(password, request)
    try:
        results = [OPERATIONS[ask["do"]](session, ask) for ask in request["asks"]]
        print(json.dumps({"token": session.new_token, "results": results}))
    except Refused as error:
        print(json.dumps({"token": session.new_token, "error": {"kind": error.kind, "text": str(error)}}))


main()
