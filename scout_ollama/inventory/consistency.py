"""What no single field can check: fields of a cluster against each other, and clusters against each other."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address

from .fields import shown
from .models import Cluster, Host, Model, Ollama, OllamaCluster, ScoutCluster, ScoutModel, StagingCluster
from .problems import Problem, Where, dotted
from .site import Site

NRI_SINCE = (26, 3, 0)
"""First release of NVIDIA's operator whose toolkit can be an NRI plugin."""

Finding = tuple[Where, str, str]
"""Where in a cluster's file, what is wrong, what would be right."""


@dataclass(frozen=True)
class Consistency:
    """The checks of a site. ``names`` are those of all its files: to refer to an invalid one is not wrong in itself."""

    site: Site
    names: Sequence[str]

    def problems(self) -> Iterator[Problem]:
        """Everything that is inconsistent."""
        for cluster in self.site.clusters.values():
            for where, wrong, right in self._findings(cluster):
                yield Problem(self.site.file_of(cluster), where, wrong, right)

    def _findings(self, cluster: Cluster) -> Iterator[Finding]:
        yield from _hosts(cluster)
        yield from self._unique(cluster)
        yield from self._reference(cluster.staging, "staging", StagingCluster)
        if cluster.air_gapped and cluster.runs_ollama and cluster.staging is None:
            yield ("air_gapped",), "is true without a staging cluster", "add staging: NAME"
        if cluster.runs_ollama:
            yield from _models(cluster.runs_ollama)
        if isinstance(cluster, OllamaCluster):
            yield from self._endpoint(cluster)
            yield from _gpu_operator(cluster)
        if isinstance(cluster, ScoutCluster):
            yield from self._reference(cluster.ollama_cluster, "ollama_cluster", OllamaCluster)
            yield from _mode(cluster)
            yield from self._attached(cluster)
        if isinstance(cluster, StagingCluster) and (cluster.harbor.username is None) != (
            cluster.harbor.password is None
        ):
            yield ("harbor",), "has one of username and password", "give both, or neither for anonymous pulls"

    def _unique(self, cluster: Cluster) -> Iterator[Finding]:
        """Hosts of this cluster whose name or address an earlier host has; every clash is told once."""
        names: dict[str, Host] = {}
        addresses: dict[tuple[str, int], Host] = {}
        for host in self.site.hosts:
            ours = host.cluster == cluster.name
            address = (host.address, host.ssh.port)
            if ours and (other := names.get(host.name)):
                yield ("hosts", host.name), f"is also a host of {other.cluster}", "give it a name of its own"
            if ours and (other := addresses.get(address)):
                wrong = f"is {host.address} port {host.ssh.port}, which is {other.name} of {other.cluster}"
                yield ("hosts", host.name, "address"), wrong, "each host has an address and port of its own"
            names.setdefault(host.name, host)
            addresses.setdefault(address, host)

    def _endpoint(self, cluster: OllamaCluster) -> Iterator[Finding]:
        shared = [other for other in self.site.clusters.values() if isinstance(other, OllamaCluster)]
        first = next(other for other in shared if other.ollama.hostname == cluster.ollama.hostname)
        if first is not cluster:
            yield ("ollama", "hostname"), f"is also that of {first.name}", "give each cluster a name of its own"
        for index, network in enumerate(cluster.ollama.allowed_clients):
            if network.prefixlen == 0:
                wrong = f"{network} admits everybody"
                yield ("ollama", "allowed_clients", index), wrong, "name the networks of the Scouts"

    def _reference(self, name: str | None, field: str, kind: type[Cluster]) -> Iterator[Finding]:
        clusters = self.site.clusters
        fitting = [cluster.name for cluster in clusters.values() if isinstance(cluster, kind)]
        there_is = f"there is: {', '.join(fitting) or 'none yet'}"
        if name in clusters and name not in fitting:
            yield (field,), f"{name} is of kind {clusters[name].kind}", there_is
        elif name is not None and name not in self.names:
            close = get_close_matches(name, fitting, n=1)
            yield (field,), f"there is no cluster {shown(name)}", f"did you mean {close[0]}?" if close else there_is

    def _attached(self, scout: ScoutCluster) -> Iterator[Finding]:
        """What keeps a Scout from using the shared cluster that it names."""
        shared = self.site.ollama_cluster_of(scout)
        if shared is None:
            return
        field = "ollama_cluster" if scout.ollama_cluster else "ollama_url"
        if scout.ollama_cluster and scout.ollama_url != shared.url:
            right = f"{shared.name} is {shared.url}; leave ollama_url out, it follows from ollama_cluster"
            yield ("ollama_url",), f"is {scout.ollama_url}", right
        if scout.environment != shared.environment:
            wrong = f"{shared.name} is {shared.environment} and this Scout is {scout.environment}"
            yield (field,), wrong, "patient data does not leave its environment: use a cluster of the same one"
        for host in scout.hosts.values():
            if not _admitted(host, shared.ollama):
                wrong = f"{host.address} is in none of {shared.name}'s allowed_clients: it would be refused"
                right = f"add it to ollama.allowed_clients of {self.site.file_of(shared)}"
                yield ("hosts", host.name, "address"), wrong, right


