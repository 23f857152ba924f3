"""A whole site: its clusters, what refers to what, and which hosts a selector means."""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import Trouble
from .models import Cluster, Harbor, Host, OllamaCluster, ScoutCluster, StagingCluster
from .problems import Problem, Where, refuse
from .secret_source import SecretSource


@dataclass(frozen=True)
class Site:
    """The inventory in ``root``, valid as a whole; clusters in the order of their files' names."""

    root: Path
    clusters: dict[str, Cluster]

    @property
    def known_hosts(self) -> Path:
        """The one file of host keys that is believed."""
        return self.root / "known_hosts"

    @property
    def hosts(self) -> list[Host]:
        """All hosts of all clusters."""
        return [host for cluster in self.clusters.values() for host in cluster.hosts.values()]

    def file_of(self, cluster: Cluster) -> Path:
        """The file that describes ``cluster``."""
        return self.root / f"{cluster.name}.yaml"

    def select(self, selector: str) -> list[Host]:
        """The hosts that a comma-separated list of terms means, each once, in the order of the inventory.

        A term is a cluster, an environment, a kind or a host, or a glob over clusters and hosts. Where a name is
        several of these, the first wins: ``phi`` is the cluster before it is the environment. ``cluster:host`` narrows
        to hosts of those clusters, and the host may leave out the cluster's name: ``phi:gpu-1`` is ``phi-gpu-1``.

        Raises ``Trouble`` for a term that means nothing.
        """
        terms = [term.strip() for term in selector.split(",") if term.strip()]
        if not terms:
            raise Trouble(
                "no hosts selected", why=f"the selector is empty; there is\n{self._names()}", next="inv list-hosts"
            )
        chosen = {host.name for term in terms for host in self._term(term)}
        return [host for host in self.hosts if host.name in chosen]

    def clusters_of(self, hosts: Iterable[Host]) -> list[Cluster]:
        """The clusters that these hosts belong to, in the order of the inventory."""
        names = {host.cluster for host in hosts}
        return [cluster for name, cluster in self.clusters.items() if name in names]

    def staging_of(self, cluster: Cluster) -> StagingCluster | None:
        """The staging cluster that feeds ``cluster``, if it has one."""
        staging = self.clusters.get(cluster.staging or "")
        return staging if isinstance(staging, StagingCluster) else None

    def harbor_of(self, cluster: Cluster) -> Harbor | None:
        """The registry through which an air-gapped cluster gets its images; None for one that is not."""
        staging = self.staging_of(cluster) if cluster.air_gapped else None
        return staging.harbor if staging else None

    def ollama_cluster_of(self, scout: ScoutCluster) -> OllamaCluster | None:
        """The shared cluster of this site that ``scout`` uses, by its name or by its URL; None if it uses none."""
        if scout.ollama_mode != "external":
            return None
        shared = [cluster for cluster in self.clusters.values() if isinstance(cluster, OllamaCluster)]
        if scout.ollama_cluster:
            return next((cluster for cluster in shared if cluster.name == scout.ollama_cluster), None)
        hostname = urlsplit(scout.ollama_url or "").hostname
        return next((cluster for cluster in shared if cluster.ollama.hostname == hostname), None)

    def scouts_of(self, cluster: OllamaCluster) -> list[ScoutCluster]:
        """The Scouts that use this shared cluster."""
        scouts = (scout for scout in self.clusters.values() if isinstance(scout, ScoutCluster))
        return [scout for scout in scouts if self.ollama_cluster_of(scout) is cluster]

    def check_files(self, clusters: Iterable[Cluster]) -> None:
        """Each certificate, key, CA and password of these clusters and their staging is there to be read.

        Apart from ``load_site`` because to list or render takes none of them. No command that gives a secret is run.
        Raises ``InventoryError`` with all that is not there.
        """
        wanted = {cluster.name: cluster for cluster in clusters}
        stagings = [staging for cluster in wanted.values() if (staging := self.staging_of(cluster))]
        wanted |= {staging.name: staging for staging in stagings}
        refuse(
            self.root,
            [
                Problem(self.file_of(cluster), where, wrong, right)
                for cluster in wanted.values()
                for where, source in _sources(cluster)
                for wrong, right in _lacking(source)
            ],
        )

    def learn_secrets(self) -> None:
        """Read every secret that nobody can be asked for, so that it is masked wherever it turns up.

        For commands that may print anything. One that cannot be read is passed over, and no command is run.
        """
        for cluster in self.clusters.values():
            for _, source in _sources(cluster):
                if isinstance(source, SecretSource) and source.command is None:
                    with suppress(Trouble):
                        source.read()

    def _term(self, term: str) -> list[Host]:
        of, colon, part = term.partition(":")
        found = [host for host in self._named(of) if not colon or _is_called(host, part)]
        if found:
            return found
        names = [*self.clusters, *(host.name for host in self.hosts)]
        if colon and (hosts := self._named(of)):
            names = [f"{host.cluster}:{host.name.removeprefix(f'{host.cluster}-')}" for host in hosts]
        close = get_close_matches(term, names, n=1, cutoff=0.4)
        raise Trouble(
            f"no host or cluster matches '{term}'",
            why=f"there is\n{self._names()}",
            next=f"did you mean {close[0]}?" if close else "inv list-hosts shows everything there is",
        )

    def _named(self, name: str) -> list[Host]:
        """The hosts of the first of cluster, environment, kind, host and glob that ``name`` is."""
        for property in ("name", "environment", "kind"):
            if group := [cluster for cluster in self.clusters.values() if getattr(cluster, property) == name]:
                return [host for cluster in group for host in cluster.hosts.values()]
        return [host for host in self.hosts if fnmatchcase(host.name, name) or fnmatchcase(host.cluster, name)]

    def _names(self) -> str:
        return "\n".join(f"{cluster.name}: {', '.join(cluster.hosts)}" for cluster in self.clusters.values())


