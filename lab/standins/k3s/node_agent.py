"""Registers the node, renews its lease and keeps its status, from a thread of its own."""

import threading
import time
from http import HTTPStatus

from lab.standins.k3s import gpu_node, node_status
from lab.standins.k3s.api import Api, ApiError
from lab.standins.k3s.gpus import Ledger
from lab.standins.k3s.hostinfo import HostInfo
from lab.standins.k3s.journal import log
from lab.standins.k3s.objects import Object, labels_of, micro_timestamp
from lab.standins.k3s.world import World

LEASES, LEASE_NAMESPACE = "coordination.k8s.io/v1/leases", "kube-node-lease"
HEARTBEAT_SECONDS = 2.0
GPU_SECONDS = 10.0
LABELS_SECONDS = 6.0
STATUS_SECONDS = 60.0
RETRY_SECONDS = 0.5


class NodeAgent:
    """Speaks for this node."""

    def __init__(self, api: Api, host: HostInfo, gpus: Ledger, world: World) -> None:
        self._api = api
        self._host = host
        self._gpus = gpus
        self._world = world
        self._plugin = gpu_node.is_preinstalled()  # a device plugin registers anew after every start
        self._gpu_count = gpus.refresh(registered=self._plugin)
        self._looked_at = time.monotonic()
        self._parts: gpu_node.Running | None = None
        self._labels: dict[str, str | None] = {}
        self._labelled_at = self._looked_at

    def register(self, stop: threading.Event) -> None:
        """Create or update the Node; waits for an API server that does not answer yet."""
        metadata = node_status.metadata(self._host)
        while not stop.is_set():
            try:
                node = self._register(metadata)
                self._patch_status(node)
                self._renew()
                return
            except ApiError as error:
                log("info", f"Waiting to retrieve agent configuration; server is not ready: {error}")
                stop.wait(RETRY_SECONDS)

    def run(self, stop: threading.Event) -> None:
        """Heartbeats until stopped; the status is written when it changes, and once a minute."""
        written_at = time.monotonic()
        while not stop.wait(HEARTBEAT_SECONDS):
            now = time.monotonic()
            parts = gpu_node.running(self._world.list("v1/pods"), self._host.me.node_name)
            changed = self._look_at_gpus(now, parts)
            try:
                self._renew()
                node = self._api.get("v1/nodes", "", self._host.me.node_name)
                if node is None:
                    self._register(node_status.metadata(self._host))
                    continue
                self._label(node, now, parts)
                if changed or now - written_at >= STATUS_SECONDS or _doubted(node):
                    self._patch_status(node)
                    written_at = now
            except ApiError as error:
                log("debug", f"heartbeat: {error}")

    def _look_at_gpus(self, now: float, parts: gpu_node.Running) -> bool:
        """Count the GPUs, not at every heartbeat; whether the count has changed."""
        plugin = gpu_node.is_preinstalled() or parts.device_plugin
        if plugin == self._plugin and now - self._looked_at < GPU_SECONDS:
            return False
        self._looked_at, self._plugin, before = now, plugin, self._gpu_count
        self._gpu_count = self._gpus.refresh(registered=plugin)
        return before != self._gpu_count

    def _label(self, node: Object, now: float, parts: gpu_node.Running) -> None:
        if gpu_node.is_preinstalled():
            return
        if parts != self._parts or now - self._labelled_at >= LABELS_SECONDS:
            self._parts, self._labelled_at, self._labels = parts, now, gpu_node.labels(self._host, parts)
        current = labels_of(node)
        wanted = {k: v for k, v in self._labels.items() if current.get(k) != v}
        if wanted:
            self._api.patch("v1/nodes", node, {"metadata": {"labels": wanted}})

    def _register(self, metadata: Object) -> Object:
        found = self._api.get("v1/nodes", "", self._host.me.node_name)
        if found is None:
            node = {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": node_status.spec(self._host)}
            return self._api.create("v1/nodes", node)
        wanted = {key: metadata[key] for key in ("labels", "annotations")}
        return self._api.patch("v1/nodes", found, {"metadata": wanted})

    def _patch_status(self, node: Object) -> None:
        status = node_status.status(self._host, node, self._gpu_count)
        self._api.patch("v1/nodes", node, {"status": status}, status=True)

    def _renew(self) -> None:
        name = self._host.me.node_name
        metadata = {"name": name, "namespace": LEASE_NAMESPACE}
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": micro_timestamp()}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        try:
            self._api.patch(LEASES, lease, {"spec": {"renewTime": spec["renewTime"]}})
        except ApiError as error:
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            self._api.create(LEASES, lease)


def _doubted(node: Object) -> bool:
    """Whether the node controller has given the node up meanwhile."""
    conditions = (node.get("status") or {}).get("conditions") or []
    return not any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
