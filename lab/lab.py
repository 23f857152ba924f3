"""A lab: some hosts on this machine and the inventory that describes them."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from lab import contents, record, site
from lab.engine import Engine, choose
from lab.keys import KeyPair
from lab.labhost import LabHost
from lab.record import Record
from lab.site import MODEL_STORE, NFS_DIRECTORY
from lab.standins import gemma
from lab.topology import DEFAULT_TOPOLOGY, ClusterSpec, HostSpec, Topology, placed
from scout_ollama.errors import Trouble

KUBERNETES, K3S = "SCOUT_LAB_KUBERNETES", "SCOUT_LAB_K3S"
_KUBECONFIG = "/etc/rancher/k3s/k3s.yaml"  # of every server, once its API answers
_SEED_HARBOR = "lab.standins.harbor", "seed"
_SEED_REGISTRY = ("lab.standins.model_registry",)
_REGISTRY = "http://localhost:5000/v2/"


class Lab:
    """A lab that exists on this machine, running or not."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._engine: Engine = choose(record.engine)(record)

    @classmethod
    def create(
        cls,
        name: str,
        hosts: Topology = DEFAULT_TOPOLOGY,
        *,
        k3s: bool = True,
        engine: str | None = None,
        inference: Path | None = None,
    ) -> "Lab":
        """Make a lab's inventory and files; ``up`` starts its hosts.

        Without ``k3s`` the hosts have SSH and nothing else. ``engine`` is what hosts are made of, ``namespaces`` or
        ``containers``; by default the first that this machine and user can have. With ``inference``, the directory of
        the real model, the registry and the clusters' inventory have it, and the hosts can run it. Clusters have
        Kubernetes' own control plane where ``SCOUT_LAB_KUBERNETES`` names what ``scripts/build-kubernetes`` made, and
        that of a real K3s where ``SCOUT_LAB_K3S`` names its program.
        """
        if not re.fullmatch(r"[a-z0-9][-a-z0-9]{0,30}", name):
            raise Trouble(f"{name!r} cannot name a lab", why="a name is lowercase letters, digits and '-', at most 31")
        kind = choose(engine)
        token, real = secrets.token_hex(16), str(inference or "")
        program = os.environ.get(K3S, "")
        new = Record(name, kind.name, 0, hosts, k3s, token, {}, real, os.environ.get(KUBERNETES, ""))
        new.claim()
        try:
            if program:
                new = replace(new, kubernetes=str(_copy_k3s(Path(program), new.directory / "kubernetes")))
            new = kind.reserve(new)
            new.save()
            _write_files(new)
        except BaseException:
            # Where there is no engine there is nothing to take down either.
            with suppress(Trouble):
                kind(new).down()
            shutil.rmtree(new.directory)
            raise
        return cls(new)

    @classmethod
    def load(cls, name: str) -> "Lab":
        """The lab ``name``, whatever state it is in. Raises ``Trouble`` if there is none."""
        return cls(record.load(name))

    @classmethod
    @contextmanager
    def running(
        cls,
        name: str,
        hosts: Topology = DEFAULT_TOPOLOGY,
        *,
        k3s: bool = True,
        engine: str | None = None,
        inference: Path | None = None,
    ) -> Iterator["Lab"]:
        """A lab that is up inside the ``with`` and gone after it."""
        lab = cls.create(name, hosts, k3s=k3s, engine=engine, inference=inference)
        try:
            lab.up()
            yield lab
        finally:
            lab.down()

    @property
    def name(self) -> str:
        """Its name on this machine."""
        return self._record.name

    @property
    def site(self) -> Path:
        """The directory of its inventory."""
        return self._record.site

    @property
    def hosts(self) -> list[LabHost]:
        """All its hosts."""
        return [self._engine.host(name) for name in self._record.hosts]

    @property
    def made_at(self) -> int:
        """When its files were written, in nanoseconds since 1970: what its hosts write is newer."""
        return self._record.common.stat().st_mtime_ns

    @property
    def servers(self) -> list[LabHost]:
        """The first server of each K3s cluster: where kubectl answers."""
        if not self._record.k3s:
            return []
        first = (next(host for host in cluster.hosts if "server" in host.roles) for cluster in self._record.topology)
        return [self.host(server.name) for server in first]

    @property
    def _with_traefik(self) -> list[LabHost]:
        return [
            server
            for server, cluster in zip(self.servers, self._record.topology, strict=False)
            if cluster.kind != "staging"
        ]

    def host(self, name: str) -> LabHost:
        """The host ``name``. Raises ``Trouble`` if the lab has no such host."""
        if name not in self._record.hosts:
            raise Trouble(f"the lab {self.name} has no host {name}", why=f"it has {', '.join(self._record.hosts)}")
        return self._engine.host(name)

    def up(self) -> None:
        """Start every host; returns when all answer to SSH, have started their units and K3s, and serve what they have.

        Raises ``Trouble`` with what a host said on its console when it does not start.
        """
        self._engine.up()
        with ThreadPoolExecutor(max_workers=4) as pool:
            list(pool.map(self._ready, placed(self._record.topology)))
            list(pool.map(_wait_for_traefik, self._with_traefik))

    def down(self) -> None:
        """End everything that belongs to the lab and forget it, also when it is half made or has crashed."""
        self._engine.down()
        shutil.rmtree(self._record.directory)

    def tried_to_leave(self) -> dict[str, list[str]]:
        """What each host or its pods sent to addresses outside the lab since it is up: ``192.0.2.1: 3 packets``.

        None of it got anywhere. A name that /etc/hosts does not have shows as the address of the name server that is
        not there, 192.0.2.53. Hosts that sent nothing are left out. Raises ``Trouble`` where hosts are containers.
        """
        return self._engine.tried_to_leave()

    def _ready(self, placed_host: tuple[ClusterSpec, HostSpec]) -> None:
        cluster, spec = placed_host
        host = self.host(spec.name)
        host.wait_for_ssh()
        if self._record.k3s and "gpu" in spec.roles:
            _make_store(host, MODEL_STORE)
        if cluster.kind == "staging":
            _make_store(host, NFS_DIRECTORY)
        host.wait_for_units()
        if self._record.k3s and "server" in spec.roles:
            host.wait_for_file(_KUBECONFIG)
        if self._record.k3s and cluster.kind == "staging":
            host.wait_for(lambda: host.run(["curl", "--silent", "--fail", _REGISTRY], check=False).returncode == 0)
            host.run_module(*_SEED_HARBOR)
            host.run_module(*_SEED_REGISTRY)
            if self._record.inference:
                host.run_module(*_SEED_REGISTRY, gemma.NAME)


