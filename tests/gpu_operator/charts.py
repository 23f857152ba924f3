"""Small charts of the shape of NVIDIA's, made in memory: only what is looked at is in them."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import yaml

VERSION = "v25.10.1"
_ON, _OFF = {"enabled": True}, {"enabled": False}
# The parts of v25.10.1 by their place in its values, with what decides whether they are used.
VALUES: dict[str, Any] = {
    "nfd": {"enabled": True},
    "cdi": {"enabled": True},
    "sandboxWorkloads": {"enabled": False},
    "validator": {"repository": "nvcr.io/nvidia", "image": "gpu-operator"},
    "operator": {
        "repository": "nvcr.io/nvidia",
        "image": "gpu-operator",
        "upgradeCRD": True,
        "initContainer": {"repository": "nvcr.io/nvidia", "image": "cuda", "version": "13.0.1-base-ubi9"},
    },
    "driver": {
        **_ON,
        "repository": "nvcr.io/nvidia",
        "image": "driver",
        "version": "580.105.08",
        "manager": {
            "repository": "nvcr.io/nvidia/cloud-native",
            "image": "k8s-driver-manager",
            "version": "v0.9.1",
        },
    },
    "toolkit": {
        **_ON,
        "repository": "nvcr.io/nvidia/k8s",
        "image": "container-toolkit",
        "version": "v1.18.1",
        "env": [],
    },
    "devicePlugin": {**_ON, "repository": "nvcr.io/nvidia", "image": "k8s-device-plugin", "version": "v0.18.1"},
    "gfd": {**_ON, "repository": "nvcr.io/nvidia", "image": "k8s-device-plugin", "version": "v0.18.1"},
    "dcgm": {**_OFF, "repository": "nvcr.io/nvidia/cloud-native", "image": "dcgm", "version": "4.4.2-1-ubuntu22.04"},
    "dcgmExporter": {
        **_ON,
        "repository": "nvcr.io/nvidia/k8s",
        "image": "dcgm-exporter",
        "version": "4.4.2-4.7.0-distroless",
        "serviceMonitor": {"enabled": False},
    },
    "migManager": {
        **_ON,
        "repository": "nvcr.io/nvidia/cloud-native",
        "image": "k8s-mig-manager",
        "version": "v0.13.1",
    },
    "vfioManager": {
        **_ON,
        "repository": "nvcr.io/nvidia",
        "image": "cuda",
        "version": "13.0.1-base-ubi9",
        "driverManager": {"repository": "nvcr.io/nvidia/cloud-native", "image": "k8s-driver-manager", "version": "v1"},
    },
    "ccManager": {
        **_OFF,
        "repository": "nvcr.io/nvidia/cloud-native",
        "image": "k8s-cc-manager",
        "version": "v0.1.1",
    },
    "node-feature-discovery": {"priorityClassName": "system-node-critical", "gc": {"enable": True}},
}
NFD_VALUES = {"image": {"repository": "registry.k8s.io/nfd/node-feature-discovery", "pullPolicy": "IfNotPresent"}}
NFD = {"name": "node-feature-discovery", "version": "0.18.2", "appVersion": "v0.18.2"}
DEPENDENCY = {"name": "node-feature-discovery", "version": "v0.18.2", "condition": "nfd.enabled"}


def changed(**sections: Mapping[str, Any]) -> dict[str, Any]:
    """VALUES, with these keys of sections changed."""
    values = deepcopy(VALUES)
    for name, section in sections.items():
        values.setdefault(name, {}).update(section)
    return values


def files(version: str = VERSION, values: Mapping[str, Any] = VALUES, **about: Any) -> dict[str, str]:
    """The files of a chart by their paths."""
    chart = {"apiVersion": "v2", "name": "gpu-operator", "version": version, "appVersion": version}
    return {
        "gpu-operator/Chart.yaml": yaml.safe_dump({**chart, "dependencies": [DEPENDENCY], **about}, sort_keys=False),
        "gpu-operator/values.yaml": yaml.safe_dump(dict(values), sort_keys=False),
        "gpu-operator/crds/nvidia.com_clusterpolicies.yaml": "kind: CustomResourceDefinition\n",
        "gpu-operator/templates/operator.yaml": "kind: Deployment\n",
        "gpu-operator/charts/node-feature-discovery/Chart.yaml": yaml.safe_dump(NFD),
        "gpu-operator/charts/node-feature-discovery/values.yaml": yaml.safe_dump(NFD_VALUES),
    }


def packed(contents: Mapping[str, str | bytes]) -> bytes:
    """A gzipped tar archive of these files."""
    return gzip.compress(tarred([(tarfile.TarInfo(path), text) for path, text in contents.items()]), mtime=0)


def tarred(members: list[tuple[tarfile.TarInfo, str | bytes]]) -> bytes:
    """A tar archive of these members."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for info, text in members:
            content = text.encode() if isinstance(text, str) else text
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def chart(version: str = VERSION, values: Mapping[str, Any] = VALUES, **about: Any) -> bytes:
    """A chart as a file's bytes."""
    return packed(files(version, values, **about))
