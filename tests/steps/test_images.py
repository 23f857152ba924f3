"""Which node still has to bring which image."""

from __future__ import annotations

from scout_ollama.changes import Plan
from scout_ollama.steps import images
from tests.samples import host_facts


def test_only_nodes_without_the_image_pull_it() -> None:
    facts = {"gpu-1": host_facts(), "gpu-2": host_facts(images=frozenset({"docker.io/ollama/ollama:0.23.0"}))}
    (pull,) = Plan(tuple(images.plan(["docker.io/ollama/ollama:0.24.0"], facts)))
    assert (pull.host, pull.title) == ("gpu-2", "pull docker.io/ollama/ollama:0.24.0")
