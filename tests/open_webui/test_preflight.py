"""Whether a pod can use an Ollama: a case is what it tried and what Open WebUI did, and what follows from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scout_ollama.errors import Trouble
from scout_ollama.inventory import load_site
from scout_ollama.inventory.models import ScoutCluster
from scout_ollama.open_webui import preflight, target
from scout_ollama.open_webui.preflight import Way
from scout_ollama.open_webui.target import Target

URL = "https://ollama.example.edu"
GOOD: dict[str, Any] = {"proxy": "", "name": "", "tcp": "", "tls": "", "tls_with_ca": "", "answers": {}}
FAILED: dict[str, Any] = {"status": 500, "answer": {"detail": "Open WebUI: Server Connection Error"}}


def judge(**probe: Any) -> Way:
    return preflight.judge(Target("external", URL, ca="a"), {**GOOD, **probe}, FAILED)


def test_what_works_needs_nothing() -> None:
    works = {"status": 200, "answer": {"version": "0.24.0"}}
    assert preflight.judge(Target("external", URL), {**GOOD, "proxy": "squid"}, works) == Way()


def test_a_certificate_that_our_authority_signed_needs_it() -> None:
    assert judge(tls="unable to get local issuer") == Way(needs_trust=True)


def test_a_proxy_in_the_way_is_named_among_those_without_one() -> None:
    assert judge(proxy="squid") == Way(needs_no_proxy=True)
    assert judge(proxy="squid", tls="self-signed") == Way(True, True)


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        ({"name": "Name or service not known"}, "does not find the name ollama.example.edu"),
        ({"tcp": "timed out"}, "does not reach ollama.example.edu:443: timed out"),
        ({"tcp": "refused", "proxy": "squid"}, "there is a proxy, squid"),
        ({"tls": "expired", "tls_with_ca": "expired"}, "does not trust the certificate: expired"),
        ({"answers": {"version": {"error": "HTTP Error 403: Forbidden"}}}, "answers: HTTP Error 403: Forbidden"),
        ({}, "Open WebUI does not: Open WebUI: Server Connection Error"),
    ],
)
def test_what_nothing_here_would_mend_says_why(probe: dict[str, Any], why: str) -> None:
    with pytest.raises(Trouble) as trouble:
        judge(**probe)
    assert trouble.value.what == f"Open WebUI cannot use {URL}"
    assert why in trouble.value.why
    assert trouble.value.next


SITE = load_site(Path(__file__).parents[2] / "hosts")


def scout(**changed: Any) -> ScoutCluster:
    found = SITE.clusters["scout-dev"]
    assert isinstance(found, ScoutCluster)
    return found.model_copy(update=changed)


def test_a_mode_that_the_inventory_does_not_describe_is_refused_with_what_to_add() -> None:
    with pytest.raises(Trouble, match="has no Ollama of its own to deploy"):
        target.of(SITE, scout(), "deploy")
    with pytest.raises(Trouble, match="which shared Ollama"):
        target.of(SITE, scout(ollama_url=None, ollama_cluster=None), "external")


def test_disabled_has_no_url_and_knows_those_of_the_site() -> None:
    _, site, found = target.of(SITE, scout(), "disabled")
    assert (found.mode, found.url) == ("disabled", None)
    assert "https://ollama.phi.example.edu" in found.known_urls
    changed = site.clusters["scout-dev"]
    assert isinstance(changed, ScoutCluster)
    assert changed.ollama_mode == "disabled"


def test_without_a_selection_scouts_with_a_shared_ollama_are_meant_and_no_others() -> None:
    assert {found.name for found in target.clusters(SITE, "", None)} == {
        "scout-demo",
        "scout-dev",
        "scout-preprod",
        "scout-prod",
    }
    with pytest.raises(Trouble, match="no Scout is named"):
        target.clusters(SITE, "", "disabled")
    with pytest.raises(Trouble, match="no Scout in phi:phi-gpu-1 can be connected"):
        target.clusters(SITE, "phi:phi-gpu-1", None)
