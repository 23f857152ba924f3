"""Blobs flow from a source through a chain of nodes; and what is cut, killed, spoiled or full on the way."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.labhost import LabHost
from lab.namespaces import Namespaces
from lab.topology import ssh_hosts

pytestmark = pytest.mark.lab

ROOT = Path(__file__).parent.parent.parent
STORE = "/var/lib/ollama"
SOURCE = "node-1"
NODES = ("node-2", "node-3", "node-4")
SECONDS = 120
LARGE, SMALL = 6_000_000, 300_000


@dataclass(frozen=True)
class Done:
    status: int
    said: str


@dataclass(frozen=True)
class Site:
    """Four hosts with SSH: the first has the blobs."""

    lab: Lab
    home: Path

    def host(self, name: str) -> LabHost:
        return self.lab.host(name)

    def file(self, name: str, path: str) -> Path:
        return self.host(name).root / f"{STORE}/{path}".strip("/")

    def push(self, *sizes: int, seed: int) -> list[str]:
        """Give the source blobs of random bytes; return their file names."""
        files = []
        for number, size in enumerate(sizes):
            content = random.Random(f"{seed} {number}").randbytes(size)
            name = f"sha256-{hashlib.sha256(content).hexdigest()}"
            self.file(SOURCE, f"blobs/{name}").write_bytes(content)
            files.append(name)
        return files

    def missing(self, files: list[str], nodes: tuple[str, ...]) -> str:
        sizes = {file: self.file(SOURCE, f"blobs/{file}").stat().st_size for file in files}
        return "".join(
            f"{node} {file.replace('-', ':')} {size}\n"
            for node in nodes
            for file, size in sizes.items()
            if not self.file(node, f"blobs/{file}").exists()
        )

    @contextmanager
    def copying(self, files: list[str], *flags: str, nodes: tuple[str, ...] = NODES) -> Iterator[subprocess.Popen[str]]:
        """Copy, and look on; what still runs at the end is ended."""
        argv = [sys.executable, "-m", "bench.bring", self.lab.site, "nodes", SOURCE, STORE, *flags]
        environment = {**os.environ, "XDG_STATE_HOME": str(self.home), "NO_COLOR": "1", "TERM": "dumb"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, text=True, **pipes)  # type: ignore[call-overload]
        assert process.stdin
        process.stdin.write(self.missing(files, nodes))
        process.stdin.close()
        process.stdin = None
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=SECONDS)

    def ends(self, process: subprocess.Popen[str]) -> Done:
        said, _ = process.communicate(timeout=SECONDS)
        return Done(process.returncode, said)

    def copy(self, files: list[str], *flags: str, nodes: tuple[str, ...] = NODES) -> Done:
        with self.copying(files, *flags, nodes=nodes) as process:
            return self.ends(process)

    def arrived(self, node: str, file: str) -> int:
        """Bytes of a blob that are at a node, whole or on their way."""
        for path in (f"incoming/{file}", f"blobs/{file}"):
            path = path.replace("incoming", ".scout-ollama/incoming")
            if self.file(node, path).exists():
                return self.file(node, path).stat().st_size
        return 0

    def sent(self, name: str) -> int:
        """Bytes that a host has sent over its link since it was started."""
        return int(self.host(name).run(["cat", "/sys/class/net/eth0/statistics/tx_bytes"]).stdout)

    def assert_whole(self, files: list[str], *nodes: str) -> None:
        for node in nodes or NODES:
            for file in files:
                content = self.file(node, f"blobs/{file}").read_bytes()
                assert f"sha256-{hashlib.sha256(content).hexdigest()}" == file

    def assert_nothing_wrong(self) -> None:
        """Under a final name are no wrong bytes, anywhere but on the source."""
        for node in NODES:
            for path in self.file(node, "blobs").iterdir():
                assert f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()}" == path.name

    def assert_no_key_left(self, *hosts: str) -> None:
        for name in hosts or (SOURCE, *NODES):
            assert "scout-ollama" not in self.host(name).run(["cat", "/home/scout/.ssh/authorized_keys"]).stdout
            assert "scout-ollama" not in self.host(name).run(["ls", "/run"]).stdout


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if not Namespaces.are_possible():
        pytest.skip("network namespaces are made by root on Linux; run the tests as root there")
    with Lab.running(f"copying-{os.getpid()}", ssh_hosts(4), k3s=False) as lab:
        for host in lab.hosts:
            host.run(["mkdir", "-p", f"{STORE}/blobs", f"{STORE}/manifests"])
        yield Site(lab, tmp_path_factory.mktemp("copying"))


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """All links as they are, afterwards too; whatever a test did, no wrong bytes are under a final name."""
    yield running
    for host in running.lab.hosts:
        host.restore()
    running.assert_nothing_wrong()


def test_1_every_node_gets_every_blob_and_the_source_sends_each_once(site: Site) -> None:
    files = site.push(LARGE, SMALL, seed=1)
    before = site.sent(SOURCE)
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)
    assert LARGE < site.sent(SOURCE) - before < 1.5 * LARGE
    site.assert_no_key_left()
