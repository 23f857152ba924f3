"""The files that every contender starts from: what hosts shall have, and how each tool is told of the hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from bench.metering import Metered
from bench.results import Sample
from scout_ollama import manifests
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, Harbor, Site
from scout_ollama.steps import registries

KEPT = {"registry-ca.crt": registries.AUTHORITY, "registries.yaml": registries.REGISTRIES}
"""The files of the job, and where they belong on a host."""


def write(work: Path, site: Site, cluster: Cluster, harbor: Harbor, *, kubernetes: bool) -> None:
    """Write them into a directory; with ``kubernetes`` also the cluster's objects, for its first server."""
    addresses = {name: host.address for name, host in cluster.hosts.items()}
    work.joinpath("registry-ca.crt").write_bytes(harbor.ca.read_bytes() if harbor.ca else b"")
    work.joinpath("registries.yaml").write_text(yaml.safe_dump(registries.merged({}, harbor), sort_keys=True))
    work.joinpath("ssh_config").write_text(_ssh_config(site, addresses))
    applying = cluster.servers[:1] if kubernetes else []
    work.joinpath("inventory.ini").write_text(_ansible(work, list(addresses), applying))
    work.joinpath("inventory.py").write_text(_pyinfra(site, addresses, applying))
    if kubernetes:
        objects = manifests.to_stdin(manifests.ollama_objects(site, cluster))
        work.joinpath("manifests.yaml").write_bytes(objects)


def is_kept(work: Path, root: Path) -> bool:
    """Return whether the host with that root has the files as they shall be."""
    wanted = [(work / name).read_bytes() for name in KEPT]
    return [there.read_bytes() for there in kept(root) if there.exists()] == wanted


def stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    """Return what changes when a file is written or replaced; files that are not there are left out."""
    return [(there.st_ino, there.st_mtime_ns) for there in (file.stat() for file in files if file.exists())]


def kept(root: Path) -> list[Path]:
    """Return where the host with that root has the files of the job."""
    return [root / path.lstrip("/") for path in KEPT.values()]


def done(name: str, do: Callable[[], Metered], *, files: Sequence[Path], lacking: Callable[[], list[str]]) -> Sample:
    """Let a contender do it, and see that no host lacks anything, and that files which were there were left alone.

    Raises:
        Trouble: it failed, a host lacks something, or what was as it shall be was written.
    """
    before = stamps(files)
    metered = do()
    if (missing := lacking()) or metered.status:
        raise Trouble(f"{name} ended with {metered.status}; not on {missing}", why=metered.said)
    if before and stamps(files) != before:
        raise Trouble(f"{name} wrote what was as it shall be", why=metered.said)
    return metered.sample


def ssh_options(key: Path, known_hosts: Path) -> str:
    """Return what OpenSSH's configuration says of every host of the lab."""
    return f"Host *\n  User scout\n  IdentityFile {key}\n  UserKnownHostsFile {known_hosts}\n  BatchMode yes\n"


def _ssh_config(site: Site, addresses: Mapping[str, str]) -> str:
    lines = [f"Host {name}\n  HostName {address}\n" for name, address in addresses.items()]
    return "".join([*lines, ssh_options(site.root / "keys/operator", site.known_hosts)])


def _ansible(work: Path, hosts: list[str], applying: list[str]) -> str:
    options = f"[all:vars]\nwork={work}\nansible_ssh_common_args=-F {work}/ssh_config"
    return "\n".join(["[nodes]", *hosts, "", "[kubernetes]", *applying, "", options, ""])


def _pyinfra(site: Site, addresses: Mapping[str, str], applying: list[str]) -> str:
    ssh = {"ssh_user": "scout", "ssh_key": str(site.root / "keys/operator")}
    known = {"ssh_known_hosts_file": str(site.known_hosts), "ssh_strict_host_key_checking": "yes"}
    entries = [(name, {"ssh_hostname": address, **ssh, **known}) for name, address in addresses.items()]
    return f"nodes = {entries!r}\nkubernetes = {[entry for entry in entries if entry[0] in applying]!r}\n"
