"""The kubelet of one node: a worker for each of its pods, and the node's packet rules, kept as the API says."""

import subprocess
import threading

from lab.standins.k3s import cluster_dns, containers, network_policy, pod_network, service_proxy, volumes
from lab.standins.k3s.journal import log
from lab.standins.k3s.node_context import NodeContext
from lab.standins.k3s.objects import Object, name_of, uid_of
from lab.standins.k3s.pod_worker import PodWorker
from lab.standins.k3s.world import run_until_stopped

COLLECTIONS = (
    "v1/pods",
    "v1/services",
    "v1/namespaces",
    "v1/persistentvolumes",
    "discovery.k8s.io/v1/endpointslices",
    "networking.k8s.io/v1/networkpolicies",
)
ROUND_SECONDS = 60.0


class Kubelet:
    """Follows the API; `run` returns when the world stops."""

    def __init__(self, node: NodeContext) -> None:
        self._node = node
        self._workers: dict[str, PodWorker] = {}
        self._addresses: dict[str, str] = {}
        self._lock = threading.Lock()
        self._rules: dict[str, str] = {}
        self._volumes: set[str] = set()

    def run(self) -> None:
        """Clean up after pods that went while the service was down, then follow."""
        mine = {uid_of(p) for p in self._mine()}
        for uid in {*containers.pods_on_node(), *volumes.pods_on_node()}:
            if uid not in mine:
                containers.kill_pod(uid)
                pod_network.remove(uid)
                volumes.tear_down(uid)
        run_until_stopped(self._node.world, self._round, ROUND_SECONDS)

    def pod(self, namespace: str, name: str) -> Object | None:
        """A pod of this node, for its logs."""
        found = self._node.world.get("v1/pods", namespace, name)
        return found if found is not None and found["spec"].get("nodeName") == self._node.host.me.node_name else None

    def _mine(self) -> list[Object]:
        name = self._node.host.me.node_name
        return [p for p in self._node.world.list("v1/pods") if p["spec"].get("nodeName") == name]

    def _round(self) -> None:
        pods = {uid_of(p): p for p in self._mine()}
        for uid, worker in list(self._workers.items()):
            if not worker.is_alive():
                del self._workers[uid]
                self._addresses.pop(uid, None)
            elif worker.pod is not pods.get(uid):
                worker.update(pods.get(uid))
        started = {uid: pod for uid, pod in pods.items() if uid not in self._workers}
        self._keep_addresses(started)
        for uid, pod in started.items():
            self._workers[uid] = PodWorker(self._node, pod, self._take_address)
            self._workers[uid].start()
        self._apply_rules()
        self._name_services()
        self._reclaim_volumes()

    def _reclaim_volumes(self) -> None:
        names = {name_of(volume) for volume in self._node.world.list("v1/persistentvolumes")}
        for gone in self._volumes - names:
            volumes.reclaim(gone)
        self._volumes = names

    def _keep_addresses(self, pods: dict[str, Object]) -> None:
        """The addresses that pods have from an earlier run of the service, before any new pod takes one."""
        with self._lock:
            for uid, pod in pods.items():
                recorded = (pod.get("status") or {}).get("podIP")
                if recorded and pod_network.find(uid):
                    self._addresses[uid] = recorded

    def _take_address(self, pod: Object) -> str:
        with self._lock:
            address = pod_network.free_address(self._node.host, set(self._addresses.values()))
            self._addresses[uid_of(pod)] = address
            return address

    def _apply_rules(self) -> None:
        world, me = self._node.world, self._node.host.me
        pods = world.list("v1/pods")
        node = service_proxy.Node(me.node_name, me.pod_gateway)
        services, slices = world.list("v1/services"), world.list("discovery.k8s.io/v1/endpointslices")
        self._load("proxy", service_proxy.render(services, slices, pods, node))
        policies = world.list("networking.k8s.io/v1/networkpolicies")
        rules = network_policy.render(policies, pods, world.list("v1/namespaces"), me.node_name)
        self._load("network policy", rules)

    def _load(self, what: str, script: str) -> None:
        """Give nft a script, if it is not the last one."""
        if self._rules.get(what) == script:
            return
        done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True, check=False)
        if done.returncode == 0:
            self._rules[what] = script
        else:
            log("error", f"nft refused the {what} rules: {done.stderr}")

    def _name_services(self) -> None:
        services = self._node.world.list("v1/services")
        for uid, worker in self._workers.items():
            address = self._addresses.get(uid)
            if not address:
                continue
            try:
                cluster_dns.refresh(worker.pod, address, services)
            except OSError as error:  # a full disk must not stop the kubelet
                log("error", f"hosts file of pod {name_of(worker.pod)}: {error}")
