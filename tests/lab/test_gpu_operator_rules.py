"""What the Helm controller and the GPU operator decide, as data: objects in, writes out."""

from typing import Any

from lab.standins.k3s import gpu_operator, operands
from lab.standins.k3s.controllers import helm_chart, job
from lab.standins.k3s.gpu_node import PCI_LABEL, Running, labels, running
from lab.standins.k3s.helm_job import build
from lab.standins.k3s.hostinfo import HostInfo, Peer
from lab.standins.k3s.objects import Object
from lab.standins.k3s.writes import Apply, Create, Delete, Patch, Write


def part(image: str, **more: Any) -> Object:
    return {"repository": "nvcr.io/nvidia", "image": image, "version": "v1", **more}


SPEC: Object = {
    "operator": {"runtimeClass": "nvidia"},
    "daemonsets": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]},
    "validator": part("gpu-operator"),
    "toolkit": part("container-toolkit", enabled=False),
    "devicePlugin": part("k8s-device-plugin"),
    "dcgmExporter": part("dcgm-exporter", enabled=False),
    "gfd": part("k8s-device-plugin"),
    "migManager": part("k8s-mig-manager"),
}
POLICY: Object = {
    "apiVersion": "nvidia.com/v1",
    "kind": "ClusterPolicy",
    "metadata": {"name": "cluster-policy", "uid": "u"},
    "spec": SPEC,
}


def node(**found: str) -> Object:
    return {"metadata": {"name": "n", "labels": found}, "status": {}}


def status(writes: list[Write]) -> tuple[str, str]:
    """The state that is written, and the reason of the condition that is True."""
    (patch,) = (w.patch["status"] for w in writes if isinstance(w, Patch) and w.collection == gpu_operator.POLICIES)
    return patch["state"], next(c["reason"] for c in patch["conditions"] if c["status"] == "True")


def applied(writes: list[Write]) -> set[str]:
    return {w.obj["metadata"]["name"] for w in writes if isinstance(w, Apply) and w.obj["kind"] == "DaemonSet"}


def test_ready_without_labels_and_without_gpus() -> None:
    assert status(gpu_operator.reconcile(POLICY, "ns", [node()], [])) == ("ready", "NFDLabelsMissing")
    kernel = node(**{"feature.node.kubernetes.io/kernel-version.full": "6"})
    writes = gpu_operator.reconcile(POLICY, "ns", [kernel], [])
    assert status(writes) == ("ready", "NoGPUNodes")
    assert applied(writes) == set()


def test_operands_that_are_enabled_are_deployed_and_not_yet_ready() -> None:
    writes = gpu_operator.reconcile(POLICY, "ns", [node(**{PCI_LABEL: "true"})], [])
    assert status(writes) == ("notReady", "OperandNotReady")
    assert applied(writes) == {
        "nvidia-operator-validator",
        "nvidia-device-plugin-daemonset",
        "gpu-feature-discovery",
        "nvidia-mig-manager",
    }
    (labelled,) = (w.patch["metadata"]["labels"] for w in writes if isinstance(w, Patch) and w.collection == "v1/nodes")
    assert labelled["nvidia.com/gpu.present"] == labelled["nvidia.com/gpu.deploy.device-plugin"] == "true"
    assert "nvidia.com/gpu.deploy.mig-manager" not in labelled  # until the GPUs are known to be capable of it


def test_what_is_disabled_later_is_taken_away() -> None:
    exporter = next(o for o in operands.OPERANDS if o.key == "dcgmExporter")
    _, daemon_set = operands.objects(exporter, POLICY, "ns")[-1]
    writes = gpu_operator.reconcile(POLICY, "ns", [node(**{PCI_LABEL: "true"})], [daemon_set])
    assert [w.target["metadata"]["name"] for w in writes if isinstance(w, Delete)] == ["nvidia-dcgm-exporter"]


