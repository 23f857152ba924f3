"""What registries of models say of models that are yet to be pulled: their manifests, and so their sizes."""

from __future__ import annotations

from collections.abc import Sequence

from scout_ollama.facts import facts_script, parse_sections
from scout_ollama.remote import Reader
from scout_ollama.store import Manifest, ModelName, StoreError


def read(remote: Reader, names: Sequence[ModelName]) -> dict[ModelName, Manifest]:
    """Ask, from the host that will pull, for some models; those of which no registry tells anything are left out.

    Raises:
        RemoteError: the host cannot be reached.
    """
    if not names:
        return {}
    lines = [f"{n} {name.host} {name.namespace}/{name.model} {name.tag}\n" for n, name in enumerate(names)]
    script = facts_script("registry-manifests")
    said = remote.read(script, stdin="".join(lines).encode(), timeout=30 + 20 * len(names)).stdout
    sections = parse_sections(said)
    found: dict[ModelName, Manifest] = {}
    for n, name in enumerate(names):
        section = sections[str(n)]
        try:
            if section.ok:
                found[name] = Manifest.parse(section.text)
        except StoreError:
            continue
    return found
