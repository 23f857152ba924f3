"""The part *deploy*: everybody does the same job on the same hosts of a lab."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bench import contenders, work
from bench.contenders import OURS, WHOLE, Contender
from bench.metering import meter
from bench.results import Measurement, Sample
from bench.rounds import interleaved
from lab.lab import Lab
from lab.labhost import LabHost
from lab.topology import ClusterSpec, HostSpec, Topology, gpu_hosts, ssh_hosts
from scout_ollama.inventory import Harbor, load_site

HOSTS_JOB = "hosts"
CLUSTER_JOB = "hosts and Kubernetes"
KUBERNETES_AT_MOST = 3
"""With how many hosts the job is also done with Kubernetes: each has a K3s then, if a stand-in."""
REGISTRY = "https://harbor.example.edu"
STUBS = {
    "usr/local/bin/k3s": """[ "$1" = crictl ] && echo '{"images": []}' || echo k3s version v1.36.3+k3s1""",
    "usr/local/bin/nvidia-smi": '[ "$1" = -L ] && echo "GPU 0: NVIDIA H100 (UUID: GPU-0)" || echo "0, 580.95.05"',
    "usr/bin/systemctl": "echo active",
}
"""What the checks find where there is no K3s: stand-ins of one line."""


def measure(sizes: Sequence[int], rounds: int, say: Callable[[str], None]) -> Iterator[Measurement]:
    """Measure the job on so many hosts: without Kubernetes on any number of them, with it on few."""
    for size in sizes:
        say(f"{size} hosts with SSH; k3s, nvidia-smi and systemctl are stand-ins of one line")
        with _directory() as place, Lab.running(_name(), ssh_hosts(size), k3s=False) as lab:
            yield from _without_kubernetes(lab, place, rounds, say)
    for size in (size for size in sizes if size <= KUBERNETES_AT_MOST):
        say(f"{size} hosts with the lab's stand-ins for K3s, GPUs, Harbor and Ollama")
        with _directory() as place, Lab.running(_name(), site(size)) as lab:
            yield from _with_kubernetes(lab, place, rounds, say)


def site(size: int) -> Topology:
    """A shared cluster of so many GPU hosts, its staging and one Scout."""
    phi = ClusterSpec(
        "phi", "ollama", gpu_hosts("phi", size), air_gapped=True, staging="staging", models=("tiny:latest",)
    )
    scout = ClusterSpec("scout-prod", "scout", (HostSpec("scout-prod-1"),), air_gapped=True, ollama_cluster="phi")
    return (phi, ClusterSpec("staging", "staging", (HostSpec("staging-1"),)), scout)


def _without_kubernetes(lab: Lab, place: Path, rounds: int, say: Callable[[str], None]) -> Iterator[Measurement]:
    for host in lab.hosts:
        _furnish(host)
    loaded = load_site(lab.site)
    harbor = Harbor(url=REGISTRY, ca=lab.site / "secrets/ca.crt")
    work.write(place, loaded, loaded.clusters["nodes"], harbor, kubernetes=False)
    words = ["hosts", f"--site={lab.site}", f"--registry={REGISTRY}", f"--authority={harbor.ca}"]
    us = contenders.ours(*words, home=place / "home")
    everybody = {OURS: us, **contenders.others(place, [host.name for host in lab.hosts])}
    for case in ("first", "no-op"):
        say(f"{len(lab.hosts)} hosts, {case}")
        prepare = partial(_empty, lab.hosts) if case == "first" else lambda: None
        turns = {name: partial(_turn, name, one, prepare, place, lab.hosts) for name, one in everybody.items()}
        yield from _measured(HOSTS_JOB, case, len(lab.hosts), turns, rounds)


def _with_kubernetes(lab: Lab, place: Path, rounds: int, say: Callable[[str], None]) -> Iterator[Measurement]:
    loaded = load_site(lab.site)
    cluster = loaded.clusters["phi"]
    harbor = loaded.harbor_of(cluster)
    assert harbor, "the lab's cluster is air-gapped"
    work.write(place, loaded, cluster, harbor, kubernetes=True)
    nodes = [lab.host(name) for name in cluster.hosts]
    whole = contenders.whole(lab.site, place / "home")
    say(f"{len(nodes)} hosts with Kubernetes, first: {WHOLE}, once")
    once = [_turn(WHOLE, whole, lambda: None, place, nodes)]
    yield Measurement(job=CLUSTER_JOB, case="first", hosts=len(nodes), contender=WHOLE, rounds=once)
    us = contenders.ours("deploy", f"--site={lab.site}", home=place / "home")
    everybody = {OURS: us, WHOLE: whole, **contenders.others(place, list(cluster.hosts), cluster.servers[0])}
    say(f"{len(nodes)} hosts with Kubernetes, no-op")
    turns = {name: partial(_turn, name, one, lambda: None, place, nodes) for name, one in everybody.items()}
    yield from _measured(CLUSTER_JOB, "no-op", len(nodes), turns, rounds)


def _measured(
    job: str, case: str, hosts: int, turns: Mapping[str, Callable[[], Sample]], rounds: int
) -> Iterator[Measurement]:
    for name, taken in interleaved(turns, rounds).items():
        yield Measurement(job=job, case=case, hosts=hosts, contender=name, rounds=taken)


def _turn(
    name: str, contender: Contender, prepare: Callable[[], None], place: Path, hosts: Sequence[LabHost]
) -> Sample:
    """Let a contender do it, and see that it is done."""
    prepare()
    return work.done(
        name,
        lambda: meter(contender.argv, contender.environment),
        files=[file for host in hosts for file in work.kept(host.root)],
        lacking=lambda: [host.name for host in hosts if not work.is_kept(place, host.root)],
    )


def _furnish(host: LabHost) -> None:
    """Give a host what K3s, its GPUs and the models would have brought."""
    host.run(
        ["mkdir", "-p", "/etc/rancher/k3s", "/var/lib/rancher", "/var/lib/ollama/blobs", "/var/lib/ollama/manifests"]
    )
    for path, line in STUBS.items():
        stub = host.root / path
        stub.unlink(missing_ok=True)
        stub.write_text(f"#!/bin/sh\n{line}\n")
        stub.chmod(0o755)


def _empty(hosts: Sequence[LabHost]) -> None:
    for host in hosts:
        for file in work.kept(host.root):
            file.unlink(missing_ok=True)


def _name() -> str:
    return f"bench-{os.getpid()}"


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="scout-ollama-bench-") as directory:
        yield Path(directory)
