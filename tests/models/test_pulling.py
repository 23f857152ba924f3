"""The Job that pulls: valid for Kubernetes, one for each store, with an Ollama that removes nothing; and its script."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import kubernetes_validate
import pytest

from lab.standins import models
from scout_ollama.fleet import Fleet
from scout_ollama.job import Job
from scout_ollama.models import place, pulling
from scout_ollama.models.needs import Call
from scout_ollama.models.place import Place
from scout_ollama.store import ModelName
from tests import addresses
from tests.lab.ollama_server import REPOSITORY
from tests.models.stores import SITE, STAGING, TINY
from tests.test_manifests import KUBERNETES

CALLS = [
    Call(TINY, "/api/pull", {"model": "tiny:latest"}),
    Call(
        ModelName.parse("long"), "/api/create", {"model": "long", "from": "tiny:latest", "parameters": {"num_ctx": 9}}
    ),
]
SCRIPT = REPOSITORY / "scripts/pod/pull-models.sh"


@contextmanager
def jobs(name: str = "phi") -> Iterator[Job]:
    with Fleet(SITE) as fleet:
        yield Job(SITE, SITE.clusters[name], fleet, lambda *_: None)


def test_an_air_gapped_cluster_pulls_on_staging_and_another_one_on_its_first_gpu_host() -> None:
    with jobs() as job:
        assert place.of(job).host is STAGING.hosts["staging-1"]
        assert place.of(job).store == "/nfs/ollama"
    with jobs("nonphi") as job:
        assert (place.of(job).host.name, place.of(job).is_staging) == ("nonphi-gpu-1", False)
        assert place.of(job).store == "/var/lib/ollama/.scout-ollama/pulled"


def test_the_job_is_valid_names_no_address_and_removes_nothing() -> None:
    with jobs() as job:
        objects = pulling.objects(job, place.of(job), CALLS)
    for obj in objects:
        kubernetes_validate.validate(obj, KUBERNETES, strict=True)
        assert addresses.unnamed(addresses.of_object(obj), SITE) <= {"docker.io"}
    (container,) = objects[-1]["spec"]["template"]["spec"]["containers"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert environment["OLLAMA_NOPRUNE"] == "1"
    assert environment["OLLAMA_HOST"] == "127.0.0.1:11434"
    assert container["args"][:3] == ["tiny:latest", "/api/pull", '{"model": "tiny:latest"}']


def test_a_store_has_one_jobs_name_whoever_pulls_into_it() -> None:
    host = STAGING.hosts["staging-1"]
    names = {Place(STAGING, host, host, store, is_staging=True).job for store in ("/nfs/a", "/nfs/a", "/nfs/b")}
    assert len(names) == 2


# -- the pod's script, with Ollama's stand-in


@pytest.fixture
def pod(tmp_path: Path) -> Path:
    """A directory with a store that has a model."""
    models.add(tmp_path / "models", "tiny:latest")
    return tmp_path


def run(pod: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it in a network namespace of its own, so that its port is free."""
    commands = pod / "bin"
    commands.mkdir()
    wrapper = commands / "ollama"
    wrapper.write_text(f'#!/bin/sh\nPATH=${{PATH#*:}} exec {sys.executable} -m lab.standins.ollama "$@"\n')
    wrapper.chmod(0o755)
    environment = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "HOME": str(pod),
        "OLLAMA_HOST": "127.0.0.1:11434",
        "OLLAMA_MODELS": str(pod / "models"),
    }
    start = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec bash "$@"', "sh", str(SCRIPT), *words]
    return subprocess.run(start, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a network of its own needs root on Linux")
class TestScript:
    def test_a_variant_is_made_and_the_answers_are_lines(self, pod: Path) -> None:
        done = run(pod, "long", "/api/create", '{"model": "long", "from": "tiny:latest", "parameters": {"num_ctx": 9}}')
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-2:] == ['long {"status":"success"}', "done"]
        assert models.find(pod / "models", "long").manifest.layers

    def test_what_ollama_refuses_is_told_last(self, pod: Path) -> None:
        done = run(pod, "long", "/api/create", '{"model": "long", "from": "missing"}', "x", "/api/create", "{}")
        assert done.returncode == 1
        assert done.stdout.splitlines()[-1].startswith("failed: long: {")
        assert not (pod / "models/manifests/registry.ollama.ai/library/x").exists()
