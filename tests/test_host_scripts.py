"""Scripts that run on hosts, run here by a real sh with a stand-in for k3s that says what it was asked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from scout_ollama.manifests import to_stdin

SCRIPTS = Path(__file__).parent.parent / "scripts" / "host"
OBJECTS = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in ("a", "b")]


@pytest.fixture
def k3s(tmp_path: Path) -> Path:
    """A command ``k3s`` that writes its arguments and its standard input to a file."""
    asked = tmp_path / "asked"
    command = tmp_path / "k3s"
    command.write_text(f'#!/bin/sh\n{{ echo "$@"; cat; }} >{asked}\n')
    command.chmod(0o755)
    return asked


def run(script: str, stdin: bytes, *args: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{path}:{os.environ['PATH']}"}
    argv = ["sh", str(SCRIPTS / f"{script}.sh"), *args]
    done = subprocess.run(argv, input=stdin, capture_output=True, env=environment, check=False)
    return subprocess.CompletedProcess(argv, done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.parametrize(
    ("script", "args", "verb"), [("apply-objects", ["us"], "apply"), ("delete-objects", [], "delete")]
)
def test_objects_that_arrive_whole_reach_kubectl(script: str, args: list[str], verb: str, k3s: Path) -> None:
    done = run(script, to_stdin(OBJECTS), *args, path=k3s.parent)
    assert done.returncode == 0, done.stderr
    said = k3s.read_text()
    assert f" {verb} " in said.splitlines()[0]
    assert said.count("kind: Namespace") == 2


@pytest.mark.parametrize(("script", "args"), [("apply-objects", ["us"]), ("delete-objects", [])])
def test_objects_cut_off_between_two_documents_reach_nobody(script: str, args: list[str], k3s: Path) -> None:
    cut_off = to_stdin(OBJECTS).partition(b"---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: b")[0]
    done = run(script, cut_off, *args, path=k3s.parent)
    assert done.returncode == 1
    assert "did not arrive whole" in done.stderr
    assert not k3s.exists()
