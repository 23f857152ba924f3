"""Small valid images for the lab's registry, under the names that Harbor's proxy projects give them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from typing import Any

from lab import chart
from lab.standins.harbor.registry import MANIFEST_TYPE, Registry

OLLAMA = ("dockerhub-proxy/ollama/ollama:0.24.0", "dockerhub-proxy/ollama/ollama:0.24.1")
_PROJECTS = {"nvcr.io": "nvidia-proxy", "registry.k8s.io": "k8s-proxy"}
"""The proxy project by the registry that it stands for."""


def proxied(image: str) -> str:
    """Where the proxy project has an image: nvcr.io/nvidia/cuda:1 in nvidia-proxy/nvidia/cuda:1."""
    registry, _, rest = image.partition("/")
    return f"{_PROJECTS[registry]}/{rest}"


GPU_OPERATOR = tuple(proxied(image) for version in chart.VERSIONS for image in chart.images(version))
IMAGES = OLLAMA + GPU_OPERATOR
"""What `seed` puts into the registry: project/repository:tag."""

_OLLAMA_CONFIG = {
    "Entrypoint": ["/bin/ollama"],
    "Cmd": ["serve"],
    "ExposedPorts": {"11434/tcp": {}},
    "Env": [
        "PATH=/usr/local/nvidia/bin:/usr/local/cuda/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "NVIDIA_DRIVER_CAPABILITIES=compute,utility",
        "NVIDIA_VISIBLE_DEVICES=all",
        "OLLAMA_HOST=0.0.0.0:11434",
    ],
}
_EPOCH = "1970-01-01T00:00:00Z"


def push(registry: Registry, image: str) -> str:
    """Put one image into the registry; its manifest's digest. The same name always gives the same digest."""
    repository, _, tag = image.rpartition(":")
    layer = _layer(f"{image}: an image of the lab, with nothing to run in it\n")
    config = {
        "created": _EPOCH,
        "architecture": "amd64",
        "os": "linux",
        "config": _OLLAMA_CONFIG if repository.endswith("ollama/ollama") else {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(gzip.decompress(layer)).hexdigest()}"]},
        "history": [{"created": _EPOCH, "created_by": "lab"}],
    }
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            **registry.push_blob(repository, json.dumps(config).encode()),
        },
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **registry.push_blob(repository, layer)}
        ],
    }
    return registry.push_manifest(repository, tag, manifest)


def _layer(text: str) -> bytes:
    """A compressed layer with one file in it."""
    archive = io.BytesIO()
    content = text.encode()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("lab-image")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(archive.getvalue(), mtime=0)
