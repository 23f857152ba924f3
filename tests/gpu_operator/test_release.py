"""What applying a release would change, as a person compares releases."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from scout_ollama.facts import ClusterFacts
from scout_ollama.gpu_operator import release
from scout_ollama.gpu_operator.chart import read
from scout_ollama.gpu_operator.objects import objects
from scout_ollama.gpu_operator.release import Release
from scout_ollama.gpu_operator.values import values
from scout_ollama.inventory import OllamaCluster, load_site
from scout_ollama.manifests import KubeObject, key_of
from tests.gpu_operator import charts

SITE = load_site(Path(__file__).parent.parent.parent / "hosts")


def wanted(directory: Path, version: str = charts.VERSION, **settings: Any) -> Release:
    """The release of a chart of this version, for the shipped phi with these settings."""
    file = directory / f"{version}.tgz"
    newer = {**charts.VALUES, "devicePlugin": {**charts.VALUES["devicePlugin"], "version": "v0.20.0"}}
    file.write_bytes(charts.chart(version, charts.VALUES if version == charts.VERSION else newer))
    chart, phi = read(file), SITE.clusters["phi"]
    assert isinstance(phi, OllamaCluster)
    cluster = phi.model_copy(update={"gpu_operator": phi.gpu_operator.model_copy(update=settings)})
    return Release(chart, values(cluster), objects(SITE, cluster, chart))


def facts(live: Release | None, would_be: Release) -> ClusterFacts:
    (after,) = would_be.objects
    before: dict[Any, KubeObject] = {key_of(obj): obj for obj in live.objects} if live else {}
    return ClusterFacts(nodes=(), live=before, would_be={key_of(after): after}, owned={})


def lines(live: Release | None, would_be: Release) -> list[str]:
    change = release.change(would_be, facts(live, would_be))
    return change.difference() if change else []


def test_what_is_there_already_is_no_change(tmp_path: Path) -> None:
    assert release.change(wanted(tmp_path), facts(wanted(tmp_path), wanted(tmp_path))) is None


def test_a_first_installation_names_the_chart_by_its_digest_and_our_values(tmp_path: Path) -> None:
    first, *rest = lines(None, wanted(tmp_path))
    assert first == f"+ chart gpu-operator v25.10.1 (sha256:{wanted(tmp_path).chart.sha256})"
    assert "+ driver.enabled: False" in rest


def test_other_values_of_the_same_chart_are_shown_one_by_one(tmp_path: Path) -> None:
    there = wanted(tmp_path)
    assert lines(there, wanted(tmp_path, values={"devicePlugin": {"args": ["--x"]}})) == ["+ devicePlugin.args[0]: --x"]
    assert lines(wanted(tmp_path, toolkit="operator"), there)[0].startswith("~ toolkit.enabled: True → False")


def test_another_release_shows_what_its_defaults_change(tmp_path: Path) -> None:
    shown = lines(wanted(tmp_path), wanted(tmp_path, "v26.7.0"))
    assert shown[0] == "~ chart gpu-operator: v25.10.1 → v26.7.0"
    assert "~ devicePlugin.version: v0.18.1 → v0.20.0" in shown
    content = base64.b64encode(wanted(tmp_path).chart.content).decode()
    assert content[:80] not in "\n".join(shown), "base64 is for nobody's eyes"


def test_values_that_change_with_the_release_are_compared_with_those_that_were(tmp_path: Path) -> None:
    there = wanted(tmp_path, values={"gfd": {"enabled": False}})
    shown = lines(there, wanted(tmp_path, "v26.7.0"))
    assert any(line.startswith("~ gfd.enabled: False → True") for line in shown), shown


@pytest.mark.parametrize("content", ["", "no base64!", base64.b64encode(b"no chart").decode()])
def test_a_chart_that_nobody_can_read_is_replaced_all_the_same(tmp_path: Path, content: str) -> None:
    there = wanted(tmp_path)
    broken = {**there.objects[0], "spec": {**there.objects[0]["spec"], "chartContent": content}}
    shown = lines(Release(there.chart, there.values, [broken]), there)
    assert any("chartContent" in line for line in shown)


def test_a_job_that_failed_is_taken_away_for_helm_to_run_again() -> None:
    change = release.RunHelmAgain((release.JOB_OBJECT,), why="it has reached its retries")
    assert change.title == "run Helm again"
    assert change.difference() == ["~ Job kube-system/helm-install-gpu-operator: it has reached its retries"]
