"""The lab's chart of the GPU operator as a file: what NVIDIA would have released, or something that looks like it."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from lab import paths

NAME = "gpu-operator"
VERSIONS = ("v25.10.1", "v26.7.0")
DEFAULT_VERSION = VERSIONS[0]
_SOURCE = paths.PACKAGE / "chart"
_NFD = "charts/node-feature-discovery"


def pack(
    version: str = DEFAULT_VERSION,
    *,
    name: str = NAME,
    chart_version: str | None = None,
    app_version: str | None = None,
    truncated: bool = False,
) -> bytes:
    """The chart's .tgz as Helm packs it, the same bytes for the same arguments.

    A chart that is not what its file is called: with another ``name``, another ``chart_version`` in Chart.yaml, an
    ``app_version`` such as the ``main-latest`` of one that was packed from the source, or ``truncated`` in the middle.
    """
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, data in _files(version, name, chart_version or version, app_version or version):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    packed = gzip.compress(archive.getvalue(), mtime=0)
    return packed[: len(packed) // 2] if truncated else packed


def file_name(version: str = DEFAULT_VERSION) -> str:
    """What the released file is called."""
    return f"{NAME}-{version}.tgz"


def write(directory: Path, version: str = DEFAULT_VERSION) -> None:
    """Put the chart into a directory, and its digest into ``charts.lock`` there, as sha256sum prints it."""
    directory.mkdir(parents=True, exist_ok=True)
    packed = pack(version)
    (directory / file_name(version)).write_bytes(packed)
    with (directory / "charts.lock").open("a") as lock:
        lock.write(f"{hashlib.sha256(packed).hexdigest()}  {file_name(version)}\n")


def images(version: str = DEFAULT_VERSION) -> list[str]:
    """Every image that the chart's values name but those of the driver, which the lab's hosts have."""
    values = _values(version)
    operands = ("operator", "toolkit", "devicePlugin", "dcgmExporter", "gfd", "migManager", "ccManager")
    named = [values[operand] for operand in operands]
    if "initContainer" in values["operator"]:
        named.append(values["operator"]["initContainer"])
    found = [f"{image['repository']}/{image['image']}:{image['version'] or version}" for image in named]
    return [*dict.fromkeys(found), f"registry.k8s.io/nfd/node-feature-discovery:{_release(version)['nfd']}"]


def _files(version: str, name: str, chart_version: str, app_version: str) -> Iterator[tuple[str, bytes]]:
    """Every file, Chart.yaml first as Helm has it."""
    nfd = str(_release(version)["nfd"])
    made: dict[str, dict[str, Any]] = {
        "Chart.yaml": {**_read("Chart.yaml"), "name": name, "version": chart_version, "appVersion": app_version},
        "values.yaml": _values(version),
        f"{_NFD}/Chart.yaml": {**_read(f"{_NFD}/Chart.yaml"), "version": nfd, "appVersion": nfd},
    }
    made["Chart.yaml"]["dependencies"][0]["version"] = nfd
    for path, content in made.items():
        yield path, yaml.safe_dump(content, sort_keys=False).encode()
    root = _SOURCE / NAME
    for file in sorted(root.rglob("*")):
        path = str(file.relative_to(root))
        if file.is_file() and path not in made:
            yield path, file.read_bytes()


def _values(version: str) -> dict[str, Any]:
    return _merged(_read("values.yaml"), _release(version)["values"])


def _release(version: str) -> dict[str, Any]:
    """What is known of a release; another version has what the default one has."""
    releases: dict[str, dict[str, Any]] = yaml.safe_load((_SOURCE / "versions.yaml").read_text())
    return releases.get(version, releases[DEFAULT_VERSION])


def _read(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((_SOURCE / NAME / path).read_text())
    return content


def _merged(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values with others over them, as Helm merges them: mappings key by key, null takes away."""
    result = dict(values)
    for key, value in over.items():
        if value is None:
            del result[key]
        else:
            result[key] = _merged(result[key], value) if isinstance(value, Mapping) else value
    return result
