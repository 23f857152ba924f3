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
from scout_ollama.inventory import load_site
from scout_ollama.models.chain import Chain
from scout_ollama.models.sharing import RunKey, ShareBlobs, UnshareBlobs
from scout_ollama.remote.ssh import SshRemote

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
            content = random.Random(f"{seed} {number}").randbytes(size)  # noqa: S311 - contents, not a secret
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
    def copying(self, files: list[str], *flags: str, lines: str = "") -> Iterator[subprocess.Popen[str]]:
        """Copy, and look on; what still runs at the end is ended."""
        argv = [sys.executable, "-m", "bench.bring", self.lab.site, "nodes", SOURCE, STORE, *flags]
        environment = {**os.environ, "XDG_STATE_HOME": str(self.home), "NO_COLOR": "1", "TERM": "dumb"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process = subprocess.Popen(argv, cwd=ROOT, env=environment, text=True, **pipes)  # type: ignore[call-overload]
        assert process.stdin
        process.stdin.write(lines or self.missing(files, NODES))
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

    def copy(self, files: list[str], *flags: str) -> Done:
        with self.copying(files, *flags) as process:
            return self.ends(process)

    def arrived(self, node: str, file: str) -> int:
        """Bytes of a blob that are at a node, whole or on their way."""
        for path in (f"incoming/{file}", f"blobs/{file}"):
            path = path.replace("incoming", ".scout-ollama/incoming")
            if self.file(node, path).exists():
                return self.file(node, path).stat().st_size
        return 0

    def await_arrived(self, node: str, file: str, percent: int) -> None:
        """Until so much of a LARGE blob is at a node."""
        self.host(node).wait_for(lambda: self.arrived(node, file) >= LARGE * percent // 100)

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


def test_2_what_is_there_already_is_neither_copied_nor_touched(site: Site) -> None:
    files = site.push(LARGE, SMALL, seed=1)
    at = site.file("node-2", f"blobs/{files[0]}").stat().st_mtime_ns
    site.file("node-4", f"blobs/{files[0]}").unlink()
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)
    assert site.file("node-2", f"blobs/{files[0]}").stat().st_mtime_ns == at


def test_3_direct_copies_everything_from_the_source(site: Site) -> None:
    files = site.push(LARGE, seed=3)
    before = site.sent(SOURCE)
    done = site.copy(files, "--direct")
    assert done.status == 0, done.said
    site.assert_whole(files)
    assert site.sent(SOURCE) - before > len(NODES) * LARGE
    site.assert_no_key_left()


# -- what the key of a run is good for


@pytest.fixture
def key(site: Site, tmp_path: Path) -> Iterator[Path]:
    """The private key of a run; its blobs are shared by the source with node-2."""
    loaded = load_site(site.lab.site)
    hosts = {host.name: host for host in loaded.hosts}
    run = RunKey.make("nodes")
    share = ShareBlobs(SOURCE, run, (f"{STORE}/blobs",), (hosts["node-2"].address,), (), Chain(NODES))
    (tmp_path / "key").write_bytes(run.private)
    (tmp_path / "key").chmod(0o600)
    with SshRemote.connect(loaded, hosts[SOURCE]) as remote:
        share.make(remote)
        yield tmp_path / "key"
        UnshareBlobs(SOURCE, run).make(remote)
    site.assert_no_key_left(SOURCE)


def ssh(site: Site, node: str, key: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ssh on a node with the key of the run, for ten seconds at the most."""
    home = site.host(node).root / "root"
    home.joinpath("key").write_bytes(key.read_bytes())
    home.joinpath("key").chmod(0o600)
    home.joinpath("known").write_bytes((site.lab.site / "known_hosts").read_bytes())
    options = ["-F", "/dev/null", "-i", "/root/key", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    options += ["-o", "LogLevel=ERROR", "-o", "UserKnownHostsFile=/root/known", "-o", "ExitOnForwardFailure=yes"]
    argv = ["timeout", "10", "ssh", *options, *words]
    return site.host(node).run(argv, check=False)


def at_source(site: Site) -> str:
    return f"scout@{site.host(SOURCE).address}"


def test_the_key_reads_blobs_from_where_it_may(site: Site, key: Path) -> None:
    (file,) = site.push(1000, seed=20)
    done = ssh(site, "node-2", key, "-n", at_source(site), f"{file} 999")
    assert (done.returncode, len(done.stdout)) == (124, 1)


def test_the_key_is_worth_nothing_elsewhere(site: Site, key: Path) -> None:
    (file,) = site.push(1000, seed=20)
    done = ssh(site, "node-3", key, "-n", at_source(site), f"{file} 0")
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-n", "{host}"],
        ["-tt", "{host}"],
        ["-n", "{host}", "id"],
        ["-n", "{host}", "cat /etc/hostname"],
        ["-n", "{host}", "rsync --server --sender -e.LsfxCIvu . /etc/"],
        ["-n", "{host}", "rsync --server -e.LsfxCIvu . /var/lib/ollama/blobs"],
        ["-s", "{host}", "sftp"],
        ["-n", "-W", "127.0.0.1:22", "{host}"],
        ["-n", "-N", "-R", "127.0.0.1:9999:127.0.0.1:22", "{host}"],
    ],
)
def test_the_key_does_nothing_else(words: list[str], site: Site, key: Path) -> None:
    done = ssh(site, "node-2", key, *(word.format(host=at_source(site)) for word in words))
    assert done.returncode in (1, 64, 255), done.stderr
    assert done.stdout == ""


def test_the_key_forwards_no_port(site: Site, key: Path) -> None:
    """ssh listens on its own side whatever the server allows: it is the connection through it that is refused."""
    script = """
        ssh -F /dev/null -i /root/key -N -o BatchMode=yes -o StrictHostKeyChecking=yes \
            -o UserKnownHostsFile=/root/known -L 127.0.0.1:9999:127.0.0.1:22 "$1" 2>/root/said & forward=$!
        for _ in $(seq 200); do ! : 3<>/dev/tcp/127.0.0.1/9999 || break; sleep 0.05; done 2>/dev/null
        exec 3<>/dev/tcp/127.0.0.1/9999 && timeout 10 head -c 3 <&3
        kill $forward; cat /root/said"""
    ssh(site, "node-2", key, "-n", at_source(site))
    done = site.host("node-2").run(["bash", "-c", script, "-", at_source(site)], check=False)
    assert "administratively prohibited" in done.stdout
    assert "SSH" not in done.stdout.splitlines()[0]


# -- bad luck


def slow(site: Site, *, rate: str = "16mbit") -> None:
    """Links on which a large blob takes some seconds."""
    for name in (SOURCE, *NODES):
        site.host(name).limit(rate)


def kill(host: LabHost, command: str) -> None:
    host.run(["pkill", "-KILL", "-f", command])


@pytest.mark.parametrize("percent", [5, 50, 95])
@pytest.mark.parametrize(("side", "command"), [("node-2", "ssh -F"), (SOURCE, "tail --bytes")])
def test_a_transfer_that_is_killed_goes_on_where_it_was(percent: int, side: str, command: str, site: Site) -> None:
    (file,) = files = site.push(LARGE, seed=percent + ord(side[-1]))
    slow(site)
    with site.copying(files) as process:
        site.await_arrived("node-2", file, percent - 5)
        slow(site, rate="2mbit")  # else the last of it may have arrived before it is killed
        site.await_arrived("node-2", file, percent)
        before = site.sent(SOURCE)
        kill(site.host(side), command)
        slow(site)
        first = site.ends(process)
    assert first.status == 0, first.said
    site.assert_whole(files)
    assert site.sent(SOURCE) - before < 1.3 * LARGE * (100 - percent) // 100 + 300_000
    site.assert_no_key_left()


def test_a_runner_that_is_killed_leaves_what_has_arrived_and_the_next_run_goes_on(site: Site) -> None:
    (file,) = files = site.push(LARGE, seed=4)
    slow(site)
    with site.copying(files) as process:
        site.host("node-4").wait_for(lambda: site.arrived("node-4", file) > LARGE // 3)
        process.send_signal(signal.SIGKILL)
    node = site.host("node-3")
    node.wait_for(lambda: "head -c" not in node.run(["ps", "-eo", "args"]).stdout)
    there = site.arrived("node-4", file)
    assert there > LARGE // 3
    before = site.sent(SOURCE)
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)
    assert site.sent(SOURCE) - before < 1.2 * (LARGE - there) + 300_000
    site.assert_no_key_left()


def test_a_node_that_dies_in_the_middle_costs_only_its_own_part(site: Site) -> None:
    (file,) = files = site.push(LARGE, seed=5)
    slow(site)
    before = site.sent(SOURCE)
    try:
        with site.copying(files) as process:
            site.host("node-4").wait_for(lambda: site.arrived("node-4", file) > LARGE // 4)
            site.host("node-3").power_off()
            done = site.ends(process)
    finally:
        site.host("node-3").power_on()
        site.host("node-3").wait_for_ssh()
    assert_told(done, "node-3", "")
    site.assert_whole(files, "node-2", "node-4")
    assert site.sent(SOURCE) - before < 1.5 * LARGE, "node-4 went on from node-2, not from the source"
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)


def test_a_link_that_is_cut_for_good_is_that_nodes_trouble_alone(site: Site) -> None:
    (file,) = files = site.push(LARGE, seed=6)
    slow(site)
    with site.copying(files) as process:
        site.host("node-3").wait_for(lambda: site.arrived("node-3", file) > LARGE // 4)
        site.host("node-2").cut()
        done = site.ends(process)
    assert_told(done, "node-2", "")
    site.assert_whole(files, "node-3", "node-4")
    site.host("node-2").restore()
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)


def test_a_byte_that_flipped_on_its_way_is_found_and_fetched_anew(site: Site) -> None:
    """What had arrived at an interruption is not what it was; who follows gets it too, and finds it too."""
    (file,) = files = site.push(LARGE, seed=7)
    part = bytearray(site.file(SOURCE, f"blobs/{file}").read_bytes()[: LARGE // 2])
    part[1000] ^= 255
    site.file("node-2", f".scout-ollama/incoming/{file}").write_bytes(part)
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)


@pytest.mark.parametrize("size", [LARGE, LARGE + 1])
def test_a_file_that_has_its_size_but_not_its_bytes_is_not_taken_for_what_arrived(size: int, site: Site) -> None:
    (file,) = files = site.push(LARGE, seed=8 + size)
    for node in NODES:
        with site.file(node, f".scout-ollama/incoming/{file}").open("wb") as sparse:
            sparse.truncate(size)
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)


@pytest.mark.parametrize("how", ["flipped", "short", "sparse", "gone"])
def test_what_is_damaged_at_the_source_reaches_no_node_and_is_told(how: str, site: Site) -> None:
    (file,) = files = site.push(SMALL, seed=len(how) + ord(how[0]))
    path = site.file(SOURCE, f"blobs/{file}")
    content = path.read_bytes()
    lines = site.missing(files, ("node-2", "node-3"))
    match how:
        case "flipped":
            path.write_bytes(bytes([content[0] ^ 255]) + content[1:])
        case "short":
            path.write_bytes(content[:1000])
        case "sparse":
            path.write_bytes(b"")
            os.truncate(path, SMALL)
        case "gone":
            path.unlink()
    assert lines
    with site.copying(files, lines=lines) as process:
        done = site.ends(process)
    next_step = "inv pull-models --hosts nodes --repair" if how in ("flipped", "sparse") else "the same command again"
    assert_told(done, "node-2", f"blob {file[7:19]} is damaged" if how in ("flipped", "sparse") else "", next=next_step)
    assert not site.file("node-2", f"blobs/{file}").exists()
    path.write_bytes(content)
    assert site.copy(files).status == 0
    site.assert_whole(files)


def test_a_disk_that_fills_up_is_that_nodes_trouble_alone(site: Site) -> None:
    (file,) = files = site.push(LARGE, seed=9)
    slow(site)
    node = site.host("node-3")
    try:
        with site.copying(files) as process:
            node.wait_for(lambda: site.arrived("node-3", file) > LARGE // 4)
            node.fill(STORE)
            done = site.ends(process)
    finally:
        node.free(STORE)
    assert_told(done, "node-3", "a blob cannot be written", why="No space left", next="make room there")
    site.assert_whole(files, "node-2", "node-4")
    done = site.copy(files)
    assert done.status == 0, done.said
    site.assert_whole(files)


def assert_told(done: Done, host: str, what: str, *, why: str = "", next: str = "") -> None:
    assert done.status == 1, done.said
    assert "Traceback" not in done.said
    told = re.search(rf"^{host}: .*{re.escape(what)}", done.said, re.MULTILINE)
    assert told, done.said
    rest = done.said[told.start() :]
    assert why in rest, done.said
    assert next in rest, done.said
