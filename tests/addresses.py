"""Which addresses texts, Kubernetes objects and commands name, and which of them an inventory does not. Pure.

An address is what a connection could be made to, or a network of them: a host name, an IP address, a CIDR network;
without scheme, user, port and path.
"""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

import yaml

from scout_ollama.inventory import Cluster, OllamaCluster, ScoutCluster, Site, StagingCluster
from scout_ollama.store import ModelName

_LABEL = r"[A-Za-z0-9](?:[-A-Za-z0-9]*[A-Za-z0-9])?"
_DNS_NAME = rf"(?:{_LABEL}\.)+[A-Za-z](?:[-A-Za-z0-9]*[A-Za-z0-9])"
_URL = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://([^\s/?#'\"<>|,;)]+)")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?!\w|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:/\d{1,3})?(?![\w:]|\.\d)")
_NAME_AND_PORT = re.compile(rf"(?<![\w./-])({_DNS_NAME}):\d{{1,5}}(?![\w.-])")
_WORD = re.compile(rf"(?:[^\s/@]+@)?(?:\*\.|\.)?({_DNS_NAME})\.?(?=$|[:/])")

# Where an object holds names that nobody connects to, whatever they look like.
_TYPES = {"apiVersion", "kind", "type", "apiGroup", "apiGroups", "group", "resources", "driver", "provisioner"}
_NAMES = {"name", "namespace", "generateName", "secretName", "serviceName", "claimName", "serviceAccountName"}
_CLASSES = {"controller", "runtimeClassName", "ingressClassName", "storageClassName", "priorityClassName"}
_KEYS = {"key", "resource", "topologyKey", "fieldPath", "finalizers", "managedFields"}
_LABELS = {"labels", "matchLabels", "matchExpressions", "nodeSelector", "selector", "tolerations"}
_PATHS = {"path", "mountPath", "subPath", "workingDir"}
_NO_ADDRESSES = _TYPES | _NAMES | _CLASSES | _KEYS | _LABELS | _PATHS

# Scripts whose arguments are names in the cluster: kinds of objects, nodes.
_NAMES_AS_ARGUMENTS = {"cluster-facts", "restart-k3s"}
_CALL = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\S+) (?P<host>\S+) (?:read|run|put|converse) (?P<rest>.+)")
_CALL_END = re.compile(r"(?P<words>.+) -> (?P<status>.+) in (?P<seconds>[\d.]+) s")

# Where nothing leaves a host (loopback, what a server listens on) or its cluster (K3s's networks of pods and services).
_INSIDE = [ip_network(n) for n in ("127.0.0.0/8", "::1", "0.0.0.0", "::", "10.42.0.0/16", "10.43.0.0/16")]  # noqa: S104


def of_text(text: str) -> set[str]:
    """The addresses in a script or other prose: URLs, IP addresses and networks, names with a port.

    A name by itself is not taken for an address: in prose it may as well be a file or a field.
    """
    urls = {_host(authority) for authority in _URL.findall(text)}
    numbers = {_canonical(found) for pattern in (_IPV4, _IPV6) for found in pattern.findall(text)}
    return (urls | numbers | {name.lower() for name in _NAME_AND_PORT.findall(text)}) - {""}


def of_value(text: str) -> set[str]:
    """The addresses in a value, or in several with commas, spaces or ``=`` between them: names with a dot as well."""
    words = re.split(r"[\s,=\"']+", text)
    return of_text(text) | {found[1].lower() for word in words if (found := _WORD.match(word))}


def of_argument(text: str) -> set[str]:
    """The addresses in one argument of a command: a value, or, with spaces in it, a script."""
    return of_text(text) if re.search(r"\s", text) else of_value(text)


def of_document(document: Any) -> set[str]:
    """The addresses in YAML or JSON that is no Kubernetes object: in its keys too."""
    match document:
        case str():
            return of_value(document)
        case Mapping():
            return _union(of_document(part) for item in document.items() for part in item)
        case list():
            return _union(map(of_document, document))
    return set()


