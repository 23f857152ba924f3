"""Commands for a person to type next, spelled so that they can be pasted."""

from __future__ import annotations

import shlex

from scout_ollama.inventory import Host


def on(host: Host, command: str) -> str:
    """Return the ``ssh`` line that runs a shell command on a host, by the inventory's user, key and jump host."""
    words = ["ssh"]
    if host.ssh.key_file:
        words += ["-i", str(host.ssh.key_file)]
    if host.ssh.jump:
        words += ["-J", host.ssh.jump]
    if host.ssh.port != 22:
        words += ["-p", str(host.ssh.port)]
    return shlex.join([*words, f"{host.ssh.user}@{host.address}", command])
