"""Files that are wrong are told before any host is contacted: the hosts of this site do not even exist."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.journeys.conftest import Operator

pytestmark = pytest.mark.lab


@pytest.fixture
def operator() -> Iterator[Operator]:
    """An operator whose lab was made but never started."""
    lab = Lab.create(f"input-{os.getpid()}")
    try:
        yield Operator(lab.site)
    finally:
        lab.down()


def certificate(operator: Operator, names: list[str], *, days: int = 90) -> Path:
    """Replace the certificate of the operator's copy; return its file."""
    file = operator.site / "secrets/phi.crt"
    operator.authority.issue(names, valid=timedelta(days=days)).write(file, operator.site / "secrets/phi.key")
    return file


def test_a_certificate_that_is_expired(operator: Operator) -> None:
    certificate(operator, ["ollama.phi.example.edu"], days=-1)
    said = operator.deploy()
    assert said.status == 1
    assert "expired" in said.err
    assert "secrets/phi.crt" in said.err


def test_a_certificate_that_does_not_match_its_key(operator: Operator) -> None:
    file = certificate(operator, ["ollama.phi.example.edu"])
    file.write_bytes(operator.authority.issue(["ollama.phi.example.edu"]).certificate)
    said = operator.deploy()
    assert said.status == 1
    assert "key" in said.err
    assert "secrets/phi.key" in said.err


def test_a_certificate_that_does_not_name_the_host(operator: Operator) -> None:
    certificate(operator, ["ollama.other.example.edu"])
    said = operator.deploy()
    assert said.status == 1
    assert "ollama.other.example.edu" in said.err
    assert "ollama.phi.example.edu" in said.err


def test_a_certificate_that_is_not_there(operator: Operator) -> None:
    (operator.site / "secrets/phi.crt").unlink()
    said = operator.deploy()
    assert said.status == 1
    assert "phi.yaml: ollama.tls.certificate" in said.err
    assert "does not exist" in said.err


def test_malformed_yaml(operator: Operator) -> None:
    (operator.site / "phi.yaml").write_text("kind: ollama\nhosts: [\n")
    said = operator.deploy()
    assert said.status == 1
    assert "phi.yaml" in said.err
    assert "line" in said.err
