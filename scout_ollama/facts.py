"""What is there now: one script a host, one script a cluster, parsed into values. Nothing here changes anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from scout_ollama.errors import Trouble
from scout_ollama.hints import on
from scout_ollama.inventory import Harbor, Host
from scout_ollama.kube_json import objects_in
from scout_ollama.manifests import DRAINED, MANAGER, KubeObject, ObjectKey, key_of, to_stdin
from scout_ollama.outside import from_json, understood, whole
from scout_ollama.remote import Reader, Script
from scout_ollama.remote.script import TIMED_OUT

OWNED_KINDS = ("daemonsets", "services", "secrets", "networkpolicies", "ingresses", "namespaces")
# Kinds that only a shared cluster must have: a Scout's own Ollama has no endpoint.
ENDPOINT_KINDS = ("middlewares.traefik.io", "helmchartconfigs.helm.cattle.io")


@dataclass(frozen=True)
class Section:
    """What one command of a facts script said: its exit status and its output (its errors, if it failed)."""

    status: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether the command succeeded."""
        return self.status == 0

    @property
    def timed_out(self) -> bool:
        """Whether timeout(1) ended the command."""
        return self.status in TIMED_OUT


ABSENT = Section(127, "")


class Sections(dict[str, Section]):
    """A facts script's output by section; a section that is not there reads as a command that was not found."""

    def __missing__(self, name: str) -> Section:
        return ABSENT


def facts_script(*names: str) -> Script:
    """Return a script that reports facts, with ``emit`` and what else it needs in front of it."""
    return Script.load("emit", *names)


def parse_sections(output: str) -> Sections:
    """Parse ``NAME STATUS`` headings, each followed by lines indented by two spaces, as ``emit.sh`` prints them."""
    sections = Sections()
    name, status, lines = "", 0, list[str]()
    for line in [*output.split("\n"), "end 0"]:
        if line.startswith("  "):
            lines.append(line[2:])
            continue
        heading = re.fullmatch(r"(\S+) (\d{1,3})", line)
        if heading:
            if name:
                sections[name] = Section(status, "\n".join(lines).rstrip("\n"))
            name, status, lines = heading[1], int(heading[2]), []
    return sections


class Space(NamedTuple):
    """A file system's bytes: free for root, and in all."""

    free: int
    total: int


@dataclass(frozen=True)
class Runtime:
    """What there is for containers with GPUs on a host.

    ``driver`` is its version, ``toolkit`` the path of the runtime's program; None where there is none. ``loaded``: K3s
    found that program when it started. ``imports_drop_ins``: its containerd reads other files beside the one that K3s
    renders. ``default`` is the runtime that K3s's own configuration names for all pods; empty for none.
    """

    driver: str | None
    toolkit: str | None
    loaded: bool
    imports_drop_ins: bool
    default: str


@dataclass(frozen=True)
class HostFacts:
    """One host as it is now. Sizes are bytes, ``clock`` is seconds since 1970 by the host's own clock."""

    clock: int
    k3s_version: str | None
    k3s_unit: str | None
    k3s_active: bool
    k3s_writable: bool
    registries: str | None = field(repr=False)
    registries_authority: str | None
    registries_loaded: bool
    images: frozenset[str]
    gpus: Section
    runtime: Runtime
    store_directories: bool
    images_space: Space | None
    curl: bool
    registry: Section | None

    @property
    def k3s_release(self) -> tuple[int, int] | None:
        """Major and minor version of K3s; None if it does not answer."""
        found = re.match(r"v(\d{1,9})\.(\d{1,9})", self.k3s_version or "")
        return (int(found[1]), int(found[2])) if found else None


def drained(objects: Iterable[KubeObject]) -> dict[str, str]:
    """Return the nodes among some objects that drain-host took out of service, with the note of who did it and why."""
    marked = [
        obj["metadata"] for obj in objects if obj.get("kind") == "Node" and DRAINED in obj["metadata"].get("labels", {})
    ]
    return {metadata["name"]: metadata.get("annotations", {}).get(DRAINED, "no reason is noted") for metadata in marked}


