"""What remove-ollama proves: that nothing is left, and if something is, what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scout_ollama import remove, watching
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import load_site
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proved
from scout_ollama.remote import Call, RecordingRemote

SITE = load_site(Path(__file__).parent.parent / "hosts")
META = {"name": "ollama", "namespace": "ollama"}
SERVICE: KubeObject = {"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": {}}


def proved(monkeypatch: pytest.MonkeyPatch, *readings: list[KubeObject]) -> Proved:
    """What is proved when the cluster has these objects of ours, reading after reading; the last one stays."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 0)
    monkeypatch.setattr(remove, "GONE_SECONDS", 0.2)
    left = [json.dumps({"kind": "List", "items": items}) for items in readings]

    def answer(_: Call) -> str:
        return f"nodes 0\nowned 0\n  {left.pop(0) if len(left) > 1 else left[0]}\nlive 0\nwould_be 0\n"

    with Fleet(SITE, connect=lambda _, host: RecordingRemote(host, answer)) as fleet:
        return remove._prove(Job(SITE, SITE.clusters["phi"], fleet, lambda _host, _line: None), {})


def test_what_goes_after_a_moment_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    result = proved(monkeypatch, [SERVICE], [])
    assert result.troubles == []
    assert [host for host, _ in result.lines] == ["phi"]


def test_what_stays_is_trouble_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    result = proved(monkeypatch, [SERVICE])
    assert result.lines == []
    (trouble,) = result.troubles
    assert "still there" in trouble.what
    assert "Service ollama/ollama" in trouble.what
    assert trouble.next
