"""The values with which the chart is installed, by who brings the toolkit, and the object that carries them."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from scout_ollama import difference
from scout_ollama.gpu_operator.chart import Chart, read
from scout_ollama.gpu_operator.objects import config, objects
from scout_ollama.gpu_operator.values import merged
from scout_ollama.gpu_operator.values import values as values_of
from scout_ollama.inventory import OllamaCluster, Site, load_site
from scout_ollama.manifests import KubeObject
from tests.gpu_operator import charts

HOSTS = Path(__file__).parent.parent.parent / "hosts"
# Fields of HelmChart in helm-controller before v0.15.14; kubectl refuses what the cluster's K3s does not know.
OLD_FIELDS = {
    *("targetNamespace", "createNamespace", "chart", "version", "repo", "set", "valuesContent", "bootstrap"),
    *("chartContent", "jobImage", "backOffLimit", "timeout", "failurePolicy"),
}


@pytest.fixture(scope="module")
def site() -> Site:
    return load_site(HOSTS)


def cluster(site: Site, **settings: Any) -> OllamaCluster:
    """The shipped phi, with these settings of its GPU operator."""
    phi = site.clusters["phi"]
    assert isinstance(phi, OllamaCluster)
    return phi.model_copy(update={"gpu_operator": phi.gpu_operator.model_copy(update=settings)})


def helm_chart(site: Site, chart: Chart | None = None, **settings: Any) -> KubeObject:
    (obj,) = objects(site, cluster(site, **settings), chart)
    return obj


@pytest.fixture
def chart(tmp_path: Path) -> Chart:
    (tmp_path / "chart.tgz").write_bytes(charts.chart())
    return read(tmp_path / "chart.tgz")


@pytest.mark.parametrize("toolkit", ["host", "operator", "nri"])
def test_the_driver_is_always_the_hosts_own(site: Site, toolkit: str) -> None:
    assert values_of(cluster(site, toolkit=toolkit))["driver"] == {"enabled": False}


def test_a_toolkit_on_the_host_leaves_the_operators_out(site: Site) -> None:
    values = values_of(cluster(site, toolkit="host"))
    assert values["toolkit"] == {"enabled": False}
    assert "cdi" not in values


def test_the_operators_toolkit_is_told_all_four_places_of_k3ss_containerd(site: Site) -> None:
    values = values_of(cluster(site, toolkit="operator"))
    agent = "/var/lib/rancher/k3s/agent/etc/containerd"
    assert values["toolkit"] == {
        "enabled": True,
        "env": [
            {"name": "CONTAINERD_CONFIG", "value": f"{agent}/config.toml"},
            {"name": "CONTAINERD_SOCKET", "value": "/run/k3s/containerd/containerd.sock"},
            {"name": "RUNTIME_CONFIG_SOURCE", "value": f"file={agent}/config.toml"},
            {"name": "RUNTIME_DROP_IN_CONFIG", "value": f"{agent}/config-v3.toml.d/99-nvidia.toml"},
        ],
    }


def test_as_an_nri_plugin_the_toolkit_runs_without_touching_containerd(site: Site) -> None:
    """The chart of v26.7.0 fails with the plugin on and either CDI or the toolkit off."""
    values = values_of(cluster(site, toolkit="nri"))
    assert values["cdi"] == {"enabled": True, "nriPluginEnabled": True}
    assert values["toolkit"] == {"enabled": True}


@pytest.mark.parametrize("toolkit", ["host", "operator", "nri"])
def test_what_newer_releases_switch_on_stays_off_and_crds_are_upgraded(site: Site, toolkit: str) -> None:
    values = values_of(cluster(site, toolkit=toolkit))
    assert values["ccManager"] == {"enabled": False}
    assert values["dcgmExporter"] == {"enabled": False, "serviceMonitor": {"enabled": False}}
    assert values["operator"] == {"upgradeCRD": True}
    assert "default" not in yaml.safe_dump(values).lower(), "nobody sets a default runtime"


def test_the_inventorys_values_are_merged_over_ours_as_helm_does_it(site: Site) -> None:
    wanted = {"operator": {"logging": {"level": "debug"}}, "dcgmExporter": {"enabled": True}, "daemonsets": None}
    values = values_of(cluster(site, values=wanted))
    assert values["operator"] == {"upgradeCRD": True, "logging": {"level": "debug"}}
    assert values["dcgmExporter"] == {"enabled": True, "serviceMonitor": {"enabled": False}}
    assert values["daemonsets"] is None, "null reaches Helm, which then takes the chart's default away"
    assert values["driver"] == {"enabled": False}


def test_a_list_is_replaced_as_a_whole() -> None:
    assert merged({"a": {"b": [1, 2]}}, {"a": {"b": [3]}}) == {"a": {"b": [3]}}


def test_the_object_carries_the_chart_and_the_values(site: Site, chart: Chart) -> None:
    obj = helm_chart(site, chart)
    assert (obj["kind"], obj["metadata"]["namespace"], obj["metadata"]["name"]) == (
        "HelmChart",
        "kube-system",
        "gpu-operator",
    )
    assert obj["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "scout-ollama"
    assert base64.b64decode(obj["spec"]["chartContent"], validate=True) == charts.chart()
    assert yaml.safe_load(obj["spec"]["valuesContent"]) == values_of(cluster(site))


def test_a_failed_release_is_not_taken_away_and_a_failure_is_soon_one(site: Site) -> None:
    spec = helm_chart(site)["spec"]
    assert (spec["failurePolicy"], spec["timeout"], spec["backOffLimit"]) == ("abort", "10m", 4)
    assert (spec["targetNamespace"], spec["createNamespace"]) == ("gpu-operator", True)


def test_no_field_is_newer_than_the_k3s_that_may_be_there(site: Site) -> None:
    assert set(helm_chart(site)["spec"]) <= OLD_FIELDS


def test_for_eyes_the_charts_name_stands_for_its_content(site: Site) -> None:
    assert helm_chart(site)["spec"]["chartContent"] == "(gpu-operator-v25.10.1.tgz)"


def test_a_hostile_value_stays_a_value(site: Site) -> None:
    hostile = 'x"\n  jobImage: EVIL # {{ 1 }} 😀'
    obj = helm_chart(site, values={"operator": {"hostile": hostile}})
    assert "jobImage" not in obj["spec"]
    assert yaml.safe_load(obj["spec"]["valuesContent"])["operator"]["hostile"] == hostile


def test_objects_are_compared_by_the_charts_sum_and_value_by_value(site: Site, chart: Chart) -> None:
    before, after = helm_chart(site, chart), helm_chart(site, chart, toolkit="nri")
    lines = difference.of_objects(config(before), config(after))
    assert lines == [
        "~ valuesContent.toolkit.enabled: False → True",
        "+ valuesContent.cdi.enabled: True",
        "+ valuesContent.cdi.nriPluginEnabled: True",
    ]
    assert config(before)["chartContent"] == f"sha256:{chart.sha256}"


@pytest.mark.parametrize("spec", [{}, None, {"chart": "x", "chartContent": "~", "valuesContent": "a: ["}])
def test_what_somebody_else_made_is_compared_as_it_is(spec: dict[str, Any] | None) -> None:
    assert config({"kind": "HelmChart", "spec": spec}) == (spec or {})
