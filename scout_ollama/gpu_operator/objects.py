"""The HelmChart object that makes K3s install the operator."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from scout_ollama import manifests
from scout_ollama.gpu_operator.chart import Chart, file_name
from scout_ollama.gpu_operator.values import FOLDER, values
from scout_ollama.inventory import OllamaCluster, Site
from scout_ollama.manifests import KubeObject
from scout_ollama.outside import Unreadable, from_yaml


def objects(_: Site, cluster: OllamaCluster, chart: Chart | None) -> list[KubeObject]:
    """Return the objects that install the operator on a cluster.

    Without ``chart`` they are for eyes only: in place of its content stands the name of its file.
    """
    content = base64.b64encode(chart.content).decode() if chart else f"({file_name(cluster.gpu_operator.version)})"
    return manifests.render(
        FOLDER,
        {"chart_content": content, "values_content": yaml.safe_dump(values(cluster), sort_keys=False)},
    )


def config(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of a HelmChart as a person compares it: the chart by its SHA-256, the values as a document.

    What is not base64 or not YAML, as in an object that somebody else made, stays as it is.
    """
    spec = dict(obj.get("spec") or {})
    if content := spec.get("chartContent"):
        spec["chartContent"] = _digest(str(content))
    if text := spec.get("valuesContent"):
        spec["valuesContent"] = _document(str(text))
    return spec


def _digest(content: str) -> str:
    try:
        return f"sha256:{hashlib.sha256(base64.b64decode(content, validate=True)).hexdigest()}"
    except (binascii.Error, ValueError):
        return content


def _document(text: str) -> Any:
    try:
        return from_yaml(text)
    except Unreadable:
        return text