def in_service(hosts: Iterable[Host], objects: Iterable[KubeObject]) -> list[Host]:
    """Return the hosts whose nodes, which are among the objects, are not drained."""
    out = drained(objects)
    return [host for host in hosts if host.node not in out]


@dataclass(frozen=True)
class ClusterFacts:
    """One cluster as it is now, and what the wanted objects would become if they were applied.

    ``live`` and ``would_be`` have an entry for each wanted object that exists, or that the server would make.
    ``would_be`` is None when the server refused to try, as it does while the namespace is not there.
    """

    nodes: tuple[KubeObject, ...]
    live: Mapping[ObjectKey, KubeObject]
    would_be: Mapping[ObjectKey, KubeObject] | None
    owned: Mapping[ObjectKey, KubeObject]
    refusal: str = ""
    beside: Sections = field(default_factory=Sections, repr=False)
    """What the scripts said that were asked beside."""

    def node(self, name: str) -> KubeObject | None:
        """Return the node of that name."""
        return next((node for node in self.nodes if node["metadata"]["name"] == name), None)


def read_host(remote: Reader, *, store: str, harbor: Harbor | None) -> HostFacts:
    """Read one host's facts: one script over one channel, as root.

    Raises:
        RemoteError: the host cannot be reached, or refuses the script.
    """
    stdin = for_curl(harbor) if harbor else b"\n"
    script = facts_script("together", "registry", "k3s", "host-facts")
    result = remote.read(script, store, harbor.url if harbor else "", stdin=stdin, sudo=True, timeout=120)
    with understood(remote.host.name, script.name):
        return _host_facts(parse_sections(result.stdout))


def for_curl(harbor: Harbor) -> bytes:
    """Return what ``registry.sh`` reads: the credentials as a line of curl's configuration, and the CA below."""
    line = ""
    if login := harbor.login():
        user = f"{login[0]}:{login[1].reveal()}".replace("\\", "\\\\").replace('"', '\\"')
        line = f'user = "{user}"'
    return f"{line}\n".encode() + (harbor.ca.read_bytes() if harbor.ca else b"")


def read_cluster(remote: Reader, wanted: Iterable[KubeObject], *beside: str) -> ClusterFacts:
    """Read one cluster's facts through one of its servers: one script, and a second one while objects are missing.

    ``beside`` are further scripts, without arguments, that answer in the same call.

    Raises:
        RemoteError: the host cannot be reached.
        Trouble: the cluster does not answer, or lacks a kind that the manifests need.
    """
    objects = list(wanted)
    sections = _ask_cluster(remote, objects, *beside)
    with understood(remote.host.name, "cluster-facts"):
        return _cluster_facts(remote, objects, sections)


def read_rollout(remote: Reader, namespace: str) -> list[KubeObject]:
    """Read what a rollout is judged by: the namespace's DaemonSets, their revisions, pods and events, and the nodes."""
    result = remote.read(Script.load("rollout-state"), namespace, sudo=True)
    with understood(remote.host.name, "rollout-state"):
        return objects_in(result.stdout)


def read_exposed(remote: Reader) -> list[KubeObject]:
    """Read what decides who can reach what in a cluster: its nodes, services, workloads, pods and routes.

    Raises:
        RemoteError: the host cannot be reached.
        Trouble: the cluster does not answer, or knows no kind of Traefik's.
    """
    sections = parse_sections(remote.read(facts_script("exposed"), sudo=True, timeout=90).stdout)
    with understood(remote.host.name, "exposed"):
        return [obj for name in ("nodes", "workloads", "routes") for obj in _items(sections[name], remote)]


def _cluster_facts(remote: Reader, objects: list[KubeObject], sections: Sections) -> ClusterFacts:
    live = _by_key(_items(sections["live"], remote))
    would_be, refusal = _would_be(sections["would_be"])
    if would_be is None and live and "not found" in refusal:
        # The whole try fails on a namespace that is not there: ask again about the objects that are.
        would_be, refusal = _would_be(_ask_cluster(remote, [o for o in objects if key_of(o) in live])["would_be"])
    return ClusterFacts(
        nodes=tuple(_items(sections["nodes"], remote)),
        live=live,
        would_be=would_be,
        owned=_by_key(_items(sections["owned"], remote)),
        refusal=refusal,
        beside=sections,
    )


