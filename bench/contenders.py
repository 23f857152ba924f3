"""Who does the job: the command of each, and where its versions come from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from bench.metering import ROOT

OURS = "scout-ollama"
WHOLE = "inv deploy-ollama"
ANSIBLE = "ansible-core"
PYINFRA = "pyinfra"
FABRIC = "Fabric ThreadingGroup"
OPENSSH = "OpenSSH, xargs"

JOB = ROOT / "bench/job"
INV = str(Path(sys.executable).with_name("inv"))


@dataclass(frozen=True)
class Contender:
    """A command, and the variables that it is given."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def others(work: Path, hosts: Sequence[str], server: str = "") -> dict[str, Contender]:
    """Return the tools that do the job on these hosts; they apply the objects at the server, if one is named."""
    ansible = [_tool("ansible-playbook"), "--inventory", f"{work}/inventory.ini", "--forks", str(len(hosts))]
    pyinfra = [_tool("pyinfra"), f"{work}/inventory.py", f"{JOB}/pyinfra_deploy.py", "--data", f"work={work}", "-y"]
    rest = [str(work), server, *hosts]
    return {
        ANSIBLE: Contender([*ansible, f"{JOB}/playbook.yaml"], {"ANSIBLE_CONFIG": f"{JOB}/ansible.cfg"}),
        PYINFRA: Contender(pyinfra),
        FABRIC: Contender([sys.executable, f"{JOB}/threading_group.py", *rest]),
        OPENSSH: Contender(["sh", f"{JOB}/openssh.sh", *rest]),
    }


def ours(*words: str, home: Path) -> Contender:
    """Return this project at a job of ``bench/job/tasks.py``; its logs and audit go to ``home``."""
    environment = {"XDG_STATE_HOME": str(home), "PYTHONPATH": str(ROOT)}
    return Contender([INV, "--search-root", str(JOB), *words], environment)


def whole(site: Path, home: Path) -> Contender:
    """Return the real command."""
    argv = [INV, "deploy-ollama", "--hosts", "phi", "--yes", "--site", str(site)]
    return Contender(argv, {"XDG_STATE_HOME": str(home)})


def versions() -> dict[str, str]:
    """Return the version of each contender."""
    said = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    rsync = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=False).stdout
    commit = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    return {
        OURS: subprocess.run(commit, capture_output=True, text=True, check=False).stdout.strip() or "unknown",
        ANSIBLE: _version_of("ansible-core"),
        PYINFRA: _version_of("pyinfra"),
        FABRIC: version("fabric"),
        OPENSSH: said.split(",")[0].strip(),
        "rsync": next(iter(re.findall(r"version (\S+)", rsync)), "unknown"),
    }


def _tools() -> Path:
    """The environment that scripts/bench has made for what this project does not need itself."""
    return Path(os.environ["SCOUT_BENCH_TOOLS"])


def _tool(name: str) -> str:
    return str(_tools() / "bin" / name)


def _version_of(package: str) -> str:
    argv = [_tool("python"), "-c", "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))", package]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() or "unknown"
