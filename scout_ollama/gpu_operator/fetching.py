"""fetch-chart: NVIDIA's released chart, from its repository into ``charts/`` beside the inventory."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from scout_ollama import files
from scout_ollama.downloading import NotThere, download
from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator.chart import MAX_PACKED, Chart, file_name, parsed
from scout_ollama.gpu_operator.locked import differing, lock_of, record, sum_of
from scout_ollama.inventory import OllamaCluster, Site
from scout_ollama.inventory.fields import ChartVersion, https_url

NVIDIA = "https://helm.ngc.nvidia.com/nvidia/charts"


def fetch(site: Site, version: str, base: str = "") -> str:
    """Bring the chart of a release to ``charts/`` beside the inventory, and return what to tell about it, in lines.

    The first time its SHA-256 is recorded in ``charts.lock``; ever after it must be that one. A file that is there
    and is the recorded one is left alone. ``base`` is the directory of a mirror; NVIDIA's without it.

    Raises:
        Trouble: the release is not there, it cannot be reached, or what came is not the chart, or not the one recorded.
    """
    url = f"{_directory(base)}/{_file_name(site, version)}"
    file = site.root / "charts" / file_name(version)
    recorded, there = sum_of(file), _sum(file)
    if there and there == recorded:
        return f"nothing to do: {file} is there, with the SHA-256 that is recorded\n"
    chart = _released(url, version)
    if recorded and chart.sha256 != recorded:
        raise differing(url, chart.sha256, recorded, next="find out which is right; the file here was not touched")
    if there and not recorded and there != chart.sha256:
        raise Trouble(
            f"{file} is there already, and is not what {url} is",
            why=f"its SHA-256 is {there}\nand there it is {chart.sha256}",
            next=f"find out which is right; mv {file} away, and the same command again",
        )
    _keep(file, chart, is_new=not recorded)
    known = "as recorded" if recorded else f"recorded in {lock_of(file)} from now on: compare it with a colleague's"
    return f"{file}: {chart.version}\nSHA-256 {chart.sha256}, {known}\n"


def _directory(base: str) -> str:
    try:
        return https_url(base) if base else NVIDIA
    except ValueError as error:
        raise Trouble(f"--from {error}", next="--from https://HOST/DIRECTORY, where the file is") from None


def _file_name(site: Site, version: str) -> str:
    try:
        return file_name(TypeAdapter(ChartVersion).validate_python(version))
    except ValidationError:
        clusters = [cluster for cluster in site.clusters.values() if isinstance(cluster, OllamaCluster)]
        wanted = sorted({cluster.gpu_operator.version for cluster in clusters}) or ["v25.10.1"]
        what = f"{version!r} is not a release" if version else "no release is named"
        why = f"a release is written as v25.10.1; the inventory wants {', '.join(wanted)}"
        raise Trouble(what, why=why, next=f"inv fetch-chart --version {wanted[0]}") from None


def _released(url: str, version: str) -> Chart:
    again = f"inv fetch-chart --version {version} again, or with --from URL of another mirror"
    try:
        content = download(url, MAX_PACKED)
    except NotThere as missing:
        why = f"{missing.why}; releases are written as v25.10.1, and not each number is one"
        raise Trouble(
            missing.what, why=why, next="look for it at https://github.com/NVIDIA/gpu-operator/tags"
        ) from None
    chart = parsed(content, url, again=again)
    if chart.version != version:
        raise Trouble(f"{url} is {chart.version}", why="a file is named by its release", next=again)
    return chart


def _keep(file: Path, chart: Chart, *, is_new: bool) -> None:
    """The chart before its record: of a run that was cut off between them the next one finds the same file again."""
    try:
        file.parent.mkdir(exist_ok=True)
        files.write(file, chart.content)
        if is_new:
            record(file, chart.sha256)
    except OSError as error:
        why = error.strerror or str(error)
        raise Trouble(f"{file} cannot be written", why=why, next=f"ls -ld {file.parent}") from None


def _sum(file: Path) -> str | None:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Trouble(f"{file} cannot be read", why=error.strerror or str(error), next=f"ls -l {file}") from None
