"""What the lab's K3s nodes do not do. What would be missed is refused with a word; these tests say which.

Done differently, without a word, because nothing of this project can tell:
- An image's layers are not downloaded; an image stands for a program of the lab (lab/standins/images.py). Its container
  sees the host's /usr, read-only.
- cpu and memory limits are not enforced, and nodes say that they have more of both than the machine has. There is no
  OOM kill.
- seccomp, AppArmor, SELinux, user namespaces, sysctls and fsGroup's change of ownership are not there.
- Logs have no timestamps of their own, and are not rotated.
- Mounted secrets and config maps do not change while a pod runs.
- Names of Services are in the pods' /etc/hosts instead of a DNS server; headless Services have no names.
- Pods are not evicted from a node that stays unreachable, nor preempted; priority and preferred affinity do not count.
- Deployments have no progress deadline, Jobs no deadline or indices; StatefulSets and CronJobs have no controller.
- The kubelet's port is plain HTTP but where the control plane is Kubernetes' own. It serves logs, and exec by
  WebSocket: no attach, port-forward, metrics.
- Egress policies do not bind traffic to the pod's own node.
- Traefik's chart knows deployment.kind, deployment.replicas and service.spec.externalTrafficPolicy; no Helm job runs
  for it.
- Charts come in chartContent, or from where the pods reach; authSecret, dockerRegistrySecret, repoCA, valuesSecrets,
  takeOwnership and driver of a HelmChart are not looked at. Its helm is version 4, the real one's 3: some words differ.
- The GPU operator's part is played outside its pods (lab/standins/k3s/gpu_operator.py, gpu_node.py), which only have to
  run. Labels of nodes stay when it is uninstalled. No driver containers, no MIG, no NRI plugin; the RuntimeClass nvidia
  stays. The toolkit's drop-in holds at once: no containerd is restarted for it.
- IngressRoute, TLSStore, TLSOption and ServersTransport objects are not read. Backends speak plain HTTP/1.1.
"""

import pytest

from lab.standins.ingress.routes import Cluster, routers
from lab.standins.k3s import addons, network_policy, placement, probes, volumes
from lab.standins.k3s.containers import Container
from lab.standins.k3s.objects import Object
from tests.lab.test_k3s_node_containers import NoObjects, pod


@pytest.mark.parametrize(
    "source",
    [
        {"nfs": {"server": "s", "path": "/"}},
        {"csi": {"driver": "d"}},
        {"ephemeral": {}},
        {"projected": {"sources": [{"clusterTrustBundle": {"path": "ca.crt"}}]}},
    ],
)
def test_these_volumes_are_refused(source: Object) -> None:
    with pytest.raises(volumes.MountError, match="not supported by this stand-in"):
        volumes.set_up(pod(volumes=[{"name": "v", **source}]), NoObjects())


def test_grpc_probes_always_fail() -> None:
    result = probes.run({"grpc": {"port": 1}}, {"name": "c"}, "127.0.0.1", Container.__new__(Container))
    assert result == probes.Result(False, "gRPC probes are not supported by this stand-in")


@pytest.mark.parametrize("kind", ["compress", "headers", "rateLimit", "redirectScheme", "stripPrefix", "basicAuth"])
def test_these_middlewares_take_their_routes_away(kind: str) -> None:
    annotations = {"traefik.ingress.kubernetes.io/router.middlewares": "n-m@kubernetescrd"}
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    ingress = {
        "metadata": {"name": "i", "namespace": "n", "annotations": annotations},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    }
    middleware = {"metadata": {"name": "m", "namespace": "n"}, "spec": {kind: {}}}
    made, problems = routers(Cluster(ingresses=[ingress], middlewares=[middleware]))
    assert made == []
    assert f"this stand-in knows ipAllowList and chain, found {kind}" in problems[0]


def test_other_values_of_traefiks_chart_change_nothing() -> None:
    values = {
        "ports": {"web": {"redirections": {"entryPoint": {"to": "websecure"}}}},
        "resources": {"limits": {"cpu": 1}},
    }
    assert addons.traefik_workload(values) == addons.traefik_workload({})
    assert addons.traefik_service(values) == addons.traefik_service({})


@pytest.mark.parametrize(
    "spec",
    [
        {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "k"}]}}},
        {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "k"}]}}},
        {"topologySpreadConstraints": [{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule", "topologyKey": "k"}]},
    ],
)
def test_pods_that_depend_on_others_places_are_not_scheduled(spec: Object) -> None:
    node: Object = {"metadata": {"name": "a"}, "spec": {}, "status": {}}
    verdict = placement.schedule(pod(**spec), [node], [])
    assert verdict.node is None
    assert "not supported by this stand-in" in verdict.message


def test_preferred_affinity_is_not_looked_at() -> None:
    labelled: Object = {"metadata": {"name": "b", "labels": {"a": "b"}}, "spec": {}, "status": {}}
    plain: Object = {"metadata": {"name": "a", "labels": {}}, "spec": {}, "status": {}}
    term = {"matchExpressions": [{"key": "a", "operator": "Exists"}]}
    preferred = {
        "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}
    }
    assert placement.schedule(pod(affinity=preferred), [plain, labelled], []).node == "a"


def test_policies_do_not_bind_pods_on_the_hosts_network() -> None:
    everything_refused = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"podSelector": {}}}
    host_pod = pod(nodeName="a", hostNetwork=True) | {"status": {"phase": "Running", "podIP": "192.0.2.1"}}
    assert "192.0.2.1" not in network_policy.render([everything_refused], [host_pod], [], "a")
