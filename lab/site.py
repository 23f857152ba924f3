"""The lab's inventory: what an operator of such a site would have written, with its keys and certificates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import chart
from lab.certificates import Authority
from lab.keys import KeyPair
from lab.record import Record
from lab.rootfs_customize import OPERATOR
from lab.standins import gemma, model_registry
from lab.topology import ClusterSpec, HostSpec
from scout_ollama.errors import Trouble

MODEL_STORE = "/var/lib/ollama"
NFS_DIRECTORY = "/srv/nfs/ollama"


def write(record: Record, operator: KeyPair, host_keys: Mapping[str, KeyPair]) -> None:
    """Write the inventory of ``record``: cluster files, known_hosts, secrets/, charts/, and the operator's key."""
    record.site.mkdir()
    secrets = record.site / "secrets"
    keys = record.site / "keys"
    for directory in (secrets, keys):
        directory.mkdir(mode=0o700)
    _private(keys / "operator", operator.private)
    (keys / "operator.pub").write_text(f"{operator.public} {OPERATOR}@{record.name}\n")
    authority = Authority.create(secrets)
    for cluster in record.topology:
        if cluster.service:
            authority.issue(_served(cluster)).write(secrets / f"{cluster.name}.crt", secrets / f"{cluster.name}.key")
        text = yaml.safe_dump(_cluster(record, cluster), sort_keys=False, width=120)
        (record.site / f"{cluster.name}.yaml").write_text(text)
    if any(_has_gpus(cluster) for cluster in record.topology):
        chart.write(record.site / "charts")
    known = [f"{_known_as(record, host)} {key.public}\n" for host, key in host_keys.items()]
    (record.site / "known_hosts").write_text("".join(known))


def _served(cluster: ClusterSpec) -> list[str]:
    """The names that a cluster's certificate is for; staging stands for the registry of models too."""
    return [str(cluster.service), *([model_registry.HOST] if cluster.kind == "staging" else [])]


def _private(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def _known_as(record: Record, host: str) -> str:
    """The host as OpenSSH looks it up: a port other than 22 is part of the name."""
    address, port = record.endpoint(host)
    return address if port == 22 else f"[{address}]:{port}"


def _cluster(record: Record, cluster: ClusterSpec) -> dict[str, Any]:
    common: dict[str, Any] = {"kind": cluster.kind, "environment": cluster.environment}
    if cluster.air_gapped:
        common["air_gapped"] = True
    if cluster.staging:
        common["staging"] = cluster.staging
    common["ssh"] = {"user": OPERATOR, "key_file": "keys/operator"}
    common["hosts"] = {host.name: _host(record, host) for host in cluster.hosts}
    match cluster.kind:
        case "ollama":
            operator = {"gpu_operator": _gpu_operator()} if _has_gpus(cluster) else {}
            return {**common, **operator, "ollama": _ollama(record, cluster)}
        case "staging":
            harbor = {"url": f"https://{cluster.service}", "ca": "secrets/ca.crt"}
            return {**common, "ollama_nfs_path": NFS_DIRECTORY, "harbor": harbor}
        case "scout" if cluster.ollama_cluster:
            return {**common, "ollama_mode": "external", "ollama_cluster": cluster.ollama_cluster}
        case "scout":
            return common
    raise Trouble(f"{cluster.name} is of kind {cluster.kind}", why="kinds are ollama, scout and staging")


def _has_gpus(cluster: ClusterSpec) -> bool:
    return cluster.kind == "ollama" and any(host.gpus for host in cluster.hosts)


def _gpu_operator() -> dict[str, str]:
    version = chart.DEFAULT_VERSION
    return {"version": version, "chart": f"charts/{chart.file_name(version)}", "toolkit": "host"}


def _host(record: Record, host: HostSpec) -> dict[str, Any]:
    address, port = record.endpoint(host.name)
    entry: dict[str, Any] = {"address": address, "roles": list(host.roles)}
    if port != 22:
        entry["ssh"] = {"port": port}
    for name in ("gpus", "gpu_memory_gib", "node_name"):
        if value := getattr(host, name):
            entry[name] = value
    return entry


def _ollama(record: Record, cluster: ClusterSpec) -> dict[str, Any]:
    scouts = [host.name for other in record.topology if other.ollama_cluster == cluster.name for host in other.hosts]
    # Behind published ports a Scout has two addresses: its own, and the one that the inventory knows it by.
    clients = {f"{address}/32": None for name in scouts for address in (record.address(name), record.endpoint(name)[0])}
    tls = {"certificate": f"secrets/{cluster.name}.crt", "key": f"secrets/{cluster.name}.key", "ca": "secrets/ca.crt"}
    models = [*cluster.models, *([{"name": gemma.NAME, "preload": True}] if record.inference else [])]
    return {"hostname": cluster.service, "tls": tls, "allowed_clients": list(clients), "models": models}
