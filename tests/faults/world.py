"""The site that the campaign happens to, and the operator who types on it."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from lab.lab import Lab
from lab.labhost import LabHost
from lab.process import holds_in_time
from lab.scout import EMBEDDED_URL, OpenWebUi, Scout
from lab.topology import ClusterSpec, HostSpec, gpu_hosts
from tests.faults.faults import DISK, start_k3s, start_sshd
from tests.journeys.conftest import Operator, Said, kubectl

STAGING, SCOUT = "staging-1", "scout-prod-1"
NODES = ("phi-gpu-1", "phi-gpu-2")
HOSTS = (*NODES, STAGING, SCOUT)
STORE, SHARE = "/var/lib/ollama", "/srv/nfs/ollama"
URL = "https://ollama.phi.example.edu"
OPEN_WEBUI = OpenWebUi()
SECONDS = 120
ENDS_SECONDS = 720
"""Longer than the longest that a command waits for a host that is away: ten minutes, for a GPU to be tried."""

TOPOLOGY = (
    ClusterSpec(
        "phi", "ollama", gpu_hosts("phi", len(NODES)), air_gapped=True, staging="staging", models=("tiny:latest",)
    ),
    ClusterSpec("staging", "staging", (HostSpec(STAGING),)),
    ClusterSpec("scout-prod", "scout", (HostSpec(SCOUT),), air_gapped=True, ollama_cluster="phi"),
)


class World:
    """A small site with a Scout in use. Everything that is typed on it is remembered, with its log, in ``said``."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.operator = Operator(Path(shutil.copytree(lab.site, directory / "site")), directory / "home")
        self.scout = Scout(lab.host(SCOUT))
        self.said: list[str] = []

    def build(self) -> None:
        """Deploy Ollama, install a Scout that uses one of its own, and connect it."""
        self.types("deploy-ollama", "--hosts", "phi", "--yes").must_work()
        self.scout.install(OPEN_WEBUI)
        self.types("connect-scout", "--hosts", "scout-prod", "--yes").must_work()

    def host(self, name: str) -> LabHost:
        return self.lab.host(name)

    def types(self, *words: str) -> Ran:
        """Type a command and wait for its end."""
        with self.typing(*words) as run:
            return self.ended(run)

    def typing(self, *words: str) -> AbstractContextManager[subprocess.Popen[str]]:
        """Type a command and look on."""
        return self.operator.typing(*words)

    def ended(self, run: subprocess.Popen[str]) -> Ran:
        """What came of a command, once it has ended, which it must in time."""
        said = all_said(run, ENDS_SECONDS)
        assert said, f"it does not end:\n{self.log_of(run)}"
        ran = Ran(said, self.log_of(run))
        self.said += [said.out, said.err, ran.log]
        return ran

    def log_of(self, run: subprocess.Popen[str]) -> str:
        """What stands in the log of a command by now."""
        return "".join(file.read_text(errors="replace") for file in self.operator.logs.glob(f"*-{run.pid}.log"))

    def reads(self, *words: str) -> Any:
        """What a command says in JSON."""
        return json.loads(self.types(*words, "--json").said.out)

    def push(self, *models: str) -> None:
        """Put models into the registry of the site."""
        self.host(STAGING).run_module("lab.standins.model_registry", *models)

    def put_by_hand(self, node: str, model: str) -> None:
        """Put a model into a node's store, past the product."""
        self.host(node).run_module("lab.standins.models", "seed", STORE, model)

    def is_connected(self) -> bool:
        """Whether Open WebUI uses the shared Ollama."""
        return bool(self.scout.ask("/ollama/config")["OLLAMA_BASE_URLS"] != [EMBEDDED_URL])

    def lifted(self) -> None:
        """Take every fault away, whatever there is, and wait until the site runs again by itself."""
        for host in map(self.host, HOSTS):
            host.restore()
            host.power_on()
            host.thaw()
            start_sshd(host)
            host.free(DISK)
            host.wait_for_units()
            start_k3s(host)
        assert holds_in_time(self._no_restart_goes_on, SECONDS), "K3s's restart does not end"
        self.await_ollama()
        self.scout.wait_until_ready(OPEN_WEBUI)

    def _no_restart_goes_on(self) -> bool:
        """A restart of K3s that was begun is ended by its host, whatever becomes of the run that asked for it."""
        return all(self.host(node).run(["pgrep", "-f", "restart-k3s"], check=False).returncode == 1 for node in NODES)

    def await_ollama(self) -> None:
        """Until every node is ready and has its Ollama, where it shall have one."""
        assert holds_in_time(self._all_serve, SECONDS), kubectl(self.lab, "get", "nodes,daemonsets,pods", "-A")

    def _all_serve(self) -> bool:
        found = kubectl(self.lab, "get", "daemonset,nodes", "-n", "ollama", "-o", "json", check=False)
        items = json.loads(found or '{"items": []}')["items"]
        sets = [item["status"] for item in items if item["kind"] == "DaemonSet"]
        ready = [
            condition["status"] == "True"
            for item in items
            if item["kind"] == "Node"
            for condition in item["status"]["conditions"]
            if condition["type"] == "Ready"
        ]
        gpus = [item["status"]["allocatable"].get("nvidia.com/gpu") for item in items if item["kind"] == "Node"]
        serve = [one.get("numberReady") == one.get("desiredNumberScheduled", 0) for one in sets]
        return bool(sets) and all([*serve, *ready]) and len(ready) == len(NODES) and gpus == ["1"] * len(NODES)


def all_said(run: subprocess.Popen[str], seconds: float) -> Said | None:
    """What a command has said when it ends; None if it does not in time. It is read meanwhile: a pipe holds 64 KiB."""
    try:
        out, err = run.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    return Said(run.returncode, out, err)


class Ran:
    """What a command said, and what stands in its log."""

    def __init__(self, said: Said, log: str) -> None:
        self.said = said
        self.log = log

    def must_work(self) -> None:
        """For what is not tried, but needed."""
        assert self.said.status == 0, self.said.err
