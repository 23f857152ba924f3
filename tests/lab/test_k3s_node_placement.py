"""Where pods may run, and what the scheduler says when they may not: the texts that a person reads in `describe`."""

import pytest

from lab.standins.k3s import placement, selectors
from lab.standins.k3s.controllers import scheduler
from lab.standins.k3s.objects import Object, quantity, requests_of
from lab.standins.k3s.writes import Bind, Emit


def node(name: str, *, gpus: int = 1, taints: tuple[Object, ...] = (), cordoned: bool = False, **labels: str) -> Object:
    made: Object = {
        "metadata": {"name": name, "labels": {"gpu": "yes", "memory": "81559", **labels}},
        "spec": {"taints": list(taints)},
        "status": {"allocatable": {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": str(gpus)}},
    }
    if cordoned:
        made["spec"]["unschedulable"] = True
    return made


def pod(name: str = "p", *, gpus: int = 1, on: str = "", **spec: object) -> Object:
    limits = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
    made: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "n", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "c", "resources": limits}], **spec},
    }
    if on:
        made["spec"]["nodeName"] = on
    return made


TAINT = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


def test_a_pod_goes_where_the_fewest_are() -> None:
    nodes = [node("a", gpus=4), node("b", gpus=4)]
    assert placement.schedule(pod(), nodes, [pod("other", on="a")]).node == "b"


def test_no_gpu_is_left() -> None:
    nodes = [node("a"), node("b"), node("c")]
    taken = [pod(n, on=n) for n in ("a", "b", "c")]
    assert placement.schedule(pod(), nodes, taken).message == (
        "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. "
        "no new claims to deallocate, preemption: 0/3 nodes are available: "
        "3 No preemption victims found for incoming pod."
    )


def test_finished_pods_have_given_their_gpu_back() -> None:
    done = {**pod("done", on="a"), "status": {"phase": "Succeeded"}}
    assert placement.schedule(pod(), [node("a")], [done]).node == "a"


def test_every_node_has_its_reason() -> None:
    nodes = [node("a", gpus=0), node("b", gpu="no"), node("c", taints=(TAINT,)), node("d", cordoned=True)]
    message = placement.schedule(pod(nodeSelector={"gpu": "yes"}), nodes, []).message
    assert message == (
        "0/4 nodes are available: 1 Insufficient nvidia.com/gpu, 1 node(s) didn't match Pod's node affinity/selector, "
        "1 node(s) had untolerated taint(s), 1 node(s) were unschedulable. "
        "no new claims to deallocate, preemption: 0/4 nodes are available: "
        "1 No preemption victims found for incoming pod, 3 Preemption is not helpful for scheduling."
    )


def test_two_pods_do_not_get_the_same_host_port() -> None:
    spec: Object = {"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": 80}]}]}
    other = pod("other", gpus=0, on="a")
    other["spec"]["containers"] = spec["containers"]
    message = placement.schedule(pod(gpus=0, **spec), [node("a")], [other]).message
    assert "1 node(s) didn't have free ports for the requested pod ports" in message


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "nvidia.com/gpu", "operator": "Exists"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "nvidia.com/gpu", "value": "present"}, True),
        ({"key": "nvidia.com/gpu", "value": "absent"}, False),
        ({"operator": "Exists"}, True),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations(toleration: Object, tolerated: bool) -> None:
    assert placement.tolerates([toleration], TAINT) is tolerated


@pytest.mark.parametrize(
    ("operator", "values", "selected"),
    [
        ("Gt", ["80"], True),  # MiB compared with GB: always true, the trap of Scout's template
        ("Gt", ["81559"], False),
        ("Lt", ["90000"], True),
        ("Gt", ["80Gi"], False),
        ("In", ["81559", "40960"], True),
        ("NotIn", ["81559"], False),
        ("Exists", [], True),
        ("DoesNotExist", [], False),
    ],
)
def test_node_affinity(operator: str, values: list[str], selected: bool) -> None:
    term = {"matchExpressions": [{"key": "memory", "operator": operator, "values": values}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    assert placement.selects_node({"affinity": affinity}, node("a")) is selected


def test_label_selectors_select_nothing_when_absent_and_all_when_empty() -> None:
    assert not selectors.matches(None, {"a": "b"})
    assert selectors.matches({}, {"a": "b"})


def test_a_daemon_pod_stays_on_a_cordoned_node_and_ignores_other_nodes_when_it_waits() -> None:
    assert placement.daemon_belongs({}, node("a", cordoned=True, taints=({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},))) == (True, True)  # fmt: skip  # noqa: E501
    pinned = pod()
    pinned["spec"] = placement.pin_to_node(pinned["spec"], "a")
    message = placement.schedule(pinned, [node("a", gpus=0), node("b"), node("c")], []).message
    assert message.startswith(
        "0/3 nodes are available: 1 Insufficient nvidia.com/gpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
    )


def test_the_scheduler_counts_what_it_has_just_placed() -> None:
    first, second = scheduler.reconcile([node("a")], [pod("one"), pod("two")])[:2]
    assert isinstance(first, Bind)
    assert isinstance(second, Emit)
    assert second.reason == "FailedScheduling"


def test_the_same_refusal_is_told_once() -> None:
    waiting = pod()
    message = placement.schedule(waiting, [node("a", gpus=0)], []).message
    waiting["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}
    assert scheduler.reconcile([node("a", gpus=0)], [waiting]) == []


@pytest.mark.parametrize(("text", "value"), [("1", 1), ("500m", 0.5), ("64Gi", 64 * 2**30), ("1k", 1000), (2, 2)])
def test_quantities(text: str | int, value: float) -> None:
    assert quantity(text) == value


def test_a_limit_is_the_request_where_none_is_given() -> None:
    spec: Object = {
        "initContainers": [{"resources": {"requests": {"cpu": "4"}}}],
        "containers": [
            {"resources": {"limits": {"cpu": "1", "nvidia.com/gpu": 1}}},
            {"resources": {"requests": {"cpu": "2"}}},
        ],
    }
    assert requests_of(spec) == {"cpu": 4.0, "nvidia.com/gpu": 1.0}
