"""What the controllers decide, as data: objects in, writes out."""

import pytest

from lab.standins.k3s.controllers import daemonset, deployment, endpoints, job, nodes
from lab.standins.k3s.objects import Object, digest_of, timestamp
from lab.standins.k3s.writes import Create, Delete, Patch, Write

NODES: list[Object] = [{"metadata": {"name": name, "labels": {}}, "spec": {}, "status": {}} for name in ("a", "b", "c")]
TEMPLATE: Object = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "new"}]}}
OLD: Object = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "old"}]}}


def owner(kind: str, **spec: object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "n", "uid": f"uid-{kind}", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": TEMPLATE, **spec},
    }


def pod(of: Object, node: str, *, template: Object = TEMPLATE, ready: bool = True, **metadata: object) -> Object:
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": timestamp()}
    return {
        "metadata": {
            "name": f"x-{node}",
            "namespace": "n",
            "uid": f"pod-{node}",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "x", daemonset.HASH_LABEL: digest_of(template)},
            "ownerReferences": [{"uid": of["metadata"]["uid"], "controller": True}],
            **metadata,
        },
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running", "podIP": f"10.42.0.{ord(node)}", "conditions": [condition]},
    }


def created(writes: list[Write], collection: str = "v1/pods") -> list[Object]:
    return [w.obj for w in writes if isinstance(w, Create) and w.collection == collection]


def deleted(writes: list[Write]) -> list[str]:
    return [w.target["metadata"]["name"] for w in writes if isinstance(w, Delete)]


def status(writes: list[Write]) -> Object:
    found: Object = next(w.patch["status"] for w in writes if isinstance(w, Patch) and w.status)
    return found


def reconcile(daemon: Object, *pods: Object) -> list[Write]:
    return daemonset.reconcile(daemon, NODES, pods, [])


def test_a_daemon_set_puts_one_pod_on_every_node() -> None:
    writes = reconcile(owner("DaemonSet"))
    fields = [
        p["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        for p in created(writes)
    ]
    assert [f[0]["matchFields"][0]["values"] for f in fields] == [["a"], ["b"], ["c"]]
    assert status(writes)["desiredNumberScheduled"] == 3
    assert len(created(writes, "apps/v1/controllerrevisions")) == 1


def test_an_update_deletes_first_and_one_node_at_a_time() -> None:
    daemon = owner("DaemonSet")
    old = [pod(daemon, n, template=OLD) for n in ("a", "b", "c")]
    writes = reconcile(daemon, *old)
    assert deleted(writes) == ["x-a"]
    assert created(writes) == []
    going = pod(daemon, "a", template=OLD, deletionTimestamp="2026-01-01T00:00:00Z")
    assert deleted(reconcile(daemon, going, *old[1:])) == []
    assert created(reconcile(daemon, going, *old[1:])) == []  # the old pod still has the GPU
    assert len(created(reconcile(daemon, *old[1:]))) == 1
    starting = pod(daemon, "a", ready=False)
    assert deleted(reconcile(daemon, starting, *old[1:])) == []
    assert deleted(reconcile(daemon, pod(daemon, "a"), *old[1:])) == ["x-b"]


def test_old_pods_that_are_broken_are_replaced_at_once() -> None:
    daemon = owner("DaemonSet")
    broken = [pod(daemon, n, template=OLD, ready=False) for n in ("a", "b")]
    assert deleted(reconcile(daemon, *broken, pod(daemon, "c", template=OLD))) == ["x-a", "x-b"]


def test_max_unavailable_can_be_a_share() -> None:
    daemon = owner("DaemonSet", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "50%"}})
    old = [pod(daemon, n, template=OLD) for n in ("a", "b", "c")]
    assert deleted(reconcile(daemon, *old)) == ["x-a", "x-b"]


def test_on_delete_waits_for_the_operator() -> None:
    daemon = owner("DaemonSet", updateStrategy={"type": "OnDelete"})
    writes = reconcile(daemon, *(pod(daemon, n, template=OLD) for n in ("a", "b", "c")))
    assert deleted(writes) == []
    assert status(writes)["updatedNumberScheduled"] == 0


def test_a_failed_daemon_pod_is_replaced() -> None:
    daemon = owner("DaemonSet")
    failed = pod(daemon, "a")
    failed["status"] = {"phase": "Failed", "reason": "UnexpectedAdmissionError"}
    assert deleted(reconcile(daemon, failed, pod(daemon, "b"), pod(daemon, "c"))) == ["x-a"]


