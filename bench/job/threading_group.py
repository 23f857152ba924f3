"""The job with Fabric's ThreadingGroup: ``python threading_group.py WORK SERVER HOST…``; SERVER may be empty."""

from __future__ import annotations

import sys
from pathlib import Path

from fabric import Config, Connection, ThreadingGroup

K3S = "/etc/rancher/k3s"
FILES = (("registry-ca.crt", "scout-ollama-registry-ca.crt", "644"), ("registries.yaml", "registries.yaml", "600"))
CHECKS = (
    "sudo k3s --version",
    "sudo systemctl is-active k3s",
    "sudo k3s crictl images -o json",
    "sudo nvidia-smi -L",
    "sudo test -d /var/lib/ollama/blobs",
    "sudo df -P -B1 /var/lib/rancher",
)
APPLY = "sudo k3s kubectl apply --server-side --field-manager=scout-ollama --filename"


def main(work: Path, server: str, *hosts: str) -> None:
    """Do it, a step at a time, each on all hosts at once."""
    config = Config(runtime_ssh_path=str(work / "ssh_config"))
    with ThreadingGroup(*hosts, config=config) as group:
        for source, target, mode in FILES:
            wanted = (work / source).read_text()
            there = group.run(f"sudo cat {K3S}/{target}", hide=True, warn=True)
            for connection, result in there.items():
                if result.stdout != wanted:
                    put(connection, work / source, f"{K3S}/{target}", mode)
        for check in CHECKS:
            group.run(check, hide=True)
    if server:
        with Connection(server, config=config) as connection:
            put(connection, work / "manifests.yaml", "/root/manifests.yaml", "600")
            connection.run(f"{APPLY} /root/manifests.yaml", hide=True)


def put(connection: Connection, source: Path, target: str, mode: str) -> None:
    """Put a file where only root may."""
    connection.put(str(source), f"/tmp/{source.name}")  # noqa: S108 - the ordinary way
    connection.run(f"sudo install -m {mode} /tmp/{source.name} {target} && rm /tmp/{source.name}", hide=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
