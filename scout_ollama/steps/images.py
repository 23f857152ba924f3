"""Every image is on its node before a pod is told to use it, so that a missing one stops nothing that runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scout_ollama.changes import PullImage, Stage
from scout_ollama.facts import HostFacts


def plan(images: Iterable[str], facts: Mapping[str, HostFacts]) -> list[Stage]:
    """Return the images that are not on their nodes yet; ``facts`` are those of the hosts that will run them."""
    missing = [PullImage(name, image) for image in images for name, found in facts.items() if image not in found.images]
    return [Stage("images", tuple(missing))]