def _hosts(cluster: Cluster) -> Iterator[Finding]:
    hosts, ollama = cluster.hosts.values(), cluster.runs_ollama
    cpu_only = ollama is not None and ollama.cpu_only
    nodes: dict[str, Host] = {}
    for host in hosts:
        for field, wrong, right in _roles(host, cpu_only):
            yield ("hosts", host.name, field), wrong, right
        other = nodes.setdefault(host.node, host)
        if other is not host:
            yield ("hosts", host.name, "node_name"), f"is that of {other.name} too", "each host is a node of its own"
    if not any("server" in host.roles for host in hosts):
        yield ("hosts",), "has no host with role server", "a K3s cluster has at least one"
    if ollama and not any("gpu" in host.roles for host in hosts):
        yield ("hosts",), "has no host with role gpu", "Ollama runs on the hosts with that role, with cpu_only too"


def _roles(host: Host, cpu_only: bool) -> Iterator[tuple[str, str, str]]:
    if len(host.roles & {"server", "agent"}) != 1:
        yield "roles", f"is {sorted(host.roles)}", "a K3s node is either server or agent, and gpu besides"
    if host.gpus and "gpu" not in host.roles:
        yield "gpus", f"is {host.gpus} without role gpu", "add gpu to roles, or leave gpus out"
    if "gpu" in host.roles and not host.gpus and not cpu_only:
        yield "gpus", "is 0 with role gpu", "give the number of GPUs, or set ollama.cpu_only: true"


def _gpu_operator(cluster: OllamaCluster) -> Iterator[Finding]:
    operator, ollama = cluster.gpu_operator, cluster.ollama
    release = tuple(int(number) for number in re.findall(r"\d+", operator.version)[:3])
    if operator.toolkit == "nri" and release < NRI_SINCE:
        wrong = f"is nri, which {operator.version} does not have"
        yield ("gpu_operator", "toolkit"), wrong, "set gpu_operator.version: v26.3.0 or later, or another toolkit"
    if operator.toolkit == "nri" and ollama.runtime_class and not ollama.cpu_only:
        wrong = f"is {ollama.runtime_class}, and with toolkit: nri the operator removes its runtime classes"
        yield ("ollama", "runtime_class"), wrong, "write runtime_class: null"
    toolkit = operator.values.get("toolkit")
    if isinstance(toolkit, dict) and "env" in toolkit:
        wrong = "would replace our list as a whole, and without any of its four the runtime is not found"
        yield ("gpu_operator", "values", "toolkit", "env"), wrong, "leave it out; it follows from toolkit"


def _mode(scout: ScoutCluster) -> Iterator[Finding]:
    if scout.ollama_mode == "deploy" and scout.ollama is None:
        yield ("ollama_mode",), "is deploy without an ollama section", "add ollama: with its models"
    if scout.ollama_mode == "external" and not scout.ollama_url and not scout.ollama_cluster:
        yield ("ollama_mode",), "is external without a URL", "add ollama_cluster: NAME or ollama_url: https://…"


def _models(ollama: Ollama) -> Iterator[Finding]:
    lists: dict[str, Sequence[Model | ScoutModel]] = {"models": ollama.models, "scout_models": ollama.scout_models}
    bases = {_full(variant.name): _full(variant.base) for variant in ollama.scout_models}
    declared: dict[str, Where] = {}
    preloaded: dict[str, str] = {}
    for where, model in (
        (("ollama", field, i), model) for field, models in lists.items() for i, model in enumerate(models)
    ):
        tag = _full(model.name)
        first = declared.setdefault(tag, where)
        if first != where:
            yield where, f"declares {model.name} again", f"keep one; the first is {dotted(first)}"
        elif model.preload:
            # Ollama keys what is loaded by the file of its weights, not by the name (server/sched.go).
            other = preloaded.setdefault(_weights(tag, bases), model.name)
            if other != model.name:
                wrong = f"preloads {model.name} beside {other}, which has the same weights"
                yield (*where, "preload"), wrong, "preload one of them: to load one unloads the other"


def _full(name: str) -> str:
    """A model's name as Ollama compares it: with its tag, without the default registry, in lowercase."""
    tagged = name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"
    return tagged.lower().removeprefix("registry.ollama.ai/").removeprefix("library/")


def _weights(tag: str, bases: Mapping[str, str]) -> str:
    """The model at the end of the chain of bases; a chain that closes on itself ends where it does."""
    seen: set[str] = set()
    while tag in bases and tag not in seen:
        seen.add(tag)
        tag = bases[tag]
    return tag


def _admitted(host: Host, ollama: Ollama) -> bool:
    """Whether the endpoint's allow-list has the host, as far as its address tells.

    A DNS name is not looked up, since loading touches no network; a loopback address is that of a forwarded port.
    """
    try:
        address = ip_address(host.address)
    except ValueError:
        return True
    return address.is_loopback or any(address in network for network in ollama.allowed_clients)
