"""NVIDIA's released chart of the GPU operator, read from its .tgz."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator.archive import ArchiveError, unpacked

NAME = "gpu-operator"
MAX_PACKED = 2**20
"""Bytes of a chart that fit, as base64 and with the rest of the object, into the 1.5 MiB that etcd takes."""
MAX_DOCUMENT = 256 * 2**10
"""Bytes of a YAML file of the chart; the largest that is read has 58 kB (v26.7.0)."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Subchart:
    """A chart inside the chart; it is installed unless the value that ``condition`` names is false."""

    name: str
    app_version: str
    values: Values
    condition: str


@dataclass(frozen=True)
class Chart:
    """The chart as it was read: ``content`` is the file, ``values`` are its defaults."""

    name: str
    version: str
    app_version: str
    sha256: str
    content: bytes
    values: Values
    has_crds: bool
    subcharts: tuple[Subchart, ...]


def file_name(version: str) -> str:
    """Return the name of NVIDIA's file for a release."""
    return f"{NAME}-{version}.tgz"


def read(file: Path) -> Chart:
    """Read a chart; nothing is unpacked to disk.

    Raises:
        Trouble: it cannot be read, is not a released chart of the GPU operator, or is too large for the cluster.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_PACKED + 1)
    except FileNotFoundError:
        why = "the GPU operator is installed from NVIDIA's released chart, which is brought here once"
        raise Trouble(f"{file} is not there", why=why, next=_fetch(file)) from None
    except OSError as error:
        raise Trouble(f"{file} cannot be read", why=error.strerror or str(error), next=f"ls -l {file}") from None
    return parsed(content, str(file), again=_fetch(file))


def parsed(content: bytes, source: str, *, again: str) -> Chart:
    """Return the chart that a file's bytes are; ``source`` and ``again`` say in a message whence, and how to get it.

    Raises:
        Trouble: as ``read`` does.
    """
    if len(content) > MAX_PACKED:
        why = f"the cluster keeps the chart in one object, so it may have {MAX_PACKED} bytes; NVIDIA's have 130 kB"
        raise Trouble(f"{source} is too large for a chart", why=why, next=again)
    try:
        files = _with_packed_subcharts(unpacked(content))
        return _chart(files, content)
    except (ArchiveError, _NotTheChart) as error:
        raise Trouble(f"{source} {error}", why=_EXPECTED, next=again) from None


_EXPECTED = "expected is the chart as NVIDIA releases it: a gzipped tar archive with gpu-operator/Chart.yaml in it"


class _NotTheChart(Exception):
    """Why an archive is not a released chart, as what follows its name."""


def _chart(files: Mapping[str, bytes], content: bytes) -> Chart:
    if f"{NAME}/Chart.yaml" not in files:
        tops = sorted({path.partition("/")[0] for path in files})
        raise _NotTheChart(f"is not the chart of the GPU operator: it has {', '.join(tops[:3]) or 'nothing in it'}")
    about = _document(files, f"{NAME}/Chart.yaml")
    version, app_version = str(about.get("version") or ""), str(about.get("appVersion") or "")
    if about.get("name") != NAME or not version or not app_version:
        named = f"name {about.get('name')!r}, version {version!r}, appVersion {app_version!r}"
        raise _NotTheChart(f"is not the chart of the GPU operator: its Chart.yaml says {named}")
    if version == "v1.0.0-devel" or app_version == "main-latest":
        images = f"its version is {version}, and its images would have the tag {app_version}, which is no release's"
        raise _NotTheChart(f"was packed from a git tag: {images}")
    return Chart(
        name=NAME,
        version=version,
        app_version=app_version,
        sha256=hashlib.sha256(content).hexdigest(),
        content=content,
        values=_document(files, f"{NAME}/values.yaml"),
        has_crds=any(path.startswith(f"{NAME}/crds/") for path in files),
        subcharts=tuple(_subcharts(files, about)),
    )


def _subcharts(files: Mapping[str, bytes], about: Values) -> Iterator[Subchart]:
    declared = about.get("dependencies")
    conditions = {
        str(one.get("name")): str(one.get("condition") or "")
        for one in (declared if isinstance(declared, list) else [])
        if isinstance(one, dict)
    }
    for path in sorted(files):
        if found := re.fullmatch(rf"({NAME}/charts/([^/]+))/Chart\.yaml", path):
            app_version = str(_document(files, path).get("appVersion") or "")
            values = _document(files, f"{found[1]}/values.yaml")
            yield Subchart(found[2], app_version, values, conditions.get(found[2], ""))


def _with_packed_subcharts(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files, with those of the charts that were packed into the chart as archives of their own."""
    inner = [content for path, content in files.items() if re.fullmatch(rf"{NAME}/charts/[^/]+\.tgz", path)]
    return files | {f"{NAME}/charts/{path}": text for content in inner for path, text in unpacked(content).items()}


def _document(files: Mapping[str, bytes], path: str) -> Values:
    text = files.get(path, b"{}")
    if len(text) > MAX_DOCUMENT:
        raise _NotTheChart(f"has too large a {path}")
    try:
        document = yaml.load(text.decode(), Loader=_Loader)  # noqa: S506 - it is a SafeLoader
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError):
        raise _NotTheChart(f"has a {path} that is not YAML as charts have it") from None
    if not isinstance(document, dict):
        raise _NotTheChart(f"has a {path} that is not a mapping")
    return document


class _Loader(yaml.SafeLoader):
    """SafeLoader without aliases, which could make a small file endless."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError
        return super().compose_node(parent, index)


def _fetch(file: Path) -> str:
    """How to get the file, by its name."""
    named = re.fullmatch(rf"{NAME}-(v\d.*)\.tgz", file.name)
    version = named[1] if named else "VERSION"
    return f"inv fetch-chart --version {version} on a machine with a way out, and bring its charts/ to {file.parent}"
