"""The values with which the chart is installed on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from scout_ollama import manifests
from scout_ollama.gpu_operator.chart import Values
from scout_ollama.inventory import OllamaCluster

FOLDER = "gpu-operator"


def values(cluster: OllamaCluster) -> Values:
    """Return what is set over the chart's defaults: ours for the cluster's toolkit, and the inventory's over ours."""
    text = manifests.filled(f"{FOLDER}/values.yaml.j2", {"toolkit": cluster.gpu_operator.toolkit})
    return merged(yaml.safe_load(text), cluster.gpu_operator.values)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Values:
    """Return values merged as Helm merges them: mappings key by key, anything else, lists too, as a whole."""
    result = dict(below)
    for name, value in above.items():
        there = result.get(name)
        result[name] = merged(there, value) if isinstance(there, Mapping) and isinstance(value, Mapping) else value
    return result


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path (``nfd.enabled``); None where there is none."""
    found: Any = values
    for name in path.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found
