"""What an Ollama says of itself, asked past Open WebUI: from the Scout's node, or from the pod if only that may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from scout_ollama.asking import bracketed
from scout_ollama.errors import Trouble
from scout_ollama.facts import facts_script, parse_sections
from scout_ollama.open_webui import needs
from scout_ollama.open_webui.answers import OLLAMA
from scout_ollama.open_webui.configuration import Json
from scout_ollama.open_webui.session import Session
from scout_ollama.open_webui.target import Target
from scout_ollama.open_webui.workload import Workload
from scout_ollama.outside import from_json
from scout_ollama.remote import Reader
from scout_ollama.shapes import check


@dataclass(frozen=True)
class Answers:
    """Its version, the digest of each tag on each node, and until when each model is in memory, by model and node."""

    version: str
    listed: Sequence[Mapping[str, str]]
    resident: Mapping[str, tuple[str, ...]]

    @property
    def tags(self) -> Mapping[str, str]:
        """The digest of each tag that every node has: others may be asked of the wrong one."""
        first, *others = self.listed
        return {tag: digest for tag, digest in first.items() if all(tag in listed for listed in others)}


def ask(remote: Reader, session: Session, workload: Workload, target: Target) -> Answers:
    """Ask the target's Ollama.

    Raises:
        Trouble: it does not answer.
    """
    if target.mode == "external":
        return from_node(remote, target)
    probe = session.ask(remote, workload, {"do": "probe", "url": target.url, "ca": target.ca})[0]
    return of_probe(target, probe)


def from_node(remote: Reader, target: Target) -> Answers:
    """Ask it over TLS from the Scout's node, by its name and on each of its nodes.

    Raises:
        Trouble: it does not answer there.
    """
    nodes = [host.address for host in target.cluster.hosts.values()] if target.cluster else []
    script = facts_script("together", "endpoint", "ask-ollama")
    addresses = [bracketed(address) for address in nodes if _is_address(address)]
    result = remote.read(script, target.endpoint, target.url or "", *addresses, stdin=target.ca.encode())
    sections = parse_sections(result.stdout)
    if not (sections["version"].ok and sections["tags"].ok):
        silent = sections["tags" if sections["version"].ok else "version"]
        raise _silent(target, f"asked from {remote.host.name}: {silent.text.strip() or 'it said nothing'}")
    asked = {name: _json(section.text) for name, section in sections.items() if section.ok}
    return Answers(
        version=str(asked["version"].get("version", "")),
        listed=[needs.digests(answer) for name, answer in asked.items() if name.startswith("tags")],
        resident=_resident(answer for name, answer in asked.items() if name.startswith("ps")),
    )


def of_probe(target: Target, probe: Json) -> Answers:
    """Read what the pod was answered.

    Raises:
        Trouble: it was not.
    """
    answers = probe["answers"]
    failed = [f"{name}: {answer['error']}" for name, answer in answers.items() if "error" in answer]
    reason = probe["name"] or probe["tcp"] or probe["tls"] or "\n".join(failed)
    if failed or not answers:
        raise _silent(target, f"asked from inside Open WebUI's pod: {reason}")
    return Answers(
        str(answers["version"].get("version", "")), [needs.digests(answers["tags"])], _resident([answers["ps"]])
    )


def _resident(answers: Any) -> dict[str, tuple[str, ...]]:
    """Until when each model stays, once for each node that has it: a use moves it."""
    found: dict[str, tuple[str, ...]] = {}
    for answer in answers:
        for model in answer.get("models") or []:
            found[model["model"]] = (*found.get(model["model"], ()), str(model.get("expires_at", "")))
    return found


def _silent(target: Target, why: str) -> Trouble:
    name = target.cluster.name if target.cluster else None
    return Trouble(
        f"{target.url} does not answer",
        why=why,
        next=f"inv check-access --hosts {name}" if name else f"curl -v {target.url}/api/version",
    )


def _json(text: str) -> Json:
    try:
        found: Json = from_json(text)
        check(found, OLLAMA)
    except ValueError:
        return {}
    return found


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
