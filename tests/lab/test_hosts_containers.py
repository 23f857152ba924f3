"""The same lab where hosts are containers: what an engine can do, and a clear word about what it cannot."""

import os
import time
from collections.abc import Iterator

import pytest

from lab.lab import Lab
from lab.topology import ssh_hosts
from scout_ollama.errors import Trouble

docker = pytest.importorskip("docker", reason="the docker extra is not installed")

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    try:
        docker.from_env(timeout=5).ping()
    except docker.errors.DockerException as error:
        pytest.skip(f"no container engine answers: {error}")
    with Lab.running(f"test-{os.getpid()}", ssh_hosts(2), k3s=False, engine="containers") as running:
        yield running
    left = docker.from_env().containers.list(all=True, filters={"label": f"scout-lab=test-{os.getpid()}"})
    assert left == []
