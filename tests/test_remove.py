"""What remove-ollama proves: that nothing is left, and if something is, what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from scout_ollama import remove, watching
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import load_site
from scout_ollama.job import Job
from scout_ollama.manifests import KubeObject
from scout_ollama.proposal import Proposal, Proved
from scout_ollama.remote import Call, RecordingRemote

SITE = load_site(Path(__file__).parent.parent / "hosts")
META = {"name": "ollama", "namespace": "ollama"}
SERVICE: KubeObject = {"apiVersion": "v1", "kind": "Service", "metadata": META, "spec": {}}


def proposed(cluster: str, answers: Mapping[str, str]) -> Proposal:
    """What is proposed for a cluster whose hosts answer each script so."""
    with Fleet(SITE, connect=lambda _, host: RecordingRemote(host, lambda call: answers[call.script])) as fleet:
        return remove.propose(Job(SITE, SITE.clusters[cluster], fleet, lambda _host, _line: None))


def owning(*items: KubeObject) -> str:
    """A cluster's answer when these objects are ours."""
    listed = json.dumps({"kind": "List", "items": items})
    return f"nodes 0\nowned 0\n  {listed}\nlive 0\nwould_be 0\n"


def test_the_plan_says_which_scouts_lose_a_shared_ollama() -> None:
    warnings = proposed("phi", {"cluster-facts": owning(SERVICE)}).warnings
    assert [warning.what for warning in warnings] == [
        "scout-preprod uses this Ollama: its chat loses it",
        "scout-prod uses this Ollama: its chat loses it",
    ]
    assert proposed("phi", {"cluster-facts": owning()}).warnings == []


def test_an_open_webui_that_cannot_be_asked_is_not_taken_for_one_that_needs_nothing() -> None:
    answers = {"cluster-facts": owning(SERVICE), "open-webui-facts": "open-webui 1\n  refused\nrecord 0\n"}
    (warning,) = proposed("scout-prod", answers).warnings
    assert "it is not known whether Open WebUI uses this Ollama" in warning.what
    assert "refused" in warning.why


def proved(monkeypatch: pytest.MonkeyPatch, *readings: list[KubeObject]) -> Proved:
    """What is proved when the cluster has these objects of ours, reading after reading; the last one stays."""
    monkeypatch.setattr(watching, "POLL_SECONDS", 0)
    monkeypatch.setattr(remove, "GONE_SECONDS", 0.2)
    left = [owning(*items) for items in readings]

    def answer(_: Call) -> str:
        return left.pop(0) if len(left) > 1 else left[0]

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
