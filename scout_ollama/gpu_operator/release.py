"""The release that a cluster wants, and what applying its HelmChart would change."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scout_ollama import difference
from scout_ollama.changes import ApplyObjects, DeleteObjects
from scout_ollama.errors import Trouble
from scout_ollama.facts import ClusterFacts
from scout_ollama.gpu_operator import state
from scout_ollama.gpu_operator.chart import Chart, Values, parsed
from scout_ollama.gpu_operator.comparing import value_changes
from scout_ollama.gpu_operator.images import users
from scout_ollama.gpu_operator.locked import verified
from scout_ollama.gpu_operator.objects import config, objects
from scout_ollama.gpu_operator.values import values
from scout_ollama.inventory import Cluster, OllamaCluster, Site
from scout_ollama.manifests import KubeObject, key_of

JOB_OBJECT: KubeObject = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": state.JOB, "namespace": state.CHARTS},
}


@dataclass(frozen=True)
class Release:
    """NVIDIA's chart with our values, as it is wanted; ``objects`` install it."""

    chart: Chart = field(repr=False)
    values: Values = field(repr=False)
    objects: Sequence[KubeObject] = field(repr=False)

    @property
    def users(self) -> dict[str, list[str]]:
        """Every image, with the parts of the chart that need it."""
        return users(self.chart, self.values)


def wanted(site: Site, cluster: Cluster) -> Release | None:
    """Return the release that a cluster wants; None for one whose GPUs are not ours to set up, or that has none.

    Raises:
        Trouble: the chart is not there, or not the one that was accepted.
    """
    if not isinstance(cluster, OllamaCluster) or cluster.ollama.cpu_only:
        return None
    chart = verified(site, cluster)
    return Release(chart, values(cluster), objects(site, cluster, chart))


@dataclass(frozen=True)
class ApplyRelease(ApplyObjects):
    """Apply the HelmChart; ``lines`` are its difference as a person compares releases."""

    lines: tuple[str, ...] = ()

    def difference(self) -> list[str]:
        """The chart by its version and digest, and every value that differs, those by the chart's defaults too."""
        return list(self.lines)


@dataclass(frozen=True)
class RunHelmAgain(DeleteObjects):
    """Take away the Job that failed, or fails again and again: K3s's Helm controller then makes another."""

    why: str = ""

    @property
    def title(self) -> str:
        """``run Helm again``."""
        return "run Helm again"

    def difference(self) -> list[str]:
        """The Job that goes, and why it failed."""
        return [f"~ {key_of(JOB_OBJECT)}: {self.why}"]


@dataclass(frozen=True)
class StartAnew(DeleteObjects):
    """Take away pods that crash again and again: what was mended meanwhile is then tried at once."""

    @property
    def title(self) -> str:
        """``start … anew``."""
        return f"start {', '.join(obj['metadata']['name'] for obj in self.objects)} anew"

    def difference(self) -> list[str]:
        """The pods that are replaced."""
        return [f"~ {key_of(obj)}: it crashes, and would be tried only minutes later" for obj in self.objects]


def change(release: Release, facts: ClusterFacts) -> ApplyRelease | None:
    """Return what applying the release's object would change in a cluster; None for nothing.

    Raises:
        Trouble: what is there is not what a HelmChart of ours looks like.
    """
    (wanted,) = release.objects
    key = key_of(wanted)
    live, would_be = facts.live.get(key), (facts.would_be or {}).get(key)
    if live and would_be and difference.meaningful(live) == difference.meaningful(would_be):
        return None
    before = {str(key): live} if live else {}
    after = {str(key): would_be} if would_be else {}
    return ApplyRelease((wanted,), before, after, lines=tuple(_lines(release, live, would_be or wanted)))


def _lines(release: Release, live: KubeObject | None, after: KubeObject) -> list[str]:
    chart = release.chart
    if live is None:
        new = difference.of_objects({}, release.values)
        return [f"+ chart gpu-operator {chart.version} (sha256:{chart.sha256})", *new]
    there, comes = config(live), config(after)
    there_chart = _chart_of(live)
    lines = difference.of_objects(_without_values(there), _without_values(comes))
    if there_chart is None or there_chart.sha256 == chart.sha256:
        return [*lines, *difference.of_objects(_values_of(there), _values_of(comes))]
    title = f"~ chart gpu-operator: {there_chart.version} → {chart.version}"
    return [title, *lines, *value_changes(there_chart, chart, release.values, values_before=_values_of(there))]


def _chart_of(live: Mapping[str, Any]) -> Chart | None:
    """The chart inside an object; None if there is none that can be read."""
    try:
        content = base64.b64decode(str(live["spec"].get("chartContent", "")), validate=True)
        return parsed(content, "the chart that is installed", again="")
    except (binascii.Error, ValueError, Trouble):
        return None


def _without_values(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in spec.items() if name != "valuesContent"}


def _values_of(spec: Mapping[str, Any]) -> Values:
    found = spec.get("valuesContent")
    return found if isinstance(found, dict) else {}
