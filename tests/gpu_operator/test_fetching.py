"""inv fetch-chart: the chart comes over HTTPS from whom it should, once, and is the recorded one ever after.

The repository is a server on this machine with a certificate authority of its own, trusted through SSL_CERT_FILE.
"""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.certificates import Authority
from scout_ollama import downloading
from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator.chart import MAX_PACKED
from scout_ollama.gpu_operator.fetching import fetch
from scout_ollama.gpu_operator.locked import record, verified
from scout_ollama.inventory import OllamaCluster, Site, load_site
from tests.gpu_operator import charts
from tests.test_cli import typed

HOSTS = Path(__file__).parent.parent.parent / "hosts"
NAME = "gpu-operator-v25.10.1.tgz"
WHOLE = charts.chart()
SUM = hashlib.sha256(WHOLE).hexdigest()
OTHER = charts.chart(values=charts.changed(driver={"version": "1"}))


@dataclass
class Repository:
    """What the server gives: a file's bytes, a status, or a URL to go to instead; and what it was asked for."""

    url: str = ""
    files: dict[str, bytes | int | str] = field(default_factory=dict)
    announced: int | None = None
    asked: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    def __init__(self, repository: Repository, *args: object) -> None:
        self.repository = repository
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.repository.asked.append(self.path)
        found = self.repository.files.get(self.path, 404)
        if isinstance(found, bytes):
            self.send_response(200)
            self.send_header("Content-Length", str(self.repository.announced or len(found)))
            self.end_headers()
            self.wfile.write(found)
            return
        self.send_response(found if isinstance(found, int) else 302)
        if isinstance(found, str):
            self.send_header("Location", found)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that goes away is what some tests are about."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository that has the chart, and that this process trusts."""
    directory = tmp_path / "ca"
    directory.mkdir()
    pair = Authority.create(directory).issue(["localhost"])
    pair.write(directory / "server.crt", directory / "server.key")
    found = Repository(files={f"/charts/{NAME}": WHOLE})
    server = Server(("127.0.0.1", 0), partial(Handler, found))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.crt", directory / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    found.url = f"https://localhost:{server.server_port}/charts"
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(directory / "ca.crt"))
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The shipped inventory, without charts."""
    shutil.copytree(HOSTS, tmp_path / "site", ignore=shutil.ignore_patterns("charts"))
    return load_site(tmp_path / "site")


def trouble(site: Site, repository: Repository, version: str = charts.VERSION) -> Trouble:
    with pytest.raises(Trouble) as caught:
        fetch(site, version, repository.url)
    assert caught.value.next
    return caught.value


def left(site: Site) -> set[str]:
    return {path.name for path in (site.root / "charts").glob("*")}


def test_the_first_time_it_is_recorded_and_shown_to_be_compared(site: Site, repository: Repository) -> None:
    told = fetch(site, charts.VERSION, repository.url)
    assert f"SHA-256 {SUM}, recorded in " in told
    assert "compare it" in told
    assert (site.root / "charts" / NAME).read_bytes() == WHOLE
    assert (site.root / "charts" / "charts.lock").read_text() == f"{SUM}  {NAME}\n"
    assert left(site) == {NAME, "charts.lock"}
    phi = site.clusters["phi"]
    assert isinstance(phi, OllamaCluster)
    assert verified(site, phi).sha256 == SUM


def test_the_second_time_there_is_nothing_to_do_and_nobody_is_asked(site: Site, repository: Repository) -> None:
    fetch(site, charts.VERSION, repository.url)
    assert fetch(site, charts.VERSION, repository.url).startswith("nothing to do: ")
    assert repository.asked == [f"/charts/{NAME}"]


def test_a_colleague_who_has_only_the_lock_gets_the_same_file(site: Site, repository: Repository) -> None:
    fetch(site, charts.VERSION, repository.url)
    (site.root / "charts" / NAME).unlink()
    assert "as recorded" in fetch(site, charts.VERSION, repository.url)
    assert (site.root / "charts" / "charts.lock").read_text().count(NAME) == 1


def test_another_file_than_the_recorded_one_is_refused_and_not_kept(site: Site, repository: Repository) -> None:
    fetch(site, charts.VERSION, repository.url)
    (site.root / "charts" / NAME).unlink()
    repository.files[f"/charts/{NAME}"] = OTHER
    found = trouble(site, repository)
    assert "is not the file that was accepted" in found.what
    assert SUM in found.why
    assert left(site) == {"charts.lock"}


def test_a_damaged_file_is_replaced_by_the_recorded_one(site: Site, repository: Repository) -> None:
    fetch(site, charts.VERSION, repository.url)
    (site.root / "charts" / NAME).write_bytes(WHOLE[:100])
    fetch(site, charts.VERSION, repository.url)
    assert (site.root / "charts" / NAME).read_bytes() == WHOLE


def test_a_file_of_ones_own_is_not_overwritten(site: Site, repository: Repository) -> None:
    (site.root / "charts").mkdir()
    (site.root / "charts" / NAME).write_bytes(OTHER)
    found = trouble(site, repository)
    assert "is there already" in found.what
    assert (site.root / "charts" / NAME).read_bytes() == OTHER
    assert left(site) == {NAME}


def test_a_run_that_was_cut_off_before_the_record_is_finished_by_the_next(site: Site, repository: Repository) -> None:
    (site.root / "charts").mkdir()
    (site.root / "charts" / NAME).write_bytes(WHOLE)
    assert "recorded in" in fetch(site, charts.VERSION, repository.url)
    assert fetch(site, charts.VERSION, repository.url).startswith("nothing to do: ")


def test_records_of_other_charts_stay(site: Site, repository: Repository) -> None:
    (site.root / "charts").mkdir()
    record(site.root / "charts" / "gpu-operator-v26.7.0.tgz", "0" * 64)
    fetch(site, charts.VERSION, repository.url)
    assert len((site.root / "charts" / "charts.lock").read_text().splitlines()) == 2


def test_a_release_that_does_not_exist_is_told_with_how_releases_are_written(
    site: Site, repository: Repository
) -> None:
    found = trouble(site, repository, "v25.10.9")
    assert "there is no https://localhost" in found.what
    assert "v25.10.1" in str(found)
    assert left(site) == set()


@pytest.mark.parametrize("version", ["", "25.10.1", "v25.10", "v25.10.1/../x", "latest"])
def test_what_is_no_release_asks_nobody(site: Site, repository: Repository, version: str) -> None:
    found = trouble(site, repository, version)
    assert "the inventory wants v25.10.1" in found.why
    assert found.next == "inv fetch-chart --version v25.10.1"
    assert repository.asked == []


@pytest.mark.parametrize(
    ("url", "wrong"),
    [("http://localhost/charts", "is not encrypted"), ("file:///etc", "is not a URL"), ("https://me:x@h", "password")],
)
def test_a_mirror_that_is_not_https_is_refused(site: Site, url: str, wrong: str) -> None:
    with pytest.raises(Trouble, match=wrong):
        fetch(site, charts.VERSION, url)


def test_it_follows_to_where_the_repository_keeps_its_files_but_not_out_of_https(
    site: Site, repository: Repository
) -> None:
    repository.files = {f"/charts/{NAME}": f"{repository.url}/real", "/charts/real": WHOLE}
    fetch(site, charts.VERSION, repository.url)
    shutil.rmtree(site.root / "charts")
    repository.files[f"/charts/{NAME}"] = repository.url.replace("https", "http") + "/real"
    assert "not https" in trouble(site, repository).why


def test_a_server_without_a_trusted_certificate_is_refused_with_where_to_name_its_authority(
    site: Site, repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "another").mkdir()
    Authority.create(tmp_path / "another")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "another" / "ca.crt"))
    found = trouble(site, repository)
    assert "certificate is not trusted" in found.what
    assert "SSL_CERT_FILE" in found.next
    assert repository.asked == []


def test_a_server_with_a_certificate_of_another_name_is_refused(site: Site, repository: Repository) -> None:
    repository.url = repository.url.replace("localhost", "127.0.0.1")
    assert "certificate is not trusted" in trouble(site, repository).what


def test_a_proxy_of_the_environment_is_asked(
    site: Site, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        asked: list[bytes] = []

        def refuse() -> None:
            connection, _ = proxy.accept()
            with connection:
                asked.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        assert "407" in trouble(site, repository).why
        thread.join(10)
    assert asked[0].startswith(b"CONNECT localhost:")


def test_without_a_way_out_it_is_told_where_there_may_be_one(site: Site, repository: Repository) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listened on: it refuses
        repository.url = f"https://127.0.0.1:{taken.getsockname()[1]}/charts"
        found = trouble(site, repository)
    assert "cannot be reached" in found.what
    assert "refused" in found.why
    assert "a machine with a way out" in found.next


def test_a_server_that_says_nothing_is_not_waited_for(
    site: Site, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloading, "SILENCE_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        repository.url = f"https://127.0.0.1:{silent.getsockname()[1]}/charts"
        assert "timed out" in trouble(site, repository).why


def test_a_trickle_is_not_waited_for(site: Site, repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "BODY_SECONDS", 0.0)
    assert "bytes came in" in trouble(site, repository).why


def test_more_than_a_chart_can_be_is_not_read_to_its_end(site: Site, repository: Repository) -> None:
    repository.files[f"/charts/{NAME}"] = bytes(8 * MAX_PACKED)
    assert "is too large for a chart" in trouble(site, repository).what


@pytest.mark.parametrize("status", [403, 500, 503])
def test_a_server_that_refuses_is_told_by_its_status(site: Site, repository: Repository, status: int) -> None:
    repository.files[f"/charts/{NAME}"] = status
    assert f"answers {status}" in trouble(site, repository).why


def test_a_connection_that_breaks_leaves_nothing(site: Site, repository: Repository) -> None:
    repository.announced = len(WHOLE) + 1000
    found = trouble(site, repository)
    assert f"ended after {len(WHOLE)} of {len(WHOLE) + 1000} bytes" in found.why
    assert left(site) == set()


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"<html>log in</html>", "is not compressed by gzip"),
        (charts.chart("v25.3.4"), "is v25.3.4"),
        (charts.chart("v1.0.0-devel", appVersion="main-latest"), "from a git tag"),
    ],
)
def test_what_is_not_the_chart_is_not_kept(site: Site, repository: Repository, content: bytes, wrong: str) -> None:
    repository.files[f"/charts/{NAME}"] = content
    assert wrong in trouble(site, repository).what
    assert left(site) == set()


def test_a_place_that_cannot_be_written_is_told(site: Site, repository: Repository) -> None:
    (site.root / "charts").write_text("a file")
    assert "charts" in trouble(site, repository).what


def test_as_it_is_typed(site: Site, repository: Repository) -> None:
    words = ("fetch-chart", "--version", "v25.10.1", "--site", str(site.root), "--from", repository.url)
    said = typed(*words)
    assert (said.status, said.err) == (0, "")
    assert SUM in said.out
    assert typed(*words).out.startswith("nothing to do: ")
    said = typed("fetch-chart", "--site", str(site.root))
    assert (said.status, said.out) == (1, "")
    assert "no release is named" in said.err
