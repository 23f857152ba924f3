"""Harbor's stand-in in front of Debian's real docker-registry, as K3s nodes, curl and operators meet it."""

import base64
import hashlib
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from lab.standins.harbor import images
from lab.standins.harbor.registry import Registry
from tests.lab.ollama_server import DEADLINE_SECONDS, REPOSITORY, free_port, wait_for

OLLAMA = "dockerhub-proxy/ollama/ollama"
USER, PASSWORD = "robot$scout", "a password: with a colon"
BASIC = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
CONFIGURATION = REPOSITORY / "lab/standins/harbor/registry.yml"

pytestmark = pytest.mark.skipif(
    shutil.which("docker-registry") is None, reason="Debian's docker-registry is not installed: apt-get install it"
)


@dataclass
class Harbor:
    """A running pair of registry and stand-in."""

    port: int
    registry: Registry
    registry_process: subprocess.Popen[bytes]
    ca: Path
    users: Path

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        tls = ssl.create_default_context(cafile=str(self.ca))
        connection = HTTPSConnection("localhost", self.port, timeout=DEADLINE_SECONDS, context=tls)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, dict(response.headers), response.read()

    def get(self, path: str, headers: dict[str, str] | None = None) -> Any:
        status, _, body = self.request("GET", path, headers)
        assert status == 200, body
        return json.loads(body)

    def curl(self, path: str, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        command = ["curl", "--silent", "--show-error", "--cacert", str(self.ca), *arguments]
        url = f"https://localhost:{self.port}{path}"
        return subprocess.run(
            [*command, url], input=stdin, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False
        )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """With a robot account's login demanded."""
        self.users.write_text(f"{USER}:{PASSWORD}\n")
        try:
            yield
        finally:
            self.users.unlink()


@pytest.fixture(scope="module")
def harbor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbor]:
    directory = tmp_path_factory.mktemp("harbor")
    certificate, key = directory / "harbor.crt", directory / "harbor.key"
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(key)]
    identity = ["-subj", "/CN=localhost", "-addext", names, "-days", "1", "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *new_key, *identity], check=True, capture_output=True)
    address, port = f"127.0.0.1:{free_port()}", free_port()
    storage = {
        "REGISTRY_HTTP_ADDR": address,
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(directory / "registry"),
    }
    registry_process = subprocess.Popen(
        ["docker-registry", "serve", str(CONFIGURATION)], env=os.environ | storage, stderr=subprocess.DEVNULL
    )
    users = directory / "users"
    files = ["--certificate", str(certificate), "--key", str(key), "--users", str(users)]
    command = [sys.executable, "-m", "lab.standins.harbor", "--registry", address, "serve"]
    front = subprocess.Popen(
        [*command, "--address", "127.0.0.1", "--port", str(port), *files],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.DEVNULL,
    )
    registry = Registry(address)
    harbor = Harbor(port, registry, registry_process, certificate, users)
    try:
        wait_for(registry.is_up, "the registry")
        for image in images.OLLAMA:
            images.push(registry, image)
        wait_for(lambda: harbor.curl("/api/v2.0/ping").stdout == "Pong", "the stand-in")
        yield harbor
    finally:
        for process in (front, registry_process):
            process.kill()
            process.wait(DEADLINE_SECONDS)


class TestPull:
    """What containerd does: the manifest by tag, then each blob by digest."""

    ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json"}  # noqa: RUF012 (never changed)

    def test_manifest_then_blobs_with_matching_digests(self, harbor: Harbor) -> None:
        status, headers, body = harbor.request("GET", f"/v2/{OLLAMA}/manifests/0.24.0", self.ACCEPT)
        assert status == 200
        assert headers["Docker-Content-Digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
        assert headers["Content-Type"] == self.ACCEPT["Accept"]
        manifest = json.loads(body)
        for part in (manifest["config"], *manifest["layers"]):
            status, _, blob = harbor.request("GET", f"/v2/{OLLAMA}/blobs/{part['digest']}")
            assert (status, len(blob)) == (200, part["size"])
            assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == part["digest"]

    def test_head_tells_digest_and_length(self, harbor: Harbor) -> None:
        status, headers, body = harbor.request("HEAD", f"/v2/{OLLAMA}/manifests/0.24.1", self.ACCEPT)
        assert (status, body) == (200, b"")
        assert headers["Docker-Content-Digest"].startswith("sha256:")
        assert int(headers["Content-Length"]) > 0

    def test_a_tag_that_is_not_there(self, harbor: Harbor) -> None:
        status, _, body = harbor.request("GET", f"/v2/{OLLAMA}/manifests/9.9.9", self.ACCEPT)
        assert (status, json.loads(body)["errors"][0]["code"]) == (404, "MANIFEST_UNKNOWN")

    def test_without_the_right_accept_header_there_is_no_manifest(self, harbor: Harbor) -> None:
        assert harbor.request("GET", f"/v2/{OLLAMA}/manifests/0.24.0")[0] == 404

    def test_versions_differ(self, harbor: Harbor) -> None:
        digests = {
            harbor.request("HEAD", f"/v2/{OLLAMA}/manifests/{tag}", self.ACCEPT)[1]["Docker-Content-Digest"]
            for tag in ("0.24.0", "0.24.1")
        }
        assert len(digests) == 2

    def test_without_its_authority_the_certificate_is_refused(self, harbor: Harbor) -> None:
        result = subprocess.run(
            ["curl", "--silent", "--show-error", f"https://localhost:{harbor.port}/v2/"],
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert result.returncode == 60

    def test_the_image_runs_ollama(self, harbor: Harbor) -> None:
        manifest = harbor.get(f"/v2/{OLLAMA}/manifests/0.24.0", self.ACCEPT)
        config = harbor.get(f"/v2/{OLLAMA}/blobs/{manifest['config']['digest']}")["config"]
        assert config["Entrypoint"] == ["/bin/ollama"]
        assert "OLLAMA_HOST=0.0.0.0:11434" in config["Env"]


class TestLogin:
    def test_the_challenge_names_the_token_service(self, harbor: Harbor) -> None:
        with harbor.locked():
            status, headers, body = harbor.request("GET", "/v2/")
            assert (status, json.loads(body)["errors"][0]["code"]) == (401, "UNAUTHORIZED")
            realm = f'Bearer realm="https://localhost:{harbor.port}/service/token",service="harbor-registry"'
            assert headers["WWW-Authenticate"] == realm
            _, headers, _ = harbor.request("GET", f"/v2/{OLLAMA}/manifests/0.24.0")
            assert headers["WWW-Authenticate"] == f'{realm},scope="repository:{OLLAMA}:pull"'

    def test_password_for_a_token_for_a_pull(self, harbor: Harbor) -> None:
        with harbor.locked():
            query = f"?service=harbor-registry&scope=repository:{OLLAMA}:pull"
            token = harbor.get(f"/service/token{query}", BASIC)["token"]
            bearer = TestPull.ACCEPT | {"Authorization": f"Bearer {token}"}
            assert harbor.request("GET", f"/v2/{OLLAMA}/manifests/0.24.0", bearer)[0] == 200
            assert harbor.request("GET", "/v2/", {"Authorization": f"Bearer {token}x"})[0] == 401

    def test_a_wrong_password_gets_no_token(self, harbor: Harbor) -> None:
        wrong = {"Authorization": "Basic " + base64.b64encode(b"robot$scout:guess").decode()}
        with harbor.locked():
            assert harbor.request("GET", "/service/token", wrong)[0] == 401
            assert harbor.request("GET", "/service/token")[0] == 401
            assert harbor.request("GET", "/v2/", wrong)[0] == 401

    def test_curl_logs_in_with_the_password_on_standard_input(self, harbor: Harbor) -> None:
        with harbor.locked():
            status = ["--output", "/dev/null", "--write-out", "%{http_code}"]
            assert harbor.curl("/v2/", *status).stdout == "401"
            login = f'user = "{USER}:{PASSWORD}"\n'
            assert harbor.curl("/v2/", "--config", "-", *status, stdin=login).stdout == "200"

    def test_open_without_a_users_file(self, harbor: Harbor) -> None:
        assert harbor.request("GET", "/v2/")[0] == 200
        assert harbor.get("/service/token")["token"]


class TestApi:
    def test_ping_health_and_version_need_no_login(self, harbor: Harbor) -> None:
        with harbor.locked():
            assert harbor.curl("/api/v2.0/ping").stdout == "Pong"
            assert harbor.get("/api/v2.0/health")["status"] == "healthy"
            assert "stand-in" in harbor.get("/api/v2.0/systeminfo")["harbor_version"]
            assert harbor.request("GET", "/api/v2.0/projects")[0] == 401
            assert harbor.get("/api/v2.0/projects", BASIC)

    def test_projects_repositories_and_artifacts(self, harbor: Harbor) -> None:
        assert [entry["name"] for entry in harbor.get("/api/v2.0/projects?name=dockerhub")] == ["dockerhub-proxy"]
        project = "/api/v2.0/projects/dockerhub-proxy"
        assert harbor.get(project)["name"] == "dockerhub-proxy"
        assert harbor.get(f"{project}/repositories") == [{"name": OLLAMA, "artifact_count": 2}]
        artifacts = harbor.get(f"{project}/repositories/ollama%252Follama/artifacts")
        assert {tag["name"] for artifact in artifacts for tag in artifact["tags"]} == {"0.24.0", "0.24.1"}
        one = harbor.get(f"{project}/repositories/ollama%252Follama/artifacts/0.24.0")
        assert one["digest"].startswith("sha256:")

    def test_what_is_not_there(self, harbor: Harbor) -> None:
        for path in ("/projects/nope", "/projects/dockerhub-proxy/repositories/nope/artifacts", "/nope"):
            status, _, body = harbor.request("GET", f"/api/v2.0{path}")
            assert (status, json.loads(body)["errors"][0]["code"]) == (404, "NOT_FOUND")


class TestPush:
    def test_a_proxy_project_refuses_uploads(self, harbor: Harbor) -> None:
        status, _, body = harbor.request("POST", f"/v2/{OLLAMA}/blobs/uploads/", body=b"x")
        assert (status, json.loads(body)["errors"][0]["code"]) == (403, "DENIED")

    def test_another_project_takes_them_through_the_front(self, harbor: Harbor) -> None:
        content = os.urandom(300_000)
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        status, headers, _ = harbor.request("POST", "/v2/library/thing/blobs/uploads/")
        assert status == 202
        location = f"{headers['Location']}&digest={digest}"
        assert harbor.request("PUT", location, {"Content-Type": "application/octet-stream"}, content)[0] == 201
        assert harbor.request("GET", f"/v2/library/thing/blobs/{digest}")[2] == content


def test_seed_gives_the_same_digests_every_time(harbor: Harbor) -> None:
    command = [sys.executable, "-m", "lab.standins.harbor", "--registry", harbor.registry.address, "seed"]
    first, second = (
        subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=True)
        for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert len(first.stdout.splitlines()) == len(images.IMAGES)


def test_a_registry_that_is_down_is_said_so(harbor: Harbor) -> None:
    """Last: it stops the registry."""
    harbor.registry_process.kill()
    harbor.registry_process.wait(DEADLINE_SECONDS)
    assert harbor.get("/api/v2.0/health")["status"] == "unhealthy"
    status, _, body = harbor.request("GET", f"/v2/{OLLAMA}/manifests/0.24.0")
    assert (status, b"does not answer" in body) == (502, True)
