"""Facts of a host on which everything is as it should be; a test changes what it is about."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.certificates import Authority
from scout_ollama.facts import HostFacts, Runtime, Section, Space
from scout_ollama.inventory import Site, load_site

NOW = 1_800_000_000.0

GOOD_HOST = HostFacts(
    clock=int(NOW),
    k3s_version="v1.36.3+k3s1",
    k3s_unit="k3s",
    k3s_active=True,
    k3s_writable=True,
    registries=None,
    registries_authority=None,
    registries_loaded=True,
    images=frozenset({"docker.io/ollama/ollama:0.24.0"}),
    gpus=Section(0, "0, 580.95.05"),
    runtime=Runtime("580.95.05", "/usr/bin/nvidia-container-runtime", loaded=True, imports_drop_ins=True, default=""),
    store_directories=True,
    images_space=Space(100 * 2**30, 200 * 2**30),
    curl=True,
    registry=Section(0, "200"),
)


def host_facts(**changed: Any) -> HostFacts:
    """Return the facts of a good host, with some changed."""
    return replace(GOOD_HOST, **changed)


def site_with_certificate(directory: Path) -> Site:
    """Return the shipped site, copied to a directory that is not there yet, with a certificate for its endpoint."""
    shutil.copytree(Path(__file__).parent.parent / "hosts", directory)
    secrets = directory / "secrets"
    secrets.mkdir(exist_ok=True)
    Authority.create(secrets).issue(["ollama.phi.example.edu"]).write(secrets / "phi.crt", secrets / "phi.key")
    return load_site(directory)