def _ask_cluster(remote: Reader, objects: list[KubeObject], *beside: str) -> Sections:
    script = facts_script("together", *beside, "cluster-facts")
    kinds = OWNED_KINDS + (ENDPOINT_KINDS if any(obj["kind"] == "Ingress" for obj in objects) else ())
    return parse_sections(remote.read(script, MANAGER, *kinds, stdin=to_stdin(objects), sudo=True, timeout=120).stdout)


def _items(section: Section, remote: Reader) -> list[KubeObject]:
    if not section.ok and ("no matches for kind" in section.text or "doesn't have a resource type" in section.text):
        raise Trouble(
            "the cluster lacks a kind of object that the manifests need",
            host=remote.host.name,
            why=section.text.strip(),
            next="enable K3s's own Traefik, which brings Middleware; right after K3s's first start it takes a minute",
        )
    if not section.ok:
        raise no_answer(remote.host, section)
    return objects_in(section.text)


def no_answer(host: Host, section: Section) -> Trouble:
    """Return the trouble that kubectl failed on a host, with the last thing that it said."""
    return Trouble(
        "the cluster's Kubernetes API does not answer as it should",
        host=host.name,
        why=(section.text.strip().splitlines() or ["kubectl said nothing"])[-1],
        next=on(host, "sudo k3s kubectl get nodes; sudo journalctl -u k3s -n 50 --no-pager"),
    )


def _by_key(objects: Iterable[KubeObject]) -> dict[ObjectKey, KubeObject]:
    return {key_of(obj): obj for obj in objects}


def _would_be(section: Section) -> tuple[dict[ObjectKey, KubeObject] | None, str]:
    return (_by_key(objects_in(section.text)), "") if section.ok else (None, section.text.strip())


def _host_facts(sections: Sections) -> HostFacts:
    return HostFacts(
        clock=whole(sections["clock"].text or "0"),
        k3s_version=_matched(r"(v\d+\.\d+\.\d+\S*)", sections["k3s.version"]),
        k3s_unit=sections["k3s.unit"].text if sections["k3s.unit"].ok else None,
        k3s_active=sections["k3s.active"].ok,
        k3s_writable=sections["k3s.writable"].ok,
        registries=_content(sections["registries"]),
        registries_authority=_content(sections["registries.authority"]),
        registries_loaded=sections["registries.loaded"].ok,
        images=_image_names(sections["images"]),
        gpus=sections["gpus"],
        runtime=_runtime(sections),
        store_directories=sections["store.directories"].ok,
        images_space=space_of(sections["images.space"]),
        curl=sections["curl"].ok,
        registry=sections.get("registry"),
    )


def _runtime(sections: Sections) -> Runtime:
    containerd = sections["runtime.containerd"]
    defaults = sections["runtime.default"].text.splitlines()  # the last of the files that say one decides
    return Runtime(
        driver=_matched(r"^\d+, (\d+\.\d+\S*)", sections["gpus"]),
        toolkit=_matched(r"(/\S+)", sections["toolkit"]),
        loaded=_matched(r"(runtimes\.[\"']?nvidia[\"']?\])", containerd) is not None,
        imports_drop_ins=_matched(r"(?m)^(imports)", containerd) is not None,
        default=defaults[-1].strip("\"' ") if defaults else "",
    )


def _matched(pattern: str, section: Section) -> str | None:
    found = re.search(pattern, section.text) if section.ok else None
    return found[1] if found else None


def _content(section: Section) -> str | None:
    return section.text + "\n" if section.ok else None


def space_of(section: Section) -> Space | None:
    """Return what ``df -P -B1`` says in a section; None if it says something else."""
    found = re.search(r" (\d{1,18}) +\d{1,18} +(\d{1,18}) +\d+% ", section.text) if section.ok else None
    return Space(free=int(found[2]), total=int(found[1])) if found else None


def _image_names(section: Section) -> frozenset[str]:
    if not section.ok:
        return frozenset()
    images = from_json(section.text).get("images") or []
    return frozenset(str(tag) for image in images for tag in image.get("repoTags") or [])
