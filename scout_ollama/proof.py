"""Whether what was deployed works, judged from what its users get: each node's pod, and the endpoint over TLS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from scout_ollama import certificates
from scout_ollama.checks import Finding
from scout_ollama.facts import Section, Sections
from scout_ollama.hints import on
from scout_ollama.inventory import Host, Ollama
from scout_ollama.outside import from_json
from scout_ollama.store import ModelName, StoreError


def of_version(host: Host, ollama: Ollama, answers: Sections) -> list[Finding]:
    """Return what is wrong with the version that one node's pod says it is."""
    version = answers["version"]
    return list(_version(host.name, ollama, version.text)) if version.ok else [_silent(host, ollama, version)]


def _silent(host: Host, ollama: Ollama, answer: Section) -> Finding:
    reason = answer.text.strip() or "it said nothing"
    logs = f"sudo k3s kubectl logs -n {ollama.namespace} daemonset/ollama"
    return Finding("pod", host.name, "its Ollama does not answer", reason, on(host, logs))


def of_endpoint(
    scout: Host, ollama: Ollama, certificate: str, nodes: Mapping[str, str], answers: Sections
) -> list[Finding]:
    """Return what is wrong with the endpoint as one Scout host sees it.

    ``certificate`` is the wanted one, as PEM; ``nodes`` are host names by address.
    """
    url = f"https://{ollama.hostname}"
    findings: list[Finding] = []
    if not answers["tags"].ok:
        reason = answers["tags"].text.strip() or "it said nothing"
        findings.append(
            Finding("endpoint", scout.name, f"{url} does not answer", reason, on(scout, f"curl -v {url}/api/tags"))
        )
    for address, node in nodes.items():
        findings += _of_node(scout, ollama, certificate, address, node, answers)
    return findings


def _of_node(
    scout: Host, ollama: Ollama, certificate: str, address: str, node: str, answers: Sections
) -> Iterator[Finding]:
    """One node behind the endpoint: which certificate it serves, then what it answers."""
    version, served = answers[f"version@{address}"], answers[f"certificate@{address}"]
    url = f"https://{ollama.hostname}"
    ask = on(scout, f"curl -v --resolve {ollama.hostname}:443:{address} {url}/api/version")
    given = ollama.tls.certificate if ollama.tls else None
    if served.ok and certificates.fingerprint_of(served.text) != certificates.fingerprint_of(certificate):
        why = "Traefik serves its own default where the Secret is missing or does not name the host"
        yield Finding("certificate", node, f"it serves another certificate than {given}", why, ask)
    elif not version.ok:
        reason = version.text.strip() or "it said nothing"
        yield Finding("endpoint", node, f"{url} does not answer on it, asked from {scout.name}", reason, ask)
    elif not served.ok:
        reason = served.text.strip() or "openssl said nothing"
        yield Finding("certificate", node, f"{scout.name} cannot tell which certificate it serves", reason, ask)
    else:
        yield from _version(node, ollama, version.text)


def digests(tags: str) -> dict[ModelName, str]:
    """Return the digest of each model in an ``/api/tags`` answer; an answer that is no such JSON has none."""
    try:
        models = from_json(tags)["models"]
        listed = [(str(model["name"]), str(model["digest"])) for model in models]
    except (ValueError, KeyError, TypeError):
        return {}
    named: dict[ModelName, str] = {}
    for name, digest in listed:
        with contextlib.suppress(StoreError):
            named[ModelName.parse(name)] = digest
    return named


def _version(host: str, ollama: Ollama, answer: str) -> Iterator[Finding]:
    try:
        version = from_json(answer)["version"]
    except (ValueError, KeyError, TypeError):
        version = answer[:80]
    if version != ollama.version:
        yield Finding(
            "version",
            host,
            f"its Ollama is version {version}, wanted is {ollama.version}",
            "the tag of the image and what is in it differ, or another Ollama answers",
            "compare the image in the registry with ollama.version in the inventory",
        )
