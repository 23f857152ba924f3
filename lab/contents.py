"""What is laid over the root file system: files that all hosts of a lab have, and files of one host. Both as tar."""

import io
import json
import tarfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import paths
from lab.keys import KeyPair
from lab.record import Record
from lab.rootfs_customize import OPERATOR, OPERATOR_ID
from lab.standins import model_registry
from lab.topology import ClusterSpec, HostSpec, placed

K3S_VERSION = "v1.36.3+k3s1"
_STANDINS = paths.PACKAGE / "standins"
_UNITS = "etc/systemd/system"
_HOSTS_HEAD = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"


@dataclass
class Files:
    """Files to be, by path without the leading slash, collected in a tar archive."""

    _buffer: io.BytesIO = field(default_factory=io.BytesIO)

    def __post_init__(self) -> None:
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115  closed by archive()
        self._directories: set[str] = set()

    def file(self, path: str, content: str | bytes, mode: int = 0o644, owner: int = 0) -> None:
        """A regular file; ``owner`` is both user and group."""
        data = content.encode() if isinstance(content, str) else content
        entry = self._entry(path, mode, owner)
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        entry = self._entry(path, 0o777)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)

    def directory(self, path: str, mode: int = 0o755, owner: int = 0) -> None:
        """A directory, for one whose mode or owner matters or that stays empty."""
        self._directories.add(path)
        entry = self._entry(path, mode, owner)
        entry.type = tarfile.DIRTYPE
        self._tar.addfile(entry)

    def archive(self) -> bytes:
        """Everything, as a tar archive."""
        self._tar.close()
        return self._buffer.getvalue()

    def _entry(self, path: str, mode: int, owner: int = 0) -> tarfile.TarInfo:
        parent = str(Path(path).parent)
        if parent != "." and parent not in self._directories:
            self.directory(parent)
        entry = tarfile.TarInfo(path)
        entry.mode, entry.uid, entry.gid, entry.mtime = mode, owner, owner, int(time.time())
        return entry


def of_lab(record: Record, operator: KeyPair) -> bytes:
    """What every host of the lab has: the skeleton, names, stand-ins, unit files, the operator's login."""
    files = Files()
    skeleton = paths.PACKAGE / "host/skeleton"
    for file in sorted(path for path in skeleton.rglob("*") if path.is_file()):
        files.file(str(file.relative_to(skeleton)), file.read_bytes(), file.stat().st_mode & 0o755)
    files.directory(f"home/{OPERATOR}", 0o750, OPERATOR_ID)
    files.directory(f"home/{OPERATOR}/.ssh", 0o700, OPERATOR_ID)
    files.file(f"home/{OPERATOR}/.ssh/authorized_keys", f"{operator.public}\n", 0o600, OPERATOR_ID)
    files.file("etc/hosts", _HOSTS_HEAD + "".join(f"{line}\n" for line in _names(record)))
    for program in sorted((_STANDINS / "bin").iterdir()):
        # mount(8) looks for its helpers nowhere else.
        directory = "usr/sbin" if program.name.startswith("mount.") else "usr/local/bin"
        files.link(f"{directory}/{program.name}", f"/opt/lab/src/lab/standins/bin/{program.name}")
    for unit in sorted((_STANDINS / "units").iterdir()):
        files.file(f"{_UNITS}/{unit.name}", unit.read_bytes())
    return files.archive()


def of_host(record: Record, cluster: ClusterSpec, host: HostSpec, key: KeyPair) -> bytes:
    """What only this host has: its name, its SSH host key, ``/etc/lab/host.json``, what starts at boot."""
    files = Files()
    files.file("etc/hostname", f"{host.name}\n")
    files.file("etc/ssh/ssh_host_ed25519_key", key.private, 0o600)
    files.file("etc/ssh/ssh_host_ed25519_key.pub", f"{key.public}\n")
    files.file("etc/lab/host.json", json.dumps(_description(record, cluster, host), indent=1))
    files.file("etc/lab/gpu-operator", f"{cluster.gpu_operator}\n")
    if record.k3s:
        files.file("etc/lab/token", record.token, 0o600)
    for unit in _enabled(record, cluster):
        files.link(f"{_UNITS}/multi-user.target.wants/{unit}.service", f"../{unit}.service")
    if cluster.kind == "staging":
        _add_staging(files, record, cluster, host)
        for suffix, mode in (("crt", 0o644), ("key", 0o600)):
            provided = record.site / f"secrets/{cluster.name}.{suffix}"
            files.file(f"etc/lab/tls/harbor.{suffix}", provided.read_bytes(), mode)
    return files.archive()


def _add_staging(files: Files, record: Record, cluster: ClusterSpec, host: HostSpec) -> None:
    """What a staging host has: its share, a way to the registry of models, its own Harbor as its mirror."""
    authority = (record.site / "secrets/ca.crt").read_text()
    registry = f"{record.address(host.name)} {model_registry.HOST}"
    files.file("etc/hosts", _HOSTS_HEAD + "".join(f"{line}\n" for line in [*_names(record), registry]))
    files.file("etc/ssl/certs/ca-certificates.crt", authority)
    files.file("etc/rancher/k3s/harbor-ca.crt", authority)
    files.file("etc/rancher/k3s/registries.yaml", _REGISTRIES.format(harbor=cluster.service))


_REGISTRIES = """\
mirrors:
  docker.io:
    endpoint: ["https://{harbor}"]
    rewrite: {{"^(.*)$": "dockerhub-proxy/$1"}}
configs:
  {harbor}:
    tls: {{ca_file: /etc/rancher/k3s/harbor-ca.crt}}
"""


def _names(record: Record) -> list[str]:
    """Lines of /etc/hosts: every host, and every service at all hosts of its cluster, as DNS would have it."""
    hosts = [f"{record.address(host.name)} {host.name}" for _, host in placed(record.topology)]
    services = [
        f"{record.address(host.name)} {cluster.service}" for cluster, host in placed(record.topology) if cluster.service
    ]
    return hosts + services


def _enabled(record: Record, cluster: ClusterSpec) -> list[str]:
    if not record.k3s:
        return []
    return ["k3s", "docker-registry", "harbor"] if cluster.kind == "staging" else ["k3s"]


def _description(record: Record, cluster: ClusterSpec, host: HostSpec) -> dict[str, Any]:
    """``/etc/lab/host.json``: what the stand-ins on a host need to know of it and of its cluster."""
    peers = [_peer(record, cluster, peer) for peer in cluster.hosts]
    server = next(peer.name for peer in cluster.hosts if "server" in peer.roles)
    k3s = {"server": record.address(server), "version": K3S_VERSION} if record.k3s else None
    return {
        "lab": record.name,
        **_peer(record, cluster, host),
        "cluster": cluster.name,
        "kind": cluster.kind,
        "k3s": k3s,
        "peers": peers,
    }


def _peer(record: Record, cluster: ClusterSpec, host: HostSpec) -> dict[str, Any]:
    return {
        "name": host.name,
        "address": record.address(host.name),
        "node_name": host.node_name or host.name,
        "node_index": 1 + cluster.hosts.index(host),
        "roles": list(host.roles),
        "gpus": host.gpus,
        "gpu_memory_gib": host.gpu_memory_gib,
    }