def of_object(obj: Any, field: str = "") -> set[str]:
    """The addresses in a Kubernetes object, or in the part of one that stands in ``field``."""
    match obj:
        case _ if field in _NO_ADDRESSES:
            return set()
        case {"kind": "Secret", "data": Mapping() as data, **rest}:
            texts = (base64.b64decode(value).decode(errors="replace") for value in data.values())
            return _union(map(_of_content, texts)) | of_object(rest)
        case {"kind": "ConfigMap", "data": Mapping() as data, **rest}:
            return _union(map(_of_content, data.values())) | of_object(rest)
        case Mapping():
            return _union(of_object(value, name) for name, value in obj.items())
        case list():
            return _union(of_object(item, field) for item in obj)
        case str() if field == "image":
            return {_registry(obj)}
        case str() if field in ("command", "args"):
            return of_argument(obj)
        case str() if field in ("valuesContent", "stringData"):
            return _of_content(obj)
        case str():
            return of_value(obj)
    return set()


def of_log(text: str) -> set[str]:
    """The addresses that the remote commands in a run's log name.

    Raises:
        ValueError: a line begins as a remote command and does not end as one.
    """
    return _union(of_command(*words) for words in commands(text))


def of_command(script: str, *arguments: str) -> set[str]:
    """The addresses in the arguments of a host script."""
    return set() if script.removesuffix(".sh") in _NAMES_AS_ARGUMENTS else _union(map(of_argument, arguments))


def commands(text: str) -> Iterator[list[str]]:
    """Each remote command in a run's log: the script's name and its arguments. Other lines are passed over."""
    for line in text.splitlines():
        if begun := _CALL.fullmatch(line):
            ended = _CALL_END.fullmatch(begun["rest"])
            if not ended:
                raise ValueError(f"not a whole remote command: {line}")
            yield shlex.split(ended["words"])


def of_site(site: Site) -> set[str]:
    """The addresses that an inventory names."""
    return _union(map(_of_cluster, site.clusters.values()))


def unnamed(addresses: Iterable[str], site: Site) -> set[str]:
    """Those that the inventory does not name and that are not inside a host or a cluster."""
    named = of_site(site)
    return {address for address in addresses if address not in named and not _is_inside(address)}


def _of_cluster(cluster: Cluster) -> set[str]:
    found = {host.address.lower() for host in cluster.hosts.values()}
    found |= {_host(host.ssh.jump) for host in cluster.hosts.values() if host.ssh.jump}
    if ollama := cluster.runs_ollama:
        found |= {_registry(ollama.image), *map(_canonical, map(str, ollama.allowed_clients))}
        found |= {ModelName.parse(name).host for name in ollama.names}
        found |= {ModelName.parse(variant.base).host for variant in ollama.scout_models}
    match cluster:
        case OllamaCluster():
            found.add(cluster.ollama.hostname)
        case StagingCluster():
            found |= {_host(urlsplit(cluster.harbor.url).netloc), *cluster.harbor.projects}
        case ScoutCluster() if cluster.ollama_host:
            found.add(_host(urlsplit(cluster.ollama_host).netloc))
    return found


def _of_content(text: str) -> set[str]:
    """Addresses in a file: in YAML or JSON every value, in anything else what is unmistakable."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        return of_text(text)
    if isinstance(document, Mapping | list):
        return of_text(text) | of_document(document)
    return of_argument(text.strip())


def _host(authority: str) -> str:
    """The host of ``[user@]host[:port]``; nothing where a program fills it in."""
    host = authority.rpartition("@")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return "" if re.search(r"[${}%]", host) else _canonical(host) or host.lower()


def _registry(image: str) -> str:
    first, slash, _ = image.partition("/")
    return _host(first) if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def _canonical(number: str) -> str:
    """An IP address, or a network as CIDR, in its one spelling; nothing if it is neither."""
    network = _network(number)
    if network is None:
        return ""
    return str(network) if "/" in number else str(network.network_address)


def _network(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def _is_inside(address: str) -> bool:
    network = _network(address)
    if network is None:
        return address == "localhost" or address.endswith((".svc", ".svc.cluster.local"))
    return any(network.version == inside.version and network.subnet_of(inside) for inside in _INSIDE)  # type: ignore[arg-type]


def _union(sets: Iterable[set[str]]) -> set[str]:
    return set().union(*sets)
