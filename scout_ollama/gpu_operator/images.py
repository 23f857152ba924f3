"""The images by which the operator lives, from the chart's defaults and our values; nothing is rendered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scout_ollama.gpu_operator.chart import Chart, Values
from scout_ollama.gpu_operator.values import merged, value_at

# Parts that the operator leaves alone, whatever their own `enabled` says, until this value is true
# (controllers/state_manager.go, isStateEnabled; templates/gpucluster.yaml).
_VIRTUAL_MACHINES = (
    *("ccManager", "kataManager", "kataSandboxDevicePlugin", "sandboxDevicePlugin"),
    *("vfioManager", "vgpuDeviceManager", "vgpuManager"),
)
CONDITIONS = {
    **dict.fromkeys(_VIRTUAL_MACHINES, "sandboxWorkloads.enabled"),
    "draDriver": "gpuCluster.deployCR",
}
OPERATING_SYSTEM = "<os>"
"""Stands in the tag of the driver's image for what the operator puts there: the node's, such as ubuntu24.04."""


def images(chart: Chart, values: Values) -> list[str]:
    """Return every image that the operator starts with these values over the chart's defaults, each once."""
    return list(users(chart, values))


def users(chart: Chart, values: Values) -> dict[str, list[str]]:
    """Return the same images, each with the parts of the chart that need it, as their place in the values."""
    every = effective(chart, values)
    subcharts = {one.name: one for one in chart.subcharts}
    found: dict[str, list[str]] = {}
    for name, section in every.items():
        if name not in subcharts:
            for place, image in _images(name, section, chart.app_version):
                found.setdefault(image, []).append(place)
    for name, one in subcharts.items():
        if not one.condition or value_at(every, one.condition) is not False:
            section = merged(one.values, every.get(name) or {})
            for _, image in _images(name, section, one.app_version):
                found.setdefault(image, []).append(name)
    return found


def effective(chart: Chart, values: Values) -> Values:
    """Return the defaults with these values over them, of what is switched off no more than that it is."""
    every = merged(chart.values, values)
    used = {
        name: section
        for name, section in every.items()
        if name not in CONDITIONS or value_at(every, CONDITIONS[name]) is True
    }
    return {name: _without_what_is_off(section) for name, section in used.items()}


def _without_what_is_off(section: Any) -> Any:
    if not isinstance(section, Mapping):
        return section
    if section.get("enabled") is False:
        return {"enabled": False}
    return {name: _without_what_is_off(part) for name, part in section.items()}


def _images(place: str, section: Any, app_version: str) -> Iterator[tuple[str, str]]:
    """The images of a part and of the parts below it, each with its place."""
    if not isinstance(section, Mapping):
        return
    repository, name = section.get("repository"), section.get("image")
    version = str(section.get("version") or section.get("tag") or app_version)
    if place == "driver":
        version += f"-{OPERATING_SYSTEM}"
    tag = f"@{version}" if version.startswith("sha256:") else f":{version}"
    if repository and isinstance(name, str):
        yield place, f"{repository}/{name}{tag}"
    elif repository and place.endswith(".image"):
        yield place, f"{repository}{tag}"
    for part, below in section.items():
        yield from _images(f"{place}.{part}", below, app_version)
