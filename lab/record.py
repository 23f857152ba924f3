"""What is known of a lab while it exists: a JSON file in its state directory."""

import dataclasses
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import paths
from lab.topology import ClusterSpec, HostSpec, Topology, placed
from scout_ollama.errors import Trouble

_FIRST_HOST = 11


@dataclass(frozen=True)
class Record:
    """A lab: its name, who runs its hosts, which hosts, and where they are.

    ``network`` is the third number of the addresses 198.18.N.0/24 (RFC 2544, set aside for benchmarks), 0 as long as
    none is reserved.
    ``inference`` is the directory of the real model that its hosts see, empty if they have none; ``kubernetes`` that of
    Kubernetes' own control plane.
    ``ports`` says where on 127.0.0.1 the machine reaches each host's sshd, if not at the host's own address.
    """

    name: str
    engine: str
    network: int
    topology: Topology
    k3s: bool
    token: str = field(repr=False)
    ports: dict[str, int]
    inference: str = ""
    kubernetes: str = ""

    @property
    def directory(self) -> Path:
        """The lab's state on this machine; ``site`` in it is the inventory."""
        return paths.labs() / self.name

    @property
    def site(self) -> Path:
        """The inventory."""
        return self.directory / "site"

    @property
    def common(self) -> Path:
        """The tar archive of what all hosts have."""
        return self.directory / "common.tar"

    def files(self, host: str) -> Path:
        """The tar archive of what only this host has."""
        return self.directory / f"{host}.tar"

    @property
    def hosts(self) -> list[str]:
        """The names of all hosts."""
        return [host.name for _, host in placed(self.topology)]

    def has_open_webui(self, host: str) -> bool:
        """Whether the host sees the real Open WebUI."""
        return any(cluster.open_webui for cluster, spec in placed(self.topology) if spec.name == host)

    def address(self, host: str) -> str:
        """The host's address in the lab's network."""
        return f"198.18.{self.network}.{_FIRST_HOST + self.hosts.index(host)}"

    def endpoint(self, host: str) -> tuple[str, int]:
        """Address and port at which this machine reaches the host's sshd."""
        return ("127.0.0.1", self.ports[host]) if host in self.ports else (self.address(host), 22)

    def claim(self) -> None:
        """Make the lab's state directory, with the record in it from the first moment.

        Raises ``Trouble`` if another lab has the name.
        """
        paths.labs().mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=paths.labs(), prefix=".new-"))
        self._write(new)
        try:
            new.rename(self.directory)
        except OSError:
            shutil.rmtree(new)
            next_command = f"inv lab-down --name {self.name}"
            raise Trouble(f"there is a lab {self.name} already", next=next_command) from None

    def save(self) -> None:
        """Write the record over the one that is there."""
        self._write(self.directory)

    def _write(self, directory: Path) -> None:
        new = directory / "lab.json.new"
        new.touch(mode=0o600)
        new.write_text(json.dumps(dataclasses.asdict(self), indent=1))
        new.replace(directory / "lab.json")


def load(name: str) -> Record:
    """The record of the lab ``name``. Raises ``Trouble`` if there is no such lab."""
    file = paths.labs() / name / "lab.json"
    try:
        data = json.loads(file.read_text())
    except FileNotFoundError:
        there_is = ", ".join(names()) or "none"
        raise Trouble(f"there is no lab {name}", why=f"labs on this machine: {there_is}", next="inv lab-up") from None
    return Record(**{**data, "topology": tuple(_cluster(cluster) for cluster in data["topology"])})


def names() -> list[str]:
    """The labs that exist."""
    return sorted(file.parent.name for file in paths.labs().glob("*/lab.json"))


def _cluster(data: dict[str, Any]) -> ClusterSpec:
    hosts = tuple(HostSpec(**{**host, "roles": tuple(host["roles"])}) for host in data["hosts"])
    return ClusterSpec(**{**data, "hosts": hosts, "models": tuple(data["models"])})
