"""``models.lock`` beside the inventory: what each tag meant when it was published last.

A line a model, ``DIGEST  CLUSTER  NAME``; the digest is that of ``/api/tags``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from scout_ollama import files
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Site
from scout_ollama.store import ModelName, StoreError

_LINE = re.compile(r"([0-9a-f]{64})  (\S+)  (\S+)")

Locked = dict[tuple[str, ModelName], str]


def lock_of(site: Site) -> Path:
    """Return the file."""
    return site.root / "models.lock"


def read(site: Site, cluster: str) -> dict[ModelName, str]:
    """Return the digest of each model that was published on a cluster; none if nothing was yet.

    Raises:
        Trouble: the file cannot be read.
    """
    return {name: digest for (of, name), digest in _read(site).items() if of == cluster}


def write(site: Site, cluster: str, digests: Mapping[ModelName, str]) -> bool:
    """Make these the models of a cluster; what is there of others stays. Return whether that changed anything.

    Raises:
        Trouble: the file cannot be read or written.
    """
    before = _read(site)
    after = {key: digest for key, digest in before.items() if key[0] != cluster}
    after |= {(cluster, name): digest for name, digest in digests.items()}
    if after == before:
        return False
    lines = [f"{digest}  {of}  {name}\n" for (of, name), digest in sorted(after.items())]
    try:
        files.write(lock_of(site), "".join(lines).encode())
    except OSError as error:
        why = error.strerror or str(error)
        raise Trouble(f"{lock_of(site)} cannot be written", why=why, next=f"ls -ld {site.root}") from None
    return True


def _read(site: Site) -> Locked:
    found: Locked = {}
    for line in files.text_of(lock_of(site)).splitlines():
        match = _LINE.fullmatch(line)
        try:
            if match:
                found[match[2], ModelName.parse(match[3])] = match[1]
        except StoreError:
            continue
    return found