def test_nodes_have_what_their_pods_that_are_ready_find() -> None:
    worker = {"app.kubernetes.io/name": "node-feature-discovery", "role": "worker"}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    here = {"metadata": {"labels": worker}, "spec": {"nodeName": "n"}, "status": ready}
    plugin = {"metadata": {"labels": {"app": "nvidia-device-plugin-daemonset"}}, "spec": {"nodeName": "m"}}
    parts = running([here, {**plugin, "status": ready}], "n")
    assert parts == Running(nfd_worker=True, feature_discovery=False, device_plugin=False)
    peer = Peer("n", "10.0.0.1", "n", 1, ("server",), gpus=2)
    host = HostInfo(peer, (peer,), peer.address, "v1", "t", has_traefik=False)
    assert labels(host, parts)[PCI_LABEL] == "true"
    assert labels(host, Running(nfd_worker=False, feature_discovery=False, device_plugin=True)) == {}


def chart(**spec: object) -> Object:
    return {
        "apiVersion": "helm.cattle.io/v1",
        "kind": "HelmChart",
        "metadata": {
            "name": "x",
            "namespace": "ns",
            "uid": "c",
            "annotations": {helm_chart.MANAGED_BY: helm_chart.SOURCE},
            "finalizers": [helm_chart.FINALIZER],
        },
        "spec": {"chartContent": "abc", **spec},
    }


def ended(made: Object, how: str = "Complete") -> Object:
    condition = {"type": how, "status": "True"}
    unsuspended = {**made["spec"], "suspend": False}
    return {**made, "spec": unsuspended, "status": {"conditions": [condition]}}


def test_a_job_of_an_older_chart_stays_for_a_moment() -> None:
    old = ended(build(chart(valuesContent="a: 1"), None)[0])
    changed = chart(valuesContent="a: 2")
    assert helm_chart.reconcile(changed, None, [old], age=0.5) == []
    (delete,) = helm_chart.reconcile(changed, None, [old], age=helm_chart.STALE_SECONDS)
    assert isinstance(delete, Delete)
    created = [w.obj for w in helm_chart.reconcile(changed, None, [], age=2.0) if isinstance(w, Create)]
    assert [j["metadata"]["name"] for j in created] == ["helm-install-x"]
    assert created[0]["spec"]["suspend"] is True


def test_a_job_that_runs_is_suspended_before_it_is_replaced() -> None:
    old = build(chart(valuesContent="a: 1"), None)[0]
    runs = {**old, "spec": {**old["spec"], "suspend": False}, "status": {"active": 1}}
    (patch,) = helm_chart.reconcile(chart(valuesContent="a: 2"), None, [runs], age=9.0)
    assert isinstance(patch, Patch)
    assert patch.patch == {"spec": {"suspend": True}}


def test_failed_is_said_only_of_a_job_that_has_given_up() -> None:
    made = build(chart(), None)[0]
    for job_, said in ((ended(made), "False"), (ended(made, "Failed"), "True")):
        (patch,) = (w for w in helm_chart.reconcile(chart(), None, [job_], age=9.0) if isinstance(w, Patch))
        assert {c["type"]: c["status"] for c in patch.patch["status"]["conditions"]}["Failed"] == said


def test_restarts_count_as_failures_of_a_job_whose_pods_restart() -> None:
    made: Object = {**build(chart(backOffLimit=2), None)[0]}
    made = {**made, "metadata": {**made["metadata"], "uid": "j"}, "spec": {**made["spec"], "suspend": False}}
    pod: Object = {
        "metadata": {"name": "p", "ownerReferences": [{"uid": "j", "controller": True}]},
        "spec": {"restartPolicy": "OnFailure"},
        "status": {"phase": "Running", "containerStatuses": [{"restartCount": 1}]},
    }
    assert not any(isinstance(w, Delete) for w in job.reconcile(made, [pod]))
    pod["status"]["containerStatuses"][0]["restartCount"] = 2
    assert any(isinstance(w, Delete) for w in job.reconcile(made, [pod]))
