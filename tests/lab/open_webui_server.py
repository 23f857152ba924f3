"""An Open WebUI on a loopback port for tests: the stand-in, or the real one of a version."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from lab import open_webui
from tests.lab.ollama_server import REPOSITORY, free_port

ADMIN = "scout-deploy@scout-deploy.local"
PASSWORD = "correct-horse-battery"
START_SECONDS = 600


def programs(version: str | None) -> list[str]:
    """The command line of the stand-in, or of the real Open WebUI of a version."""
    if version is None:
        return [sys.executable, "-m", "lab.standins.open_webui"]
    return [str(open_webui.install(version) / "bin/python"), "-m", "uvicorn", "open_webui.main:app"]


@dataclass
class Answer:
    """Status and body."""

    status: int
    value: Any


@dataclass
class OpenWebUi:
    """One that runs, or is to be started: its directory outlives its starts."""

    version: str | None
    directory: Path
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    token: str = ""

    @contextmanager
    def running(self, **environment: str) -> Iterator[OpenWebUi]:
        """Start it, wait until it is ready, end it."""
        (self.directory / "static").mkdir(parents=True, exist_ok=True)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "DATA_DIR": str(self.directory),
            "STATIC_DIR": str(self.directory / "static"),
            "FROM_INIT_PY": "true",
            "HF_HUB_OFFLINE": "1",
            "RAG_EMBEDDING_ENGINE": "ollama",
            "WEBUI_SECRET_KEY": "the-same-at-every-start",
            "WEBUI_ADMIN_EMAIL": ADMIN,
            "WEBUI_ADMIN_PASSWORD": PASSWORD,
            "LAB_ADDRESS": "127.0.0.1",
            "PORT": str(self.port),
            **self.environment,
            **environment,
        }
        if self.version is None:
            variables["PYTHONPATH"] = str(REPOSITORY)
        listen = [] if self.version is None else ["--host", "127.0.0.1", "--port", str(self.port)]
        with (self.directory / "log").open("a") as log:
            argv = [*programs(self.version), *listen]
            process = subprocess.Popen(argv, env=variables, stdout=log, stderr=log, cwd=self.directory)
        try:
            self._await(process)
            yield self
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if self.ask("/ready").status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise AssertionError((self.directory / "log").read_text()[-4000:])

    def ask(self, path: str, body: Mapping[str, Any] | None = None, token: str | None = None) -> Answer:
        """GET, or POST of a body; with a token of its own if one is given."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        bearer = self.token if token is None else token
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        data = None if body is None else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, data, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        try:
            return Answer(answer.status, json.loads(text))
        except ValueError:
            return Answer(answer.status, text)

    def sign_in(self, password: str = PASSWORD, email: str = ADMIN) -> Answer:
        """Sign in; a token is kept."""
        answer = self.ask("/api/v1/auths/signin", {"email": email, "password": password}, token="")
        if answer.status == 200:
            self.token = answer.value["token"]
        return answer

    def connect(self, *urls: str, enable: bool = True, **configs: Mapping[str, Any]) -> Answer:
        """Save a connection; ``configs`` by index, as ``at_0``."""
        by_index = {name.removeprefix("at_"): config for name, config in configs.items()}
        body = {"ENABLE_OLLAMA_API": enable, "OLLAMA_BASE_URLS": list(urls), "OLLAMA_API_CONFIGS": by_index}
        return self.ask("/ollama/config/update", body)
