"""What the lab says on a machine that lacks what it needs."""

import os
from pathlib import Path

import pytest

from lab import commands, record, rootfs
from lab.engine import choose
from scout_ollama.errors import Trouble


def test_without_mmdebstrap_it_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Trouble, match="mmdebstrap is not installed") as refused:
        rootfs.directory()
    assert refused.value.next == "apt-get install mmdebstrap"


def test_a_root_file_system_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUT_LAB_ROOTFS", str(tmp_path / "none.tar"))
    with pytest.raises(Trouble, match=r"none\.tar is not a file"):
        rootfs.archive()


def test_an_engine_that_there_is_not() -> None:
    with pytest.raises(Trouble, match="there is no engine vagrant") as refused:
        choose("vagrant")
    assert refused.value.why == "there is namespaces, containers"


def test_a_lab_that_cannot_be_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"test-{os.getpid()}"
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Trouble, match="ip is not installed"):
        commands.up(name, engine="namespaces")
    assert name not in record.names()
