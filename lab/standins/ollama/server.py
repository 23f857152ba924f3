"""`ollama serve`: what happens between start and the end of the process."""

import base64
import os
import signal
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from lab.standins.ollama import golang, gpu, startup
from lab.standins.ollama.golang import log
from lab.standins.ollama.inference_api import Inference
from lab.standins.ollama.models_api import Models
from lab.standins.ollama.openai_api import OpenAi, errors_in_openai_form
from lab.standins.ollama.scheduler import Scheduler
from lab.standins.ollama.settings import Settings
from lab.standins.ollama.store import Store, StoreError
from lab.standins.ollama.web import Reply, Request, Routes, Server, loopback_hosts_only


class CannotStart(Exception):
    """The server would exit at once with this message."""


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, which cut every open stream at once. Raises CannotStart.

    The order is the real one: the port is open before the store is looked at, and requests are read only after
    the GPUs have been found, so early clients connect and wait.
    """
    _write_key_pair(settings.home)
    routes = Routes()
    anyone = settings.address not in ("127.0.0.1", "::1", "localhost")
    try:
        server = Server(settings.address, settings.port, routes, (lambda _: True) if anyone else loopback_hosts_only)
    except OSError as error:
        where = f"{settings.address}:{settings.port}"
        raise CannotStart(f"listen tcp {where}: bind: {os.strerror(error.errno or 0).lower()}") from error
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    shown = " ".join(f"{name}:{value}" for name, value in sorted(settings.shown.items()))
    log("INFO", "server config", env=f"map[{shown}]")
    log("INFO", f"Ollama cloud disabled: {str(settings.no_cloud).lower()}")
    store = Store(settings.models)
    try:
        startup.prepare(store, prune=not settings.no_prune)
    except StoreError as error:
        raise CannotStart(str(error)) from error
    address = "[::]" if settings.address in ("0.0.0.0", "::") else settings.address  # noqa: S104 (shown, not bound)
    log("INFO", f"Listening on {address}:{server.server_address[1]} (version {settings.version})")
    gpus = gpu.discover()
    gpu.log_details(gpus)
    scheduler = Scheduler(settings, len(gpus), gpu.default_context(gpus, settings.gpu_overhead))
    _add_routes(routes, settings, store, scheduler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Event().wait()


def _stop(*_: int | FrameType | None) -> None:
    sys.stdout.flush()
    # No clean-up on purpose: the real server closes all connections without waiting for answers under way.
    os._exit(0)


def _add_routes(routes: Routes, settings: Settings, store: Store, scheduler: Scheduler) -> None:
    models, inference = Models(settings, store), Inference(settings, store, scheduler)
    openai = OpenAi(models, inference)

    def version(_: Request) -> Reply:
        return Reply.json({"version": settings.version})

    def status(_: Request) -> Reply:
        return Reply.json({"cloud": {"disabled": settings.no_cloud, "source": settings.cloud_source}})

    routes.add("GET HEAD", "/", lambda _: Reply.text("Ollama is running"))
    routes.add("GET HEAD", "/api/version", version)
    routes.add("GET", "/api/status", status)
    routes.add("GET HEAD", "/api/tags", models.tags)
    routes.add("GET", "/api/ps", inference.ps)
    for name in ("show", "create", "copy", "pull", "push"):
        routes.add("POST", f"/api/{name}", getattr(models, name))
    for name in ("generate", "chat", "embed", "embeddings"):
        routes.add("POST", f"/api/{name}", getattr(inference, name))
    routes.add("DELETE", "/api/delete", models.delete)
    routes.add("HEAD", "/api/blobs/:digest", models.has_blob)
    routes.add("POST", "/api/blobs/:digest", models.add_blob)
    routes.add("GET", "/v1/models", errors_in_openai_form(openai.list_models))
    routes.add("GET", "/v1/models/:model", errors_in_openai_form(openai.retrieve_model))
    routes.add("POST", "/v1/chat/completions", errors_in_openai_form(openai.chat))
    routes.add("POST", "/v1/embeddings", errors_in_openai_form(openai.embeddings))


def _write_key_pair(home: Path) -> None:
    """Make $HOME/.ollama/id_ed25519 if it is missing. Raises CannotStart if that cannot be written."""
    directory, private = home / ".ollama", home / ".ollama" / "id_ed25519"
    if private.exists():
        return
    sys.stdout.write(f"Couldn't find '{private}'. Generating new private key.\n")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        cause = golang.error_text(error, "mkdir", directory)
        raise CannotStart(f"could not create directory {cause}") from error
    # Not ssh-keygen, which refuses a user without a passwd entry, as a pod's is: so the private half is PKCS #8.
    key = _openssl("genpkey", "-algorithm", "ed25519")
    public = _openssh_line(_openssl("pkey", "-pubout", "-outform", "DER", input=key))
    try:
        private.touch(mode=0o600)
        private.write_bytes(key)
        private.with_suffix(".pub").write_text(public)
    except OSError as error:
        raise CannotStart(golang.error_text(error, "open", private)) from error
    sys.stdout.write(f"Your new public key is: \n\n{public}\n")
    sys.stdout.flush()


def _openssh_line(public: bytes) -> str:
    """Return the OpenSSH form of an ed25519 key in DER, whose last 32 bytes are the key itself."""
    fields = (b"ssh-ed25519", public[-32:])
    return "ssh-ed25519 " + base64.b64encode(b"".join(struct.pack(">I", len(f)) + f for f in fields)).decode() + "\n"


def _openssl(*arguments: str, input: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *arguments], input=input, capture_output=True, check=True).stdout
