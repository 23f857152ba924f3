"""Whether a node serves what was published: what its pod lists and opens, judged as data."""

from __future__ import annotations

import json

import pytest

from scout_ollama.checks import Finding
from scout_ollama.facts import Section
from scout_ollama.inventory import Host
from scout_ollama.models import proving
from scout_ollama.models.sets import ModelSet
from scout_ollama.store import manifest_digest
from tests.models.stores import TINY, manifest

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server", "gpu"}), gpus=1)
TEXT = manifest("weights")
PUBLISHED = ModelSet({TINY: TEXT})
DIGEST = manifest_digest(TEXT)
OPENS = Section(0, "{}")


def tags(**digests: str) -> Section:
    """The answer of ``/api/tags``; ``tiny="…"`` is the digest of tiny:latest."""
    models = [{"name": f"{name}:latest", "digest": digest} for name, digest in digests.items()]
    return Section(0, json.dumps({"models": models}))


def of_pod(listed: Section, opened: Section = OPENS) -> list[Finding]:
    return list(proving.of_pod(HOST, PUBLISHED, {"tags": listed, "tiny:latest": opened}))


def test_a_pod_that_lists_and_opens_what_was_published_has_no_findings() -> None:
    assert of_pod(tags(tiny=DIGEST)) == []


def test_a_model_that_nobody_published_is_nobodys_trouble() -> None:
    assert of_pod(tags(tiny=DIGEST, other="b" * 64)) == []


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        pytest.param(tags(), "nothing is served", id="missing"),
        pytest.param(tags(tiny="b" * 64), "bbbbbbbbbbbb is served", id="another digest"),
        pytest.param(Section(0, "<html>"), "nothing is served", id="no list"),
        pytest.param(Section(28, "curl: (28) timed out"), "timed out", id="no answer"),
    ],
)
def test_a_model_that_is_not_served_as_it_was_published_is_told_with_both_digests(listed: Section, why: str) -> None:
    (finding,) = of_pod(listed)
    assert finding.what == "tiny:latest: its Ollama does not serve it as it was published"
    assert why in finding.why
    assert finding.next == "inv verify-models --hosts phi --deep"


def test_a_model_that_is_listed_and_does_not_open_is_told_with_curls_words() -> None:
    (finding,) = of_pod(tags(tiny=DIGEST), Section(22, "curl: (22) The requested URL returned error: 500"))
    assert finding.what == "tiny:latest: its Ollama cannot open it"
    assert "error: 500" in finding.why
