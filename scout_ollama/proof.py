"""Whether what was deployed works, judged from what its users get: each node's pod, and the endpoint over TLS."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

from scout_ollama import certificates
from scout_ollama.checks import Finding
from scout_ollama.facts import Section, Sections, facts_script, parse_sections
from scout_ollama.hints import on
from scout_ollama.inventory import Host, Ollama
from scout_ollama.outside import from_json
from scout_ollama.remote import Reader
from scout_ollama.store import ModelName, StoreError


def ask_pod(remote: Reader, address: str) -> Sections:
    """Ask the Ollama pod on a host, by its pod IP, for its version.

    From its own node, because the network policy lets nothing else but the ingress controller in.
    """
    script = facts_script("ask-pod")
    return parse_sections(remote.read(script, f"{bracketed(address)}:11434", timeout=90).stdout)


def ask_endpoint(remote: Reader, ollama: Ollama, addresses: Sequence[str]) -> Sections:
    """Ask the shared endpoint from a Scout host: by its name, then each of its nodes in turn."""
    script = facts_script("together", "endpoint", "ask-endpoint")
    result = remote.read(script, ollama.hostname or "", *addresses, stdin=authority_of(ollama))
    return parse_sections(result.stdout)


def authority_of(ollama: Ollama) -> bytes:
    """Return the certificate of the CA to verify an endpoint with, PEM; empty for a public one."""
    return ollama.tls.ca.read_bytes() if ollama.tls and ollama.tls.ca else b""


def bracketed(address: str) -> str:
    """Return an IP address as it stands in front of a port: with brackets around IPv6."""
    return f"[{address}]" if ":" in address else address


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
