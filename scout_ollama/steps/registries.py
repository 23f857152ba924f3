"""K3s pulls every image through Harbor: ``registries.yaml``, its private CA, and a restart when they changed."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from scout_ollama import difference
from scout_ollama.changes import Change, RestartK3s, Stage, WriteFile
from scout_ollama.facts import HostFacts
from scout_ollama.inventory import Harbor, Host
from scout_ollama.outside import Unreadable, from_yaml

REGISTRIES = "/etc/rancher/k3s/registries.yaml"
AUTHORITY = "/etc/rancher/k3s/scout-ollama-registry-ca.crt"


def plan(harbor: Harbor | None, hosts: Mapping[str, Host], facts: Mapping[str, HostFacts]) -> list[Stage]:
    """Return the files to write, and the restarts that make K3s read them, one node at a time.

    K3s reads the files at its start only, so a restart is due whenever they are newer than what it rendered from them:
    also when an earlier run wrote them and was interrupted before the restart.
    """
    if harbor is None:
        return []
    files: list[Change] = []
    restarts: list[Change] = []
    for name, found in facts.items():
        written = _files(harbor, name, found)
        files += written
        if written or not found.registries_loaded:
            reason = "its registries change" if written else "it has not read its registries since they changed"
            restarts.append(RestartK3s(name, found.k3s_unit or "k3s", hosts[name].node, reason))
    return [Stage("registries", tuple(files)), Stage("restarts", tuple(restarts), one_at_a_time=True)]


def _files(harbor: Harbor, host: str, facts: HostFacts) -> list[Change]:
    changes: list[Change] = []
    if harbor.ca:
        authority = harbor.ca.read_text()
        if (facts.registries_authority or "").strip() != authority.strip():
            there = facts.registries_authority
            lines = difference.of_texts(there, authority)
            changes.append(WriteFile(host, AUTHORITY, authority, tuple(lines), is_new=there is None))
    declared = parsed(facts.registries) or {}
    wanted = merged(declared, harbor)
    if wanted != declared:
        text = yaml.safe_dump(wanted, sort_keys=True)
        lines = difference.of_objects(difference.redacted(declared), difference.redacted(wanted))
        is_new = facts.registries is None
        changes.append(WriteFile(host, REGISTRIES, text, tuple(lines), is_new, mode=0o600))
    return changes


def merged(there: Mapping[str, Any], harbor: Harbor) -> dict[str, Any]:
    """Return ``registries.yaml`` with Harbor's mirrors in it; what others declared beside them is kept.

    The shape is K3s's: ``mirrors`` by upstream registry, ``configs`` by the mirror's host and port, not by its URL.
    """
    address = urlsplit(harbor.url).netloc
    mirrors = {
        upstream: {"endpoint": [harbor.url], "rewrite": {"^(.*)$": f"{project}/$1"}}
        for upstream, project in harbor.projects.items()
    }
    config: dict[str, Any] = {}
    if harbor.ca:
        config["tls"] = {"ca_file": AUTHORITY}
    if login := harbor.login():
        config["auth"] = {"username": login[0], "password": login[1].reveal()}
    configs = {address: config} if config else {}
    result = dict(there)
    for part, ours in (("mirrors", mirrors), ("configs", configs)):
        if ours:
            result[part] = {**(there.get(part) or {}), **ours}
    return result


@functools.lru_cache(maxsize=64)  # the hosts of a cluster have the same, and more than one step looks at it
def parsed(text: str | None) -> dict[str, Any] | None:
    """Return a host's ``registries.yaml`` as a document, to be read only; None if it is not one that K3s could read."""
    try:
        document = from_yaml(text or "")
    except Unreadable:
        return None
    if document is None:
        return {}
    parts = [document.get(part) for part in ("mirrors", "configs")] if isinstance(document, dict) else [""]
    return document if all(part is None or isinstance(part, dict) for part in parts) else None
