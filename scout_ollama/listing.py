"""What ``inv list-hosts`` shows: the selected hosts with their merged values, from the inventory alone."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from scout_ollama.inventory import Cluster, Host, OllamaCluster, ScoutCluster, Site

if TYPE_CHECKING:
    from rich.console import Group

Row = dict[str, Any]


def rows(site: Site, hosts: Iterable[Host]) -> list[Row]:
    """One row per host, ready for JSON. No secret is in it, since none is in an inventory: only names of files."""
    return [_row(site.clusters[host.cluster], host) for host in hosts]


def _row(cluster: Cluster, host: Host) -> Row:
    ollama = cluster.runs_ollama
    return {
        "host": host.name,
        "cluster": cluster.name,
        "kind": cluster.kind,
        "environment": cluster.environment,
        "air_gapped": cluster.air_gapped,
        "staging": cluster.staging,
        "address": host.address,
        "ssh": host.ssh.model_dump(mode="json"),
        "node_name": host.node,
        "roles": sorted(host.roles),
        "gpus": host.gpus,
        "gpu_memory_gib": host.gpu_memory_gib,
        "ollama_version": ollama.version if ollama else None,
        "ollama_mode": cluster.ollama_mode if isinstance(cluster, ScoutCluster) else None,
        "ollama_host": _endpoint(cluster),
        "models": ollama.names if ollama else [],
    }


def _endpoint(cluster: Cluster) -> str | None:
    """What Open WebUI connects to, or on a shared cluster what it offers."""
    if isinstance(cluster, OllamaCluster):
        return cluster.url
    return cluster.ollama_host if isinstance(cluster, ScoutCluster) else None


def render(rows: Sequence[Row]) -> "Group":
    """The rows for a terminal: a heading for each cluster, its hosts below; fits 80 columns."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    names, targets = (max((len(cell(row)) for row in rows), default=0) for cell in (_name, _ssh))
    tables = []
    for _, group in groupby(rows, key=lambda row: row["cluster"]):
        hosts = list(group)
        # Text and not str: rich would take the brackets of an IPv6 address for markup.
        table = Table.grid(padding=(0, 2, 0, 0))
        for width in (names, targets, None, None):
            table.add_column(min_width=width)
        for row in hosts:
            table.add_row(*(Text(cell(row)) for cell in (_name, _ssh, _roles, _gpus)))
        tables.append(Group(Text(_heading(hosts[0]), style="bold"), table, ""))
    return Group(*tables)


def _heading(row: Row) -> str:
    air_gap = [f"air-gapped behind {row['staging']}" if row["staging"] else "air-gapped"] if row["air_gapped"] else []
    ollama = " ".join(filter(None, ["ollama", row["ollama_mode"], row["ollama_version"], row["ollama_host"]]))
    facts = [row["environment"], *air_gap, ollama if row["kind"] != "staging" else "staging"]
    return f"{row['cluster']}: {', '.join(facts)}"


def _name(row: Row) -> str:
    return f"  {row['host']}"


def _roles(row: Row) -> str:
    return " ".join(sorted(row["roles"], reverse=True))


def _ssh(row: Row) -> str:
    ssh, address = row["ssh"], row["address"]
    target = f"{ssh['user']}@[{address}]" if ":" in address else f"{ssh['user']}@{address}"
    port = f":{ssh['port']}" if ssh["port"] != 22 else ""
    return target + port + (f" via {ssh['jump']}" if ssh["jump"] else "")


def _gpus(row: Row) -> str:
    if not row["gpus"]:
        return ""
    return f"{row['gpus']}x{row['gpu_memory_gib']} GiB" if row["gpu_memory_gib"] else str(row["gpus"])
