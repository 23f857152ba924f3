"""One host, judged from a reading of its site. Pure.

What a host that does not answer would have said is unknown, and told once; so is what K3s keeps from us.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scout_ollama import manifests, pods
from scout_ollama.checks import LEAST_FREE_FRACTION, why_no_gpus
from scout_ollama.facts import Sections, drained
from scout_ollama.gpu_operator.state import RESOURCE
from scout_ollama.hints import on
from scout_ollama.inventory import Cluster, Host, Site, StagingCluster
from scout_ollama.manifests import KubeObject
from scout_ollama.models import pods as model_pods
from scout_ollama.models import wanted
from scout_ollama.models.pods import Loaded
from scout_ollama.outside import from_json
from scout_ollama.sizes import counted, shown
from scout_ollama.status.cells import broken, ok, unknown, warn
from scout_ollama.status.document import Cell, LoadedStatus, NodeStatus
from scout_ollama.status.facts import HostNow, SiteFacts

LITTLE_SPACE = 0.10
"""A store with a smaller fraction free than this is worth a warning."""
_LONGEST = 60  # letters of what a version may be, so that whatever answers does not fill the screen


@dataclass(frozen=True)
class Judge:
    """Judges one host by one reading."""

    site: Site
    cluster: Cluster
    host: Host
    facts: SiteFacts

    def node(self, endpoint: Cell | None) -> NodeStatus:
        """Return how the host is; ``endpoint`` is how the endpoint answers on it."""
        now, k3s = self.now, self.k3s()
        runs = self.cluster.runs_ollama if "gpu" in self.host.roles else None
        given = self._given()
        stores = runs or isinstance(self.cluster, StagingCluster)
        return NodeStatus(
            host=self.host.name,
            ssh=self.ssh(),
            k3s=k3s,
            gpus=self.gpus(k3s) if self.host.gpus else None,
            ollama=self.ollama(k3s) if runs else None,
            memory=self.memory() if runs else None,
            loaded=[LoadedStatus(model=str(m.name), size=m.size, vram=m.vram) for m in self._loaded()],
            store=self.store() if stores else None,
            endpoint=endpoint,
            gpus_allocatable=given[0] if given else None,
            gpus_used=given[1] if given else None,
            gpu_memory_used=sum(used for used, _ in now.gpu_memory) if now and now.gpu_memory else None,
            gpu_memory_total=sum(total for _, total in now.gpu_memory) if now and now.gpu_memory else None,
            store_free=now.store.free if now and now.store else None,
            store_total=now.store.total if now and now.store else None,
        )

    @property
    def now(self) -> HostNow | None:
        """What the host said; None if it does not answer."""
        return self.facts.hosts.get(self.host.name)

    @property
    def answers(self) -> Sections | None:
        """What its Ollama said; None if it was not asked."""
        return self.facts.ollamas.get(self.host.name)

    @property
    def silent(self) -> Cell:
        """What there is to say of everything on a host that does not answer."""
        return unknown(f"{self.host.name} does not answer")

    def ssh(self) -> Cell:
        """Whether it answers."""
        trouble = self.facts.troubles.get(self.host.name)
        if trouble is None:
            return ok("answers")
        text = "no answer" if trouble.what == "does not answer" else "trouble"
        return broken(text, trouble.what, why=trouble.why, next=trouble.next)

    def k3s(self) -> Cell:
        """K3s's service, the API where it is a server, and its node."""
        if self.now is None:
            return self.silent
        if not self.now.k3s.ok:
            how = self.now.k3s.text.strip().splitlines()[:1] or ["not installed"]
            look = "sudo systemctl start k3s; sudo journalctl -u k3s -n 50 --no-pager"
            return broken("stopped", "K3s does not run", why=f"its service is {how[0]}", next=on(self.host, look))
        if self.now.api and not self.now.api.ok:
            why = (self.now.api.text.strip().splitlines() or ["kubectl said nothing"])[-1]
            look = "sudo k3s kubectl get nodes; sudo journalctl -u k3s -n 50 --no-pager"
            return broken("API silent", "its Kubernetes API does not answer", why=why, next=on(self.host, look))
        return self._in_cluster()

    def _in_cluster(self) -> Cell:
        node = self._object
        if self.facts.objects_of(self.cluster) is None:
            return unknown(f"no server of {self.cluster.name} answers")
        if node is None:
            edit = (
                f"edit hosts.{self.host.name} in {self.cluster.name}.yaml: node_name, or join the host to the cluster"
            )
            return broken("not a node", f"the cluster has no node named {self.host.node}", next=edit)
        if pods.condition(node["status"], "Ready") != "True":
            look = on(self.host, f"sudo k3s kubectl describe node {self.host.node}")
            return broken("not ready", "its node is not ready", why=pods.message(node["status"], "Ready"), next=look)
        version = str(node["status"].get("nodeInfo", {}).get("kubeletVersion", "runs"))
        if node.get("spec", {}).get("unschedulable"):
            uncordon = on(self.host, f"sudo k3s kubectl uncordon {self.host.node}")
            return warn(f"{version}, cordoned", "its node is cordoned: nothing new is placed there", next=uncordon)
        return ok(version)

    def gpus(self, k3s: Cell) -> Cell:
        """What the driver shows, and what Kubernetes can give out."""
        wanted_gpus = self.host.gpus
        if self.now is None:
            return self.silent
        if self.now.gpus and not self.now.gpus.ok:
            why = why_no_gpus(self.now.gpus)
            return broken("no driver", "its GPUs do not answer", why=why, next=on(self.host, "nvidia-smi"))
        if self.now.gpus and len(self.now.gpu_memory) < wanted_gpus:
            what = f"the driver shows {len(self.now.gpu_memory)} of its {counted(wanted_gpus, 'GPU')}"
            return broken("GPU lost", what, next=on(self.host, "nvidia-smi -L; sudo dmesg | grep -i nvrm | tail"))
        given = self._given()
        if given is None or k3s.state in ("broken", "unknown"):
            return unknown(k3s.what or k3s.why)
        if given[0] < wanted_gpus and not (self.cluster.runs_ollama and self.cluster.runs_ollama.cpu_only):
            what = f"Kubernetes can give out {given[0]} of its {counted(wanted_gpus, 'GPU')}"
            install = f"inv install-gpu-operator --hosts {self.cluster.name}"
            return broken(f"{given[0]} of {wanted_gpus}", what, why="the GPU operator is not through", next=install)
        return ok(f"{given[1]} of {given[0]} in use")

    def ollama(self, k3s: Cell) -> Cell:
        """Its Ollama pod and the version that it says."""
        if self.now is None:
            return self.silent
        if note := self._drained:
            back = f"inv undrain-host --hosts {self.host.name} --reason '…'"
            return warn("drained", "drained: it serves nobody", why=note, next=back)
        if self.answers is None:
            return self._without_answers(k3s)
        version = _text(self.answers["version"].text, "version") if self.answers["version"].ok else ""
        if not version:
            return self._mute(self.answers["version"].text, k3s)
        return self._version(version)

    def _version(self, version: str) -> Cell:
        wanted_version = manifests.settings(self.cluster).version
        if version == wanted_version:
            return ok(version)
        deploy = f"inv deploy-ollama --hosts {self.cluster.name} --plan"
        return warn(version, f"its Ollama is {version}, the inventory wants {wanted_version}", next=deploy)

    def _without_answers(self, k3s: Cell) -> Cell:
        """There was no pod that could have been asked."""
        if self.facts.objects_of(self.cluster) is None:
            return unknown(f"no server of {self.cluster.name} answers")
        pod = self.facts.pod_of(self.host, self.cluster)
        if k3s.state == "broken":
            return unknown(k3s.what)
        deploy = f"inv deploy-ollama --hosts {self.cluster.name}"
        if pod is None:
            return broken("no pod", "Ollama is not there: its node has no pod of it", next=deploy)
        reason, _ = pods.why_not_ready(pod.get("status", {}), ())
        describe = f"sudo k3s kubectl describe pods -n {manifests.settings(self.cluster).namespace}"
        return broken("no answer", f"its Ollama pod is not ready: {reason}", next=on(self.host, describe))

    def _mute(self, said: str, k3s: Cell) -> Cell:
        if k3s.state == "broken":
            return unknown(k3s.what)
        namespace = manifests.settings(self.cluster).namespace
        restart = f"inv restart-ollama --hosts {self.host.name} --reason '…'"
        look = on(self.host, f"sudo k3s kubectl logs -n {namespace} daemonset/ollama --tail 50")
        return broken("no answer", "its Ollama does not answer", why=said.strip(), next=f"{look}; {restart}")

    def memory(self) -> Cell:
        """The models in memory, and those that should be."""
        if self._drained:
            return Cell(state="warn", text="drained")
        if self.answers is None or not self.answers["ps"].ok:
            return unknown(self._no_ollama)
        there, on_cpu = self._loaded(), manifests.settings(self.cluster).cpu_only
        absent = [str(m.name) for m in self._preloaded() if not any(m.name.matches(entry.name) for entry in there)]
        slow = [str(entry.name) for entry in there if entry.vram < entry.size]
        taken = sum(entry.size if on_cpu else entry.vram for entry in there)
        text = f"{counted(len(there), 'model')}, {shown(taken)}" if there else "no model"
        if absent:
            what = f"not in memory, though the inventory preloads it: {', '.join(absent)}"
            return warn(text, what, next=f"inv restart-ollama --hosts {self.host.name} --reason '…'")
        if slow and not on_cpu:
            what = f"not wholly in the memory of GPUs, so it answers slowly: {', '.join(slow)}"
            return warn(text, what, next=on(self.host, "nvidia-smi"))
        return ok(text)

    def store(self) -> Cell:
        """Space in its store of models."""
        if self.now is None:
            return self.silent
        path = self._store
        if self.now.store is None:
            look = on(self.host, f"findmnt --target {path}; ls -ld {path}")
            return broken("not there", f"its store of models {path} is not there, or does not answer", next=look)
        free, total = self.now.store
        text, look = f"{shown(free)} free", on(self.host, f"df -h {path}; sudo du -xhd 2 {path}")
        what = f"its store {path} has {shown(free)} free of {shown(total)}"
        if free < total * LEAST_FREE_FRACTION:
            return broken(text, what, why="below 5 % the kubelet puts pods out", next=look)
        if free < total * LITTLE_SPACE:
            return warn(text, what, next=f"inv prune-models --hosts {self.cluster.name} --plan; {look}")
        return ok(text)

    @property
    def _drained(self) -> str:
        """The note of who drained it and why; empty if it is not drained."""
        return drained([self._object]).get(self.host.node, "") if self._object else ""

    @property
    def _store(self) -> str:
        if isinstance(self.cluster, StagingCluster):
            return self.cluster.ollama_nfs_path
        return manifests.store_path(self.site, self.cluster)

    @property
    def _no_ollama(self) -> str:
        return f"its Ollama does not answer on {self.host.name}" if self.now else f"{self.host.name} does not answer"

    @property
    def _object(self) -> KubeObject | None:
        objects = self.facts.objects_of(self.cluster) or ()
        nodes = (obj for obj in objects if obj["kind"] == "Node")
        return next((node for node in nodes if node["metadata"]["name"] == self.host.node), None)

    def _given(self) -> tuple[int, int] | None:
        """How many GPUs Kubernetes can give out on it, and how many pods have."""
        if (node := self._object) is None or not self.host.gpus:
            return None
        there = (obj for obj in self.facts.objects_of(self.cluster) or () if obj["kind"] == "Pod")
        used = sum(_gpus_of(pod) for pod in there if pod["spec"].get("nodeName") == self.host.node)
        return int(node["status"].get("allocatable", {}).get(RESOURCE, 0)), used

    def _loaded(self) -> list[Loaded]:
        return model_pods.loaded(self.answers["ps"]) if self.answers else []

    def _preloaded(self) -> Iterable[wanted.WantedModel]:
        return (model for model in wanted.of(manifests.settings(self.cluster)) if model.preload)


def _gpus_of(pod: KubeObject) -> int:
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return 0
    limits = (container.get("resources", {}).get("limits", {}) for container in pod["spec"].get("containers", []))
    return sum(int(limit.get(RESOURCE, 0)) for limit in limits)


def _text(answer: str, key: str) -> str:
    """What a JSON object has under a key, as far as that is short; empty if it is none."""
    try:
        return str(from_json(answer)[key])[:_LONGEST]
    except (ValueError, KeyError, TypeError):
        return ""
