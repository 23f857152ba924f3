"""Scouts in each mode: what they connect to, and whether it works."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from scout_ollama.facts import Section, Space
from scout_ollama.inventory import load_site
from scout_ollama.status import page, topology
from scout_ollama.status.document import ClusterStatus, SiteStatus
from tests import samples
from tests.status import readings
from tests.status.readings import OTHER, Reading, answer

ELSEWHERE = "https://ollama.elsewhere.example.edu:8443"

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def reading(tmp_path: Path) -> Callable[[Edit], Reading]:
    """Makes a reading of a site whose scout-prod was edited."""

    def edited(edit: Edit) -> Reading:
        root = samples.site_with_certificate(tmp_path / "site").root
        file = root / "scout-prod.yaml"
        document = yaml.safe_load(file.read_text())
        document.pop("ollama_cluster")
        edit(document)
        file.write_text(yaml.safe_dump(document))
        return Reading(load_site(root))

    return edited


def elsewhere(document: dict[str, Any]) -> None:
    document.update(ollama_url=ELSEWHERE)


def disabled(document: dict[str, Any]) -> None:
    document.update(ollama_mode="disabled")


def its_own(document: dict[str, Any]) -> None:
    document.update(ollama_mode="deploy", staging="staging", ollama={"cpu_only": True, "models": ["tiny:latest"]})
    document["hosts"][OTHER]["roles"] = ["server", "gpu"]


def prod(status: SiteStatus) -> ClusterStatus:
    (found,) = [cluster for cluster in status.clusters if cluster.cluster == "scout-prod"]
    return found


def titles(status: SiteStatus) -> set[str]:
    return {box.title for box in topology.wide(status).boxes}


def test_an_ollama_elsewhere(reading: Callable[[Edit], Reading]) -> None:
    made = reading(elsewhere)
    made.endpoints[OTHER] = readings.ollama(made.site)
    status = made.judged()
    scout = prod(status).scout
    assert scout
    assert (scout.mode, scout.uses, scout.wanted_url, scout.works.state) == ("external", None, ELSEWHERE, "ok")
    assert "ollama.elsewhere.example.edu:8443" in titles(status)
    made.see({"tags": Section(6, "curl: (6) Could not resolve host")}, OTHER)
    (problem,) = made.judged().problems
    assert problem.what == f"{ELSEWHERE} does not answer this Scout"
    assert (problem.where, problem.next) == (["scout-prod"], f"curl -v {ELSEWHERE}")


def test_no_ollama_is_wanted(reading: Callable[[Edit], Reading]) -> None:
    made = reading(disabled)
    del made.endpoints[OTHER]
    status = made.judged()
    scout = prod(status).scout
    assert scout
    assert status.problems == []
    assert (scout.wanted_url, scout.works.text) == (None, "no Ollama is wanted")
    assert "scout-prod" in titles(status)
    assert "no Ollama is wanted" in page.of(status)


def test_an_ollama_of_its_own(reading: Callable[[Edit], Reading]) -> None:
    made = reading(its_own)
    del made.endpoints[OTHER]
    made.hosts[OTHER] = replace(
        made.hosts[OTHER], objects=(readings.node(OTHER), readings.pod(OTHER)), store=Space(5, 10)
    )
    loaded = [{"name": "tiny:latest", "digest": "a" * 64, "size": 5_000_000, "size_vram": 0}]
    made.ollamas[OTHER] = readings.ollama(made.site)
    tags = answer({"models": [{"name": "tiny:latest", "digest": "a" * 64}]})
    made.say(OTHER, tags=tags, ps=answer({"models": loaded}))
    status = made.judged()
    assert status.problems == []
    cluster = prod(status)
    assert cluster.scout
    assert cluster.scout.works.text == "its own answers"
    assert cluster.endpoint is None
    node = cluster.nodes[0]
    assert node.memory
    assert (node.gpus, node.endpoint, node.memory.text) == (None, None, "1 model, 5.0 MB")
    assert [model.model for model in cluster.models] == ["tiny:latest"]
    assert {"ollama.ollama:11434", OTHER} <= titles(status)
    made.say(OTHER, version=Section(7, "refused"))
    told = made.judged()
    assert [(problem.where, problem.what) for problem in told.problems] == [([OTHER], "its Ollama does not answer")]
    assert (prod(told).state, told.state) == ("broken", "broken")
