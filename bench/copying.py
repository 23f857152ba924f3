"""The part *copying*: a blob from a source to many nodes, over links of equal rate."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from bench import work
from bench.contenders import JOB, OURS
from bench.metering import Metered, meter
from bench.results import Measurement, Sample
from bench.rounds import interleaved
from lab.lab import Lab
from lab.labhost import LabHost
from lab.topology import ssh_hosts

COPYING = "copying"
STORE = "/var/lib/ollama"
SOURCE = "node-1"
RSYNC = "rsync to each at once"
LINK = "bytes / rate of a link"
LEFT = {"first": 1.0, "after half of it": 0.5, "no-op": 0.0}
"""By case, what part of the blob is not on any node yet."""


@dataclass(frozen=True)
class Copying:
    """A lab whose source has one blob, of which the nodes get a copy."""

    lab: Lab
    place: Path
    content: bytes

    @cached_property
    def file(self) -> str:
        """The name of the blob's file."""
        return f"sha256-{hashlib.sha256(self.content).hexdigest()}"

    def prepare(self, nodes: Sequence[LabHost], left: float) -> None:
        """Leave on the nodes what each contender leaves there when it is interrupted with so much of it missing."""
        there = self.content[: round(len(self.content) * (1 - left))]
        for node in nodes:
            for directory in ("blobs/.rsync-partial", ".scout-ollama/incoming"):
                node.run(["rm", "-rf", f"{STORE}/{directory}"])
                node.run(["mkdir", "-p", f"{STORE}/{directory}"])
                if 0 < left < 1:
                    self._path(node, directory).write_bytes(there)
            self._path(node, "blobs").unlink(missing_ok=True)
            if not left:
                self._path(node, "blobs").write_bytes(there)
                os.utime(self._path(node, "blobs"), (0, 0))

    def ours(self, nodes: Sequence[LabHost]) -> Metered:
        """Copy as ``inv pull-models`` does."""
        argv = [sys.executable, "-m", "bench.bring", str(self.lab.site), "nodes", SOURCE, STORE]
        lines = "".join(f"{node.name} {self.file.replace('-', ':')} {len(self.content)}\n" for node in nodes)
        return meter(argv, {"XDG_STATE_HOME": str(self.place)}, lines)

    def rsync(self, nodes: Sequence[LabHost]) -> Metered:
        """Log in on the source, and copy from there with an rsync for each node."""
        script = (JOB / "rsync.sh").read_text()
        address = self.lab.host(SOURCE).address
        names = [node.address for node in nodes]
        return meter(["ssh", "-F", f"{self.place}/ssh_config", address, "sudo", "sh", "-s", "--", *names], input=script)

    def turn(
        self, name: str, copy: Callable[[Sequence[LabHost]], Metered], nodes: Sequence[LabHost], left: float
    ) -> Sample:
        """Let it be copied, and see that it is all there."""
        self.prepare(nodes, left)
        return work.done(
            name,
            lambda: copy(nodes),
            files=[self._path(node, "blobs") for node in nodes],
            lacking=lambda: [node.name for node in nodes if not self._is_whole(node)],
        )

    def _is_whole(self, node: LabHost) -> bool:
        return self._path(node, "blobs").exists() and self._path(node, "blobs").read_bytes() == self.content

    def _path(self, node: LabHost, directory: str) -> Path:
        return node.root / f"{STORE}/{directory}/{self.file}".lstrip("/")


def measure(
    counts: Sequence[int], rounds: int, rate: int, megabytes: int, say: Callable[[str], None]
) -> Iterator[Measurement]:
    """Measure copying so many megabytes to each number of nodes over links of ``rate`` Mbit/s."""
    say(f"copying: {megabytes} MB over links of {rate} Mbit/s")
    with (
        tempfile.TemporaryDirectory(prefix="scout-ollama-bench-") as directory,
        Lab.running(f"bench-{os.getpid()}", ssh_hosts(max(counts) + 1), k3s=False) as lab,
    ):
        copying = Copying(lab, Path(directory), os.urandom(megabytes * 1_000_000))
        _furnish(copying, rate)
        for count in counts:
            nodes = lab.hosts[1 : count + 1]
            for case, left in LEFT.items():
                say(f"copying to {count}, {case}")
                turns = {
                    name: partial(copying.turn, name, copy, nodes, left)
                    for name, copy in ((OURS, copying.ours), (RSYNC, copying.rsync))
                }
                least = Sample(wall_seconds=left * megabytes * 8 / rate)
                taken = {**interleaved(turns, rounds), LINK: [least] * rounds}
                for name, samples in taken.items():
                    yield Measurement(job=COPYING, case=case, hosts=count, contender=name, rounds=samples)


def _furnish(copying: Copying, rate: int) -> None:
    """Limit all links, give the source the blob, and a key for whoever copies from there by hand."""
    lab = copying.lab
    for host in lab.hosts:
        host.run(["mkdir", "-p", STORE])
        # As models have on a real node. The lab's overlay tail(1) takes for a remote one: it would look every 0.2 s.
        host.run(["mount", "-t", "tmpfs", "store", STORE])
        host.run(["mkdir", "-p", f"{STORE}/blobs", f"{STORE}/manifests", "/root/.ssh"])
        # Whatever this machine has: BBR keeps a node that receives and sends at once at 84 % of such a link.
        host.run(["sysctl", "-w", "net.ipv4.tcp_congestion_control=reno"])
        host.limit(f"{rate}mbit")
    source = lab.host(SOURCE)
    (source.root / f"{STORE}/blobs/{copying.file}".lstrip("/")).write_bytes(copying.content)
    os.utime(source.root / f"{STORE}/blobs/{copying.file}".lstrip("/"), (0, 0))
    key, known = lab.site / "keys/operator", lab.site / "known_hosts"
    (source.root / "root/.ssh/known_hosts").write_bytes(known.read_bytes())
    source.run(["sh", "-ec", "umask 077; cat >/root/.ssh/id_ed25519"], input=key.read_text())
    copying.place.joinpath("ssh_config").write_text(work.ssh_options(key, known))