def test_nothing_to_do_writes_nothing() -> None:
    daemon = owner("DaemonSet")
    pods = [pod(daemon, n) for n in ("a", "b", "c")]
    first = daemonset.reconcile(daemon, NODES, pods, [])
    daemon["status"] = status(first)
    revisions = created(first, "apps/v1/controllerrevisions")
    assert daemonset.reconcile(daemon, NODES, pods, revisions) == []


def replica_set(of: Object, template: Object, replicas: int, available: int) -> Object:
    return {
        "metadata": {
            "name": f"x-{digest_of(template)}",
            "namespace": "n",
            "labels": {deployment.HASH_LABEL: digest_of(template)},
            "annotations": {deployment.REVISION: "1"},
            "ownerReferences": [{"uid": of["metadata"]["uid"], "controller": True}],
        },
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "availableReplicas": available},
    }


def scaled(writes: list[Write]) -> dict[str, int]:
    return {
        w.target["metadata"]["name"]: w.patch["spec"]["replicas"]
        for w in writes
        if isinstance(w, Patch) and "spec" in w.patch
    }


@pytest.mark.parametrize(
    ("old", "new", "available", "to"),
    [
        (3, 0, 3, {"new": 1}),  # one more than wanted, none less
        (3, 1, 4, {"old": 2}),
        (2, 1, 3, {"new": 2}),
        (0, 3, 3, {}),
    ],
)
def test_a_deployment_moves_pod_by_pod(old: int, new: int, available: int, to: dict[str, int]) -> None:
    made = owner("Deployment", replicas=3, strategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    sets = [replica_set(made, OLD, old, old), replica_set(made, TEMPLATE, new, available - old)]
    names = {"old": f"x-{digest_of(OLD)}", "new": f"x-{digest_of(TEMPLATE)}"}
    assert scaled(deployment.reconcile(made, sets, [])) == {names[k]: v for k, v in to.items()}


def test_recreate_waits_until_the_old_pods_are_gone() -> None:
    made = owner("Deployment", replicas=1, strategy={"type": "Recreate"})
    old, new = replica_set(made, OLD, 1, 1), replica_set(made, TEMPLATE, 0, 0)
    old["metadata"]["uid"] = "uid-old"
    assert scaled(deployment.reconcile(made, [old, new], [])) == {old["metadata"]["name"]: 0}
    old["spec"]["replicas"] = 0
    lingering = pod(old, "a")
    assert scaled(deployment.reconcile(made, [old, new], [lingering])) == {}
    assert scaled(deployment.reconcile(made, [old, new], [])) == {new["metadata"]["name"]: 1}


def test_a_job_gives_up_after_its_back_off_limit() -> None:
    made = owner("Job", backoffLimit=0)
    failed = pod(made, "a")
    failed["status"]["phase"] = "Failed"
    conditions = status(job.reconcile(made, [failed]))["conditions"]
    assert conditions[0]["type"] == "Failed"
    assert conditions[0]["reason"] == "BackoffLimitExceeded"


def test_only_ready_pods_are_endpoints() -> None:
    service = owner("Service", selector={"app": "x"}, ports=[{"port": 80, "targetPort": 8080}])
    going = pod(service, "c", deletionTimestamp="2026-01-01T00:00:00Z")
    writes = endpoints.reconcile(service, [pod(service, "a"), pod(service, "b", ready=False), going], [], [])
    (slice_,) = created(writes, endpoints.SLICES)
    ready = {e["nodeName"]: e["conditions"]["ready"] for e in slice_["endpoints"]}
    assert ready == {"a": True, "b": False, "c": False}
    assert slice_["ports"] == [{"name": "", "port": 8080, "protocol": "TCP"}]


def test_a_node_is_given_up_when_its_lease_stands_still() -> None:
    def lease(renewed: str) -> Object:
        return {"metadata": {"name": "a"}, "spec": {"renewTime": renewed}}

    beats = nodes.Heartbeats()
    beats.observe([lease("one")], 100.0)
    assert not beats.missing(NODES[0], 105.0)
    beats.observe([lease("one")], 105.0)
    assert beats.missing(NODES[0], 107.0)
    beats.observe([lease("yesterday, says a wrong clock")], 107.0)
    assert not beats.missing(NODES[0], 108.0)