def _copy_k3s(program: Path, directory: Path) -> Path:
    """A directory with nothing but it, as hosts see it; called kubectl it is kubectl."""
    if not os.access(program, os.X_OK):
        raise Trouble(f"{program} is not a program", why=f"{K3S} names it", next=f"unset {K3S}")
    directory.mkdir()
    shutil.copy(program, directory / "k3s")
    (directory / "kubectl").symlink_to("k3s")
    return directory


def _make_store(host: LabHost, directory: str) -> None:
    host.run(["mkdir", "-p", f"{directory}/blobs", f"{directory}/manifests"])


def _wait_for_traefik(server: LabHost) -> None:
    """K3s makes its Deployment once the cluster is there, and is up without it."""
    argv = ["k3s", "kubectl", "-n", "kube-system", "wait", "--for=condition=Available", "deployment/traefik"]
    server.wait_for(lambda: server.run(argv, check=False).returncode == 0)


def _write_files(new: Record) -> None:
    operator = KeyPair.generate()
    host_keys = {name: KeyPair.generate() for name in new.hosts}
    site.write(new, operator, host_keys)
    new.common.write_bytes(contents.of_lab(new, operator))
    for cluster, host in placed(new.topology):
        file = new.files(host.name)
        file.touch(mode=0o600)
        file.write_bytes(contents.of_host(new, cluster, host, host_keys[host.name]))