def _is_called(host: Host, part: str) -> bool:
    return fnmatchcase(host.name, part) or fnmatchcase(host.name, f"{host.cluster}-{part}")


def _sources(cluster: Cluster) -> Iterator[tuple[Where, Path | SecretSource | None]]:
    """What work on ``cluster`` reads on this machine, by where it is named."""
    yield ("ssh", "key_file"), cluster.ssh.key_file
    for name, host in cluster.hosts.items():
        if host.ssh.key_file != cluster.ssh.key_file:
            yield ("hosts", name, "ssh", "key_file"), host.ssh.key_file
    if (ollama := cluster.runs_ollama) and ollama.tls:
        for name, source in ollama.tls:
            yield ("ollama", "tls", name), source
    if isinstance(cluster, StagingCluster):
        yield ("harbor", "ca"), cluster.harbor.ca
        yield ("harbor", "password"), cluster.harbor.password


def _lacking(source: Path | SecretSource | None) -> Iterator[tuple[str, str]]:
    """What is wrong and what would be right, if it cannot be read; as far as can be told without running a command."""
    file = source.file if isinstance(source, SecretSource) else source
    if isinstance(source, SecretSource) and source.environment and source.environment not in os.environ:
        yield f"{source.environment} is not set in the environment", "set it there, or correct its name"
    if file and (wrong := _unreadable(file)):
        # A password may stand where the name of its file should: it is not repeated.
        is_name = isinstance(source, Path) or os.access(file, os.F_OK)
        yield wrong if is_name else "names a file that does not exist", "give it there, or correct the path"


def _unreadable(file: Path) -> str:
    if not os.access(file, os.F_OK):
        return f"{file} does not exist"
    if file.is_dir():
        return f"{file} is a directory, not a file"
    return "" if os.access(file, os.R_OK) else f"{file} cannot be read by this user"
