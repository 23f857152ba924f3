"""``charts.lock``: the SHA-256 of each chart that was accepted, in the lines of sha256sum(1), beside the charts."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from scout_ollama import files
from scout_ollama.errors import Trouble
from scout_ollama.gpu_operator.chart import Chart, file_name, read
from scout_ollama.inventory import OllamaCluster, Site


def verified(site: Site, cluster: OllamaCluster) -> Chart:
    """Return the chart that the inventory wants for a cluster, if it is the one that was once accepted.

    Raises:
        Trouble: there is none, it is another version, or its SHA-256 is not recorded or not the recorded one.
    """
    file, wanted = chart_file(site, cluster), cluster.gpu_operator.version
    chart = read(file)
    if chart.version != wanted:
        raise Trouble(
            f"{file} is {chart.version}, and {cluster.name} wants {wanted}",
            why="the version in the inventory says what is installed, and the chart is what is installed",
            next=f"inv fetch-chart --version {wanted}, or edit {cluster.name}.yaml: gpu_operator.version",
        )
    recorded = sum_of(file)
    if recorded is None:
        raise Trouble(
            f"{file} is not in {lock_of(file)}",
            why=f"its SHA-256 is {chart.sha256}; nobody has said yet that this is the right one",
            next=f"compare it with a colleague's or with inv fetch-chart; then: {_recording(file)}",
        )
    if recorded != chart.sha256:
        again = f"find out which is right; if not the one here: rm {file}, and inv fetch-chart --version {wanted}"
        raise differing(file, chart.sha256, recorded, next=again)
    return chart


def chart_file(site: Site, cluster: OllamaCluster) -> Path:
    """Return where a cluster's chart is kept: where the inventory says, else ``charts/`` beside it."""
    return cluster.gpu_operator.chart or site.root / "charts" / file_name(cluster.gpu_operator.version)


def lock_of(file: Path) -> Path:
    """Return the lock that vouches for a chart."""
    return file.with_name("charts.lock")


def sum_of(file: Path) -> str | None:
    """Return the SHA-256 that is recorded for a file, in hexadecimal; None if there is none.

    Raises:
        Trouble: the lock cannot be read, or has two different ones.
    """
    lines = files.text_of(lock_of(file)).splitlines()
    entries = (re.fullmatch(r"([0-9a-fA-F]{64}) [ *](.+)", line) for line in lines)
    sums = {entry[1].lower() for entry in entries if entry and entry[2] == file.name}
    if len(sums) > 1:
        why = "nobody can tell which of them was accepted"
        raise Trouble(f"{lock_of(file)} has two sums for {file.name}", why=why, next="delete the wrong line of it")
    return sums.pop() if sums else None


def record(file: Path, sha256: str) -> None:
    """Add a file to its lock; what is there stays."""
    text = files.text_of(lock_of(file))
    end = "" if not text or text.endswith("\n") else "\n"
    files.write(lock_of(file), f"{text}{end}{sha256}  {file.name}\n".encode())


def differing(source: object, found: str, recorded: str, *, next: str) -> Trouble:
    """Return the trouble that a file is not the one that was accepted."""
    why = f"its SHA-256 is {found}\nand recorded is {recorded}"
    return Trouble(f"{source} is not the file that was accepted", why=why, next=next)


def _recording(file: Path) -> str:
    return shlex.join(["cd", str(file.parent)]) + " && " + shlex.join(["sha256sum", file.name]) + " >> charts.lock"
