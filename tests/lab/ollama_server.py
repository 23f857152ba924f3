"""An Ollama server on a loopback port for tests: the stand-in, or a real `ollama` where one is installed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
STAND_IN = [sys.executable, "-m", "lab.standins.ollama", "serve"]
DEADLINE_SECONDS = 30


def installed_programs() -> dict[str, list[str]]:
    """The programs that the contract is run against."""
    real = shutil.which("ollama")
    return {"stand-in": STAND_IN} | ({"real": [real, "serve"]} if real else {})


@dataclass
class Server:
    """A running server and the store it serves."""

    process: subprocess.Popen[str]
    port: int
    store: Path
    log_path: Path

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def request(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> "Answer":
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        connection.request(method, path, data, headers or {})
        return Answer(connection.getresponse())

    def get(self, path: str) -> Any:
        return self.request("GET", path).value

    def post(self, path: str, **body: Any) -> "Answer":
        return self.request("POST", path, body)

    def tags(self) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry for entry in self.get("/api/tags")["models"]}

    def loaded(self) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry for entry in self.get("/api/ps")["models"]}


class Answer:
    """A response, read whole."""

    def __init__(self, response: HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def value(self) -> Any:
        return json.loads(self.text)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def error(self) -> str:
        return str(self.value["error"])


def environment(program: list[str], home: Path, store: Path, port: int, **extra: str) -> dict[str, str]:
    """The environment of a server: nothing inherited but where programs are."""
    # A stand-in that found a real ollama on PATH would run that instead.
    is_stand_in = program[-len(STAND_IN) :] == STAND_IN
    return {
        "PATH": path_without_ollama() if is_stand_in else os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "HOME": str(home),
        "OLLAMA_MODELS": str(store),
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_CONTEXT_LENGTH": "2048",
        "OLLAMA_NO_CLOUD": "1",
        **extra,
    }


@contextmanager
def running(program: list[str], directory: Path, **extra: str) -> Iterator[Server]:
    """A server over `directory/store`, answering when the block starts and gone when it ends."""
    port, log_path, store = free_port(), directory / "log", directory / "store"
    home = directory / "home"
    home.mkdir(exist_ok=True)
    store.mkdir(exist_ok=True)
    variables = environment(program, home, store, port, **extra)
    with log_path.open("w") as log:
        process = subprocess.Popen(program, env=variables, stdout=log, stderr=log, text=True)
    server = Server(process, port, store, log_path)
    try:
        wait_for(lambda: process.poll() is not None or _answers(server), f"{program} to answer")
        assert process.poll() is None, server.log
        yield server
    finally:
        process.terminate()
        process.wait(DEADLINE_SECONDS)


def run_to_end(program: list[str], directory: Path, **extra: str) -> "subprocess.CompletedProcess[str]":
    """A server that is expected to refuse to start."""
    variables = environment(program, directory / "home", directory / "store", free_port(), **extra)
    return subprocess.run(program, env=variables, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False)


def with_read_only(directory: Path, program: list[str]) -> list[str]:
    """The same program in a mount namespace of its own where `directory` is mounted read-only."""
    script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    return ["unshare", "--mount", *user, "sh", "-c", script, "sh", str(directory), *program]


def path_without_ollama() -> str:
    directories = os.environ["PATH"].split(":")
    return ":".join(directory for directory in directories if not Path(directory, "ollama").exists())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Poll until `condition` holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_SECONDS} s for {what}"
        time.sleep(0.02)


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/").status == 200
    except OSError:
        return False
