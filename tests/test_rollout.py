"""How far a rollout is, node by node, from what kubectl returns."""

from __future__ import annotations

from typing import Any

from scout_ollama import rollout
from scout_ollama.manifests import KubeObject

DAEMONSET: KubeObject = {
    "kind": "DaemonSet",
    "metadata": {"name": "ollama", "uid": "ds", "generation": 2},
    "status": {"observedGeneration": 2},
}
OWNER = [{"uid": "ds"}]


def revision(number: int, hash_: str) -> KubeObject:
    labels = {"controller-revision-hash": hash_}
    return {
        "kind": "ControllerRevision",
        "metadata": {"name": f"ollama-{hash_}", "labels": labels, "ownerReferences": OWNER},
        "revision": number,
    }


def pod(node: str, hash_: str = "new", created: str = "2026-01-02T00:00:00Z", **status: Any) -> KubeObject:
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"ollama-{node}-{hash_}",
            "labels": {"controller-revision-hash": hash_},
            "ownerReferences": OWNER,
            "creationTimestamp": created,
        },
        "spec": {"nodeName": node},
        "status": {"podIP": "10.42.1.5", **status},
    }


READY: dict[str, Any] = {"conditions": [{"type": "Ready", "status": "True"}]}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason, "message": message}}}]}


def warning(name: str, reason: str, message: str, at: str = "2026-01-02T00:00:01Z") -> KubeObject:
    return {
        "kind": "Event",
        "type": "Warning",
        "metadata": {"name": f"{name}.{reason}"},
        "involvedObject": {"name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    }


def judged(*objects: KubeObject, daemonset: KubeObject = DAEMONSET) -> rollout.NodeRollout:
    return rollout.judge([daemonset, revision(1, "old"), revision(2, "new"), *objects], ["a"])["a"]


def test_a_ready_pod_of_the_newest_revision_is_what_is_awaited() -> None:
    node = judged(pod("a", **READY))
    assert (node.state, node.pod, node.address) == ("ready", "ollama-a-new", "10.42.1.5")


def test_an_old_pod_that_still_serves_is_not_the_wanted_one() -> None:
    node = judged(pod("a", "old", **READY))
    assert (node.state, node.reason) == ("waiting", "the old pod is still there")


def test_until_the_controller_has_seen_the_change_no_pod_counts() -> None:
    unseen = {**DAEMONSET, "status": {"observedGeneration": 1}}
    assert judged(pod("a", **READY), daemonset=unseen).state == "waiting"


def test_of_an_old_and_a_new_pod_the_newer_one_counts() -> None:
    old = pod("a", "old", created="2026-01-01T00:00:00Z", **READY)
    assert judged(old, pod("a", **READY)).state == "ready"
    assert judged(pod("a", **READY), old).state == "ready"


def test_a_node_that_is_away_does_not_replace_its_pod_and_says_what_kubernetes_says() -> None:
    message = "Kubelet stopped posting node status."
    conditions = [{"type": "Ready", "status": "Unknown", "message": message}]
    away = {"kind": "Node", "metadata": {"name": "a"}, "status": {"conditions": conditions}}
    for found in (judged(pod("a", "old", **READY), away), judged(pod("a", **READY), away), judged(away)):
        assert (found.state, found.reason, found.events) == ("stuck", "its node is not ready", (message,))
    there = {**away, "status": {"conditions": READY["conditions"]}}
    assert judged(pod("a", **READY), there).state == "ready"


def test_a_node_without_a_pod_waits() -> None:
    assert judged().reason == "no pod yet"


def test_pods_that_cannot_be_made_at_all_are_told_by_the_daemonsets_events() -> None:
    node = judged(warning("ollama", "FailedCreate", 'pods "x" is forbidden: RuntimeClass "nvidia" not found'))
    assert (node.state, node.reason) == ("stuck", "no pod can be made")
    assert "RuntimeClass" in node.events[0]


def test_a_runtime_that_the_node_lacks_is_hopeless() -> None:
    event = warning("ollama-a-new", "FailedCreatePodSandBox", 'no runtime for "nvidia" is configured')
    assert judged(pod("a", **waiting("ContainerCreating")), event).state == "stuck"


def test_a_pod_that_recovered_from_a_failed_mount_is_starting() -> None:
    running: dict[str, Any] = {"containerStatuses": [{"state": {"running": {"startedAt": "2026-01-02T00:00:09Z"}}}]}
    assert judged(pod("a", **running), warning("ollama-a-new", "FailedMount", "late")).state == "starting"


def test_an_image_that_cannot_be_pulled_is_hopeless_and_says_why() -> None:
    name = "ollama-a-new"
    events = [warning(name, "Failed", 'Failed to pull image "x": not found'), warning("other", "Failed", "not ours")]
    node = judged(pod("a", **waiting("ImagePullBackOff", 'Back-off pulling image "x"')), *events)
    assert node.state == "stuck"
    assert node.reason == 'ImagePullBackOff: Back-off pulling image "x"'
    assert node.events == ('Failed: Failed to pull image "x": not found',)


def test_a_first_failed_pull_may_still_succeed() -> None:
    assert judged(pod("a", **waiting("ErrImagePull"))).state == "starting"


def test_a_store_that_is_not_there_is_hopeless() -> None:
    message = 'MountVolume.SetUp failed for volume "models" : hostPath type check failed: /x is not a directory'
    node = judged(pod("a", **waiting("ContainerCreating")), warning("ollama-a-new", "FailedMount", message))
    assert node.state == "stuck"
    assert node.events == (f"FailedMount: {message}",)


def test_a_pod_that_finds_no_gpu_says_what_the_scheduler_said() -> None:
    unscheduled = pod("a", conditions=[{"type": "PodScheduled", "status": "False", "message": "Insufficient gpu"}])
    del unscheduled["spec"]["nodeName"]
    field = {"key": "metadata.name", "operator": "In", "values": ["a"]}
    term = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    unscheduled["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}}
    node = judged(unscheduled)
    assert (node.state, node.reason) == ("stuck", "it finds no place: Insufficient gpu")


def test_an_event_that_repeats_is_told_once_and_the_newest_last() -> None:
    name = "ollama-a-new"
    events = [
        warning(name, "B", "second", "2026-01-02T00:00:03Z"),
        warning(name, "A", "first", "2026-01-02T00:00:01Z"),
        warning(name, "A", "first", "2026-01-02T00:00:02Z"),
    ]
    assert judged(pod("a"), *events).events == ("A: first", "B: second")


def test_a_rollout_is_stuck_when_a_node_is_and_none_is_on_its_way() -> None:
    stuck = pod("b", **waiting("CrashLoopBackOff"))
    beside = rollout.judge([DAEMONSET, revision(2, "new"), pod("a"), stuck], ["a", "b"])
    assert not beside.is_stuck
    assert beside.places["a"] == "ollama-a-new: starting"
    alone = rollout.judge([DAEMONSET, revision(2, "new"), pod("a", **READY), stuck], ["a", "b"])
    assert alone.is_stuck
    assert not alone.is_done
