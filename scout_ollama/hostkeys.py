"""Show which host keys the hosts present, and trust one that a person has compared with the host's console."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from scout_ollama import known_hosts
from scout_ollama.errors import Trouble
from scout_ollama.fleet import run_on
from scout_ollama.inventory import Host, Site
from scout_ollama.known_hosts import HostKey, KnownHosts, Verdict

ALARMING = (Verdict.CHANGED, Verdict.REVOKED)


@dataclass(frozen=True)
class Presented:
    """A key that a host, or the jump host before it, presents now. ``name`` is how known_hosts writes the host."""

    host: str
    name: str
    key: HostKey
    verdict: Verdict


def presented(site: Site, host: Host) -> Iterator[Presented]:
    """What is presented on the way to a host, jump host first. Raises RemoteError where the way ends."""
    from scout_ollama.remote.scan import scan  # imports Paramiko

    known = KnownHosts.load(site.known_hosts)
    for hop, keys in scan(host, known):
        for key in keys:
            yield Presented(hop.title, hop.known_as, key, known.verdict(hop.known_as, key))


def show(site: Site, selector: str) -> int:
    """Print the keys of the selected hosts; the exit status is 1 if a host failed or its key is not the known one."""
    hosts = {host.name: host for host in site.select(selector)}
    troubles = []
    for found, trouble in run_on(hosts, lambda name: _until_trouble(site, hosts[name])).values_or_raise().values():
        for one in found:
            print(f"{one.host:<20} {one.name:<24} {one.key.type:<20} {one.key.fingerprint} {one.verdict.value}")
        troubles += [str(trouble)] if trouble else []
        troubles += [f"{one.host}: {one.key} is {one.verdict.value}" for one in found if one.verdict in ALARMING]
    for line in troubles:
        print(line, file=sys.stderr)
    return 1 if troubles else 0


def trust(site: Site, selector: str, fingerprint: str) -> None:
    """Add a host's key, or its jump host's, to known_hosts if it has this fingerprint.

    Raises Trouble if nobody on the way presents it, or if known_hosts has another key of that type for the host.
    """
    host, *others = site.select(selector)
    if others:
        raise Trouble(
            f"{selector} is {1 + len(others)} hosts, and a fingerprint belongs to one",
            next=f"inv trust-host --hosts {host.name} --fingerprint {fingerprint}",
        )
    fingerprint = "SHA256:" + fingerprint.removeprefix("SHA256:").rstrip("=")
    seen: list[HostKey] = []
    for found in presented(site, host):
        seen.append(found.key)
        if found.key.fingerprint == fingerprint:
            _trust(site, found)
            return
    raise Trouble(
        f"nobody presents a key with fingerprint {fingerprint}",
        host=host.name,
        why="presented: " + ", ".join(map(str, seen)),
        next=f"inv show-host-keys --hosts {host.name}, and compare again",
    )


def _until_trouble(site: Site, host: Host) -> tuple[list[Presented], Trouble | None]:
    found: list[Presented] = []
    try:
        for one in presented(site, host):
            found.append(one)
    except Trouble as trouble:
        return found, trouble
    return found, None


def _trust(site: Site, found: Presented) -> None:
    if found.verdict is Verdict.KNOWN:
        print(f"{found.host}: {found.key} is known already")
        return
    rivals = KnownHosts.load(site.known_hosts).rivals(found.name, found.key)
    if rivals or found.verdict is Verdict.REVOKED:
        lines = ", ".join(str(entry.line) for entry in rivals)
        raise Trouble(
            "its key was not added: " + ("it is revoked" if found.verdict is Verdict.REVOKED else "another is known"),
            host=found.host,
            why=f"{site.known_hosts} has " + (" and ".join(str(entry.key) for entry in rivals) or "it as @revoked"),
            next=f"if the old key is no longer used, delete line {lines} and say this again" if rivals else "",
        )
    known_hosts.add(site.known_hosts, found.name, found.key)
    print(f"{found.host}: {found.key} is now known in {site.known_hosts}")
