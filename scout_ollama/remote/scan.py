"""Which host keys a host presents, asked without logging in to it, as ssh-keyscan does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import fabric
import paramiko

from scout_ollama.inventory import Host
from scout_ollama.known_hosts import HostKey, KnownHosts
from scout_ollama.remote import connection
from scout_ollama.remote.connection import Hop

_ALGORITHMS = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    ("rsa-sha2-512", "rsa-sha2-256"),
)
...
