"""The images by which the operator lives, and what another release of its chart changes."""

from __future__ import annotations

from typing import Any

import pytest

from scout_ollama.gpu_operator.chart import Chart, parsed
from scout_ollama.gpu_operator.comparing import value_changes
from scout_ollama.gpu_operator.images import images
from tests.gpu_operator import charts

HOST = {"driver": {"enabled": False}, "toolkit": {"enabled": False}, "dcgmExporter": {"enabled": False}}
OPERATOR = {**HOST, "toolkit": {"enabled": True}}
ALWAYS = {
    "nvcr.io/nvidia/gpu-operator:v25.10.1",
    "nvcr.io/nvidia/cuda:13.0.1-base-ubi9",
    "nvcr.io/nvidia/k8s-device-plugin:v0.18.1",
    "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.13.1",
    "registry.k8s.io/nfd/node-feature-discovery:v0.18.2",
}
TOOLKIT = "nvcr.io/nvidia/k8s/container-toolkit:v1.18.1"
EXPORTER = "nvcr.io/nvidia/k8s/dcgm-exporter:4.4.2-4.7.0-distroless"


def chart(version: str = charts.VERSION, values: dict[str, Any] = charts.VALUES) -> Chart:
    return parsed(charts.chart(version, values), "x.tgz", again="")


@pytest.mark.parametrize(
    ("values", "more"),
    [
        (HOST, set()),
        (OPERATOR, {TOOLKIT}),
        ({**HOST, "dcgmExporter": {"enabled": True}}, {EXPORTER}),
        ({**HOST, "dcgm": {"enabled": True}}, {"nvcr.io/nvidia/cloud-native/dcgm:4.4.2-1-ubuntu22.04"}),
        (
            {**HOST, "driver": {}},
            {
                "nvcr.io/nvidia/driver:580.105.08-<os>",
                "nvcr.io/nvidia/cloud-native/k8s-driver-manager:v0.9.1",
            },
        ),
    ],
)
def test_what_is_on_is_there_and_what_is_off_is_not(values: dict[str, Any], more: set[str]) -> None:
    found = images(chart(), values)
    assert set(found) == ALWAYS | more
    assert len(found) == len(set(found))


def test_parts_for_virtual_machines_count_only_where_there_are_some() -> None:
    """Their own switch is on by default, and the operator does not look at it."""
    manager = "nvcr.io/nvidia/cloud-native/k8s-driver-manager:v1"
    assert manager not in images(chart(), HOST)
    assert manager in images(chart(), {**HOST, "sandboxWorkloads": {"enabled": True}})


def test_a_part_that_only_the_experimental_object_uses_counts_with_it() -> None:
    driver = {"repository": "nvcr.io/nvidia", "image": "dra-driver-nvidia-gpu", "version": "v0.5.0"}
    newer = chart("v26.7.0", charts.changed(draDriver=driver, gpuCluster={"deployCR": False}))
    image = "nvcr.io/nvidia/dra-driver-nvidia-gpu:v0.5.0"
    assert image not in images(newer, HOST)
    assert image in images(newer, {**HOST, "gpuCluster": {"deployCR": True}})


def test_node_feature_discovery_is_left_out_where_it_is_already() -> None:
    assert set(images(chart(), {**HOST, "nfd": {"enabled": False}})) == ALWAYS - {
        "registry.k8s.io/nfd/node-feature-discovery:v0.18.2"
    }


def test_our_values_name_another_version_or_registry() -> None:
    mine = {
        "validator": {"version": "sha256:" + "0" * 64},
        "migManager": {"version": "v0.14.0"},
        "node-feature-discovery": {"image": {"repository": "mirror.example.edu/nfd", "tag": "v1"}},
    }
    found = images(chart(), {**HOST, **mine})
    assert f"nvcr.io/nvidia/gpu-operator@sha256:{'0' * 64}" in found
    assert "nvcr.io/nvidia/gpu-operator:v25.10.1" in found, "the operator's own"
    assert "nvcr.io/nvidia/cloud-native/k8s-mig-manager:v0.14.0" in found
    assert "mirror.example.edu/nfd:v1" in found


def test_an_upgrade_tells_the_defaults_that_change_and_matter() -> None:
    newer = charts.changed(
        devicePlugin={"version": "v0.20.0"},
        ccManager={"enabled": True, "defaultMode": "on"},
        dcgmExporter={"version": "4.6.0", "serviceMonitor": {"enabled": True}},
        driver={"version": "595.91.07"},
        vfioManager={"image": "k8s-driver-manager"},
    )
    ours = {
        **HOST,
        "ccManager": {"enabled": False},
        "dcgmExporter": {"enabled": False, "serviceMonitor": {"enabled": False}},
    }
    changed, machines, monitoring = value_changes(chart(), chart("v26.7.0", newer), ours)
    assert changed == "~ devicePlugin.version: v0.18.1 → v0.20.0"
    assert machines.startswith("= ccManager.enabled: stays False, though its default is True now: ")
    assert "virtual machines" in machines
    assert monitoring.startswith("= dcgmExporter.serviceMonitor.enabled: stays False, though its default is True now: ")
    assert "monitoring" in monitoring


def test_what_the_inventory_wants_as_the_new_default_is_not_called_held() -> None:
    newer = charts.changed(ccManager={"enabled": True})
    assert value_changes(chart(), chart("v26.7.0", newer), {**HOST, "ccManager": {"enabled": True}}) == []


def test_the_same_chart_changes_nothing() -> None:
    assert value_changes(chart(), chart(), OPERATOR) == []
