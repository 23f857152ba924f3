"""K3s pulls through Harbor: which files are written, and when K3s has to read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scout_ollama.changes import Plan, RestartK3s, WriteFile
from scout_ollama.inventory import Harbor, Host
from scout_ollama.steps import registries
from tests.samples import host_facts

HOSTS = {"gpu-1": Host(name="gpu-1", address="192.0.2.1", roles=frozenset({"server", "gpu"}), gpus=1)}


@pytest.fixture
def harbor(tmp_path: Path) -> Harbor:
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "password").write_text("hunter2\n")
    return Harbor(
        url="https://harbor.example.edu:8443",
        ca=tmp_path / "ca.crt",
        username="robot$pull",
        password=tmp_path / "password",
        projects={"docker.io": "dockerhub-proxy"},
    )


def plan(harbor: Harbor | None, **facts: Any) -> list[Any]:
    return list(Plan(tuple(registries.plan(harbor, HOSTS, {"gpu-1": host_facts(**facts)}))))


def test_a_fresh_host_gets_the_ca_and_the_mirrors_and_then_k3s_reads_them(harbor: Harbor) -> None:
    authority, mirrors, restart = plan(harbor, registries=None, registries_authority=None)
    assert isinstance(authority, WriteFile)
    assert authority.path == registries.AUTHORITY
    assert isinstance(mirrors, WriteFile)
    assert mirrors.mode == 0o600
    assert yaml.safe_load(mirrors.content) == {
        "mirrors": {
            "docker.io": {
                "endpoint": ["https://harbor.example.edu:8443"],
                "rewrite": {"^(.*)$": "dockerhub-proxy/$1"},
            }
        },
        "configs": {
            "harbor.example.edu:8443": {
                "auth": {"username": "robot$pull", "password": "hunter2"},
                "tls": {"ca_file": registries.AUTHORITY},
            }
        },
    }
    assert isinstance(restart, RestartK3s)


def test_the_password_is_in_no_line_of_the_plan(harbor: Harbor) -> None:
    shown = "\n".join(line for change in plan(harbor, registries=None) for line in [change.title, *change.difference()])
    assert "hunter2" not in shown
    assert "auth.password: (redacted " in shown


def test_a_host_that_has_and_has_read_them_is_left_alone(harbor: Harbor) -> None:
    there = yaml.safe_dump(registries.merged({}, harbor))
    assert plan(harbor, registries=there, registries_authority="-----BEGIN CERTIFICATE-----\n") == []


def test_files_written_by_a_run_that_was_interrupted_are_still_read(harbor: Harbor) -> None:
    there = yaml.safe_dump(registries.merged({}, harbor))
    authority = "-----BEGIN CERTIFICATE-----\n"
    (restart,) = plan(harbor, registries=there, registries_authority=authority, registries_loaded=False)
    assert isinstance(restart, RestartK3s)
    assert "since they changed" in restart.reason


def test_what_others_declared_is_kept(harbor: Harbor) -> None:
    there: dict[str, Any] = {
        "mirrors": {"quay.io": {"endpoint": ["https://other.example.edu"]}},
        "configs": {"other": {"tls": {}}},
    }
    merged = registries.merged(there, harbor)
    assert merged["mirrors"]["quay.io"] == there["mirrors"]["quay.io"]
    assert set(merged["mirrors"]) == {"quay.io", "docker.io"}
    assert merged["configs"]["other"] == {"tls": {}}


def test_without_a_harbor_nothing_is_touched() -> None:
    assert plan(None, registries="mirrors: {}") == []


def test_an_agent_restarts_its_own_unit(harbor: Harbor) -> None:
    *_, restart = plan(harbor, registries=None, k3s_unit="k3s-agent")
    assert restart.title == "restart k3s-agent"
