"""What the Ollama pods of a cluster have in memory, and where they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scout_ollama import rollout
from scout_ollama.asking import bracketed
from scout_ollama.facts import Section, facts_script, parse_sections, read_rollout
from scout_ollama.job import Job, Troubles
from scout_ollama.outside import from_json
from scout_ollama.pods import is_ready
from scout_ollama.remote import Reader
from scout_ollama.shapes import check, size
from scout_ollama.store import ModelName


@dataclass(frozen=True)
class Loaded:
    """A model in memory: the name that loaded it, the digest of its manifest then, its bytes in all and in VRAM."""

    name: ModelName
    digest: str
    size: int
    vram: int


@dataclass(frozen=True)
class Pod:
    """A pod that serves: where it answers from its own node, and what it has in memory."""

    address: str
    loaded: tuple[Loaded, ...] = ()


def find(job: Job, troubles: Troubles) -> dict[str, Pod]:
    """Return the pod of each GPU host that has one that serves; none of a cluster that does not run Ollama yet."""
    objects = job.through_a_server(dict(troubles), lambda remote: read_rollout(remote, job.ollama.namespace))
    serving = [obj for obj in objects if obj["kind"] == "Pod" and rollout.is_ollama(obj) and is_ready(obj)]
    hosts = {host.node: host.name for host in job.ollama_hosts if host.name not in troubles}
    addresses = {
        hosts[pod["spec"]["nodeName"]]: f"{bracketed(pod['status']['podIP'])}:11434"
        for pod in serving
        if pod["spec"].get("nodeName") in hosts
    }
    asked = job.fleet.read(lambda remote: read(remote, addresses[remote.host.name], ["ps"]), list(addresses))
    return {name: Pod(addresses[name], tuple(loaded(sections["ps"]))) for name, sections in asked.ok.items()}


def read(remote: Reader, address: str, about: Sequence[str]) -> Mapping[str, Section]:
    """Ask a pod, from its own node, what is meant by ``ps``, ``tags`` or the name of a model to be shown.

    Raises:
        RemoteError: the host cannot be reached.
    """
    return parse_sections(remote.read(facts_script("ask-models"), address, *about, timeout=300).stdout)


def loaded(section: Section) -> list[Loaded]:
    """Return what an answer of ``/api/ps`` lists; an answer that is no such JSON lists nothing."""
    try:
        answer = from_json(section.text) if section.ok else {"models": []}
        check(answer, {"models!": [{"name!": str, "digest!": str, "size!": size, "size_vram!": size}]})
        return [
            Loaded(ModelName.parse(model["name"]), model["digest"], model["size"], model["size_vram"])
            for model in answer["models"]
        ]
    except ValueError:  # StoreError is one
        return []
