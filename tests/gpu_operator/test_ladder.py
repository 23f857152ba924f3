"""The ladder to GPUs: every false success that looks like its end, and where it stands when a rung is not done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from scout_ollama.gpu_operator import causes, table
from scout_ollama.gpu_operator.awaiting import Climb
from scout_ollama.gpu_operator.ladder import Rung, judge
from scout_ollama.gpu_operator.state import OperatorState
from scout_ollama.inventory import Host
from tests.gpu_operator.readings import (
    HASH,
    NFD,
    NODES,
    OPERATOR,
    PLUGIN,
    READY,
    WANTED,
    chart,
    deployment,
    good,
    job,
    node,
    pod,
    policy,
    release,
    waiting,
    warning,
    with_pods,
)
from tests.samples import GOOD_HOST

ONE, TWO = NODES
RUNNING: dict[str, Any] = {"containerStatuses": [{"name": "ctr", "state": {"running": {}}}]}


def at(reading: OperatorState, **wanted: Any) -> dict[str, Rung]:
    return judge(reading, replace(WANTED, **wanted)).at()


def stands(reading: OperatorState, **wanted: Any) -> dict[str, tuple[str, str]]:
    """Where it stands: rung and reason, by node, under "" for the cluster."""
    return {node: (rung.name, rung.reason) for node, rung in at(reading, **wanted).items()}


def test_when_all_is_well_every_rung_is_done() -> None:
    ladder = judge(good(), WANTED)
    assert ladder.is_done
    assert ladder.at() == {}


# -- false success: Helm


def test_an_old_job_that_is_complete_is_not_the_one_of_the_chart_as_it_is_now() -> None:
    """The race of a changed chart: its old Job is there for some seconds, complete, with its release deployed."""
    reading = good(chart=chart(applied=30, age=1))
    assert stands(reading) == {"": ("chart", "K3s's Helm controller has not taken it up yet")}


def test_the_job_that_this_run_has_made_out_of_date_is_never_the_one_however_long_it_stays() -> None:
    reading = good(chart=chart(applied=10, age=3600))
    assert at(reading) == {}
    assert stands(reading, replaced="job") == {"": ("chart", "K3s's Helm controller has not taken it up yet")}


def test_a_job_that_a_server_with_a_slow_clock_made_is_accepted_when_nothing_replaces_it() -> None:
    assert at(good(chart=chart(applied=30, age=61))) == {}


def test_a_job_of_the_same_second_as_the_change_is_its_own() -> None:
    assert at(good(chart=chart(applied=11, age=1))) == {}


def test_a_job_that_is_complete_with_a_release_of_another_configuration_is_not_done() -> None:
    reading = good(releases=(release(2, config="F" * 64),))
    assert stands(reading) == {"": ("chart", "Helm's release 2 is of another configuration")}


def test_the_label_holds_what_a_label_can_of_the_hash() -> None:
    assert len(release()["helmcharts.helm.cattle.io/configHash"]) == 63 < len(HASH)
    assert at(good()) == {}


def test_a_k3s_that_does_not_write_the_hash_is_believed_by_its_job() -> None:
    assert at(good(releases=({"version": "3", "status": "deployed"},))) == {}


@pytest.mark.parametrize("status", ["failed", "pending-upgrade", "superseded"])
def test_a_release_that_is_not_deployed_is_not_done(status: str) -> None:
    assert stands(good(releases=(release(2, status=status), release(1)))) == {
        "": ("chart", f"Helm's release 2 is {status}")
    }


def test_a_job_that_is_complete_and_left_no_release_is_not_done() -> None:
    assert stands(good(releases=())) == {"": ("chart", "Helm's Job is complete, and there is no release")}


def test_helm_failed_for_good() -> None:
    reading = good(chart=chart(failure="Job has reached configured number of retries"), job=job(kind="Failed"))
    assert stands(reading) == {"": ("chart", "Job has reached configured number of retries")}
    assert Climb(judge(reading, WANTED), "phi", {}).is_done, "there is nothing to wait for"


def test_helm_fails_and_tries_again_and_what_it_said_is_kept() -> None:
    said = "Error: UPGRADE FAILED: another operation is in progress"
    status = {"name": "helm", "lastState": {"terminated": {"exitCode": 1, "message": f"log\n{said}\n"}}}
    crashing = waiting("CrashLoopBackOff", "back-off 20s")
    crashing["containerStatuses"][0] |= status
    helm = pod("helm-abc", ONE, {}, "klipper-helm", crashing)
    helm["metadata"] |= {"namespace": "kube-system", "ownerReferences": [{"uid": "job"}]}
    rung = at(good(job=job(kind=""), objects=(*good().objects, helm)))[""]
    assert rung.reason == "Helm runs; helm-abc: CrashLoopBackOff"
    assert (rung.said, rung.container, rung.namespace, rung.is_final) == (said, "helm", "kube-system", False)


def test_a_chart_that_is_being_deleted_is_not_done() -> None:
    assert stands(good(chart=chart(is_going=True)))[""] == ("chart", "the HelmChart is being deleted")


# -- false success: the operator


def test_an_operator_that_never_becomes_available() -> None:
    mine = pod("gpu-operator-x", ONE, {"app": "gpu-operator"}, OPERATOR, RUNNING)
    reading = good(objects=(deployment(available=0), mine))
    assert stands(reading) == {"": ("operator", "gpu-operator is not available; gpu-operator-x: starting")}
    assert at(reading)[""].stand == "stuck", "what runs and is not ready is not about to move"


def test_while_the_old_operator_still_runs_nothing_of_it_counts() -> None:
    old = "nvcr.io/nvidia/gpu-operator:v25.3.0"
    assert stands(good(objects=(deployment(image=old),)))[""][1].startswith("gpu-operator is still of another release")
    unseen = deployment(observedGeneration=0)
    assert stands(good(objects=(unseen,)))[""] == ("operator", "gpu-operator is not available")


def test_feature_discovery_belongs_to_it() -> None:
    objects = (deployment(), deployment("nfd-master", NFD, available=0))
    assert stands(good(objects=objects)) == {"": ("operator", "nfd-master is not available")}


@pytest.mark.parametrize(
    ("reason", "message"),
    [("NFDLabelsMissing", "No NFD labels found"), ("NoGPUNodes", "No GPU node found, watching for new nodes")],
)
def test_a_policy_that_is_ready_with_nothing_to_be_ready_is_not_done(reason: str, message: str) -> None:
    reading = good(policies=(policy("ready", reason, message),))
    assert stands(reading) == {"": ("policy", f"it says ready, and: {message}")}


def test_a_policy_that_is_not_ready_names_its_parts() -> None:
    said = "ClusterPolicy is not ready, states not ready: [state-dcgm-exporter]"
    assert stands(good(policies=(policy("notReady", "OperandNotReady", said),))) == {"": ("policy", said)}
    assert stands(good(policies=())) == {"": ("policy", "there is no ClusterPolicy")}


def test_a_second_policy_that_is_ignored_is_not_asked() -> None:
    ignored = {"status": {"state": "ignored"}}
    assert at(good(policies=(ignored, policy()))) == {}


def test_of_some_nodes_the_policy_of_all_is_not_asked() -> None:
    reading = good(policies=(policy("notReady"),))
    assert at(reading, whole=False, gpus={ONE: 1}) == {}


def test_a_node_that_is_away_stands_there_and_the_others_do_not_wait_for_what_ran_on_it() -> None:
    """The operator's one pod may have been there; Kubernetes waits for minutes before it starts another elsewhere."""
    away = pod("gpu-operator-x", TWO, {"app": "gpu-operator"}, OPERATOR, RUNNING)
    others = [obj for obj in good().objects if obj["kind"] == "Pod"]
    nodes = {ONE: node(ONE), TWO: node(TWO, ready=False)}
    reading = good(objects=(deployment(available=0), away, *others), nodes=nodes, policies=(policy("notReady"),))
    assert stands(reading) == {TWO: ("node", "its node is not Ready")}
    assert at(reading, gpus={ONE: 1}, whole=False) == {}


def test_an_operator_that_is_on_its_way_is_waited_for_though_a_host_is_away() -> None:
    pulled = pod("gpu-operator-x", ONE, {"app": "gpu-operator"}, OPERATOR, waiting("ContainerCreating"))
    reading = good(objects=(deployment(available=0), pulled))
    assert at(reading, gpus={ONE: 1}, whole=False)[""].stand == "moving"


# -- false success: a node


def test_a_node_without_nfds_label_stands_below_everything_else_that_is_left_of_before() -> None:
    reading = good(nodes={ONE: node(ONE), TWO: node(TWO, labels={"feature.node.kubernetes.io/pci-10de.present": ""})})
    assert stands(reading) == {TWO: ("labels", "feature discovery found no GPU, though its pod is ready")}


def test_the_label_may_name_the_class_of_the_device() -> None:
    labels = {
        "feature.node.kubernetes.io/pci-10de.present": "",
        "feature.node.kubernetes.io/pci-0302_10de.present": "true",
    }
    assert at(good(nodes={ONE: node(ONE), TWO: node(TWO, labels=labels)})) == {}


@pytest.mark.parametrize(("there", "told"), [(None, 0), (0, 0), (2, 2)])
def test_a_node_gives_out_exactly_the_gpus_of_the_inventory(there: int | None, told: int) -> None:
    """After a restart of K3s it is 0 for a while, though every pod runs."""
    reading = good(nodes={ONE: node(ONE), TWO: node(TWO, there)})
    why = f"Kubernetes can give out {told} of its 1 GPUs, though its pod is ready"
    assert stands(reading) == {TWO: ("plugin", why)}


def test_one_gpu_of_three_is_missing() -> None:
    reading = good(nodes={ONE: node(ONE), TWO: node(TWO, 2)})
    assert stands(reading, gpus={ONE: 1, TWO: 3})[TWO][1].startswith("Kubernetes can give out 2 of its 3 GPUs")


def test_gpus_that_an_old_plugin_gives_out_are_not_those_of_this_chart() -> None:
    objects = with_pods(TWO)
    for obj in objects:
        if obj["metadata"]["name"] == f"plugin-{TWO}":
            obj["spec"]["containers"][0]["image"] = "nvcr.io/nvidia/k8s-device-plugin:v0.17.0"
    rung = at(good(objects=objects))[TWO]
    assert (rung.name, rung.stand) == ("plugin", "stuck")
    assert rung.reason == "its pod is still of another release: nvcr.io/nvidia/k8s-device-plugin:v0.17.0"


def test_a_plugin_that_crashes_on_one_node_leaves_the_other_alone() -> None:
    objects = (
        *with_pods(TWO, plugin=waiting("CrashLoopBackOff", "back-off")),
        warning(f"plugin-{TWO}", "BackOff: restarting"),
    )
    reading = good(objects=objects, nodes={ONE: node(ONE), TWO: node(TWO, 0)})
    (name,) = at(reading)
    rung = at(reading)[name]
    assert (name, rung.name, rung.pod, rung.stand) == (TWO, "plugin", f"plugin-{TWO}", "stuck")
    assert rung.events == ("BackOff: restarting",)


def test_while_an_image_is_pulled_it_moves() -> None:
    reading = good(
        objects=with_pods(TWO, plugin=waiting("ContainerCreating")), nodes={ONE: node(ONE), TWO: node(TWO, 0)}
    )
    assert at(reading)[TWO].stand == "moving"


def test_where_all_wait_for_the_validator_it_is_the_one_that_tells_why() -> None:
    """The other pods run an init container until the validator's pod has found driver and toolkit."""
    waits = {"initContainerStatuses": [{"name": "toolkit-validation", "state": {"running": {}}}]}
    fails = waiting("CrashLoopBackOff", "back-off", init=True)
    reading = good(
        objects=with_pods(TWO, plugin=waits, gfd=waits, validator=fails), nodes={ONE: node(ONE), TWO: node(TWO, 0)}
    )
    rung = at(reading)[TWO]
    assert (rung.name, rung.pod, rung.container) == ("plugin", f"validator-{TWO}", "ctr")


def test_a_runtime_that_k3s_has_not_found_shows_in_the_pods_events() -> None:
    event = 'FailedCreatePodSandBox: no runtime for "nvidia" is configured'
    objects = (*with_pods(TWO, plugin={"phase": "Pending"}), warning(f"plugin-{TWO}", event))
    rung = at(good(objects=objects, nodes={ONE: node(ONE), TWO: node(TWO, 0)}))[TWO]
    assert rung.stand == "stuck"
    assert "K3s looks for it at its start only" in causes.usual(rung)


def test_gpus_that_are_given_out_and_not_described_are_not_done_unless_nobody_shall_describe_them() -> None:
    reading = good(nodes={ONE: node(ONE), TWO: node(TWO, labels={"nvidia.com/gpu.product": ""})})
    assert stands(reading) == {TWO: ("features", "its GPUs are not described yet, though its pod is ready")}
    assert at(reading, features=False) == {}


def test_gpus_on_which_cuda_does_not_run_are_not_done() -> None:
    reading = good(objects=with_pods(TWO, cuda={"phase": "Failed", "reason": "Error"}))
    assert stands(reading)[TWO] == ("validator", f"the CUDA workload has not succeeded; cuda-{TWO}: Error")
    crashing = good(objects=with_pods(TWO, validator=waiting("CrashLoopBackOff", init=True)))
    assert at(crashing)[TWO].name == "validator"


def test_a_pod_that_is_about_to_go_does_not_count() -> None:
    objects = with_pods(TWO)
    for obj in objects:
        if obj["metadata"]["name"] == f"validator-{TWO}":
            obj["metadata"]["deletionTimestamp"] = "2026-01-02T00:01:00Z"
    assert stands(good(objects=objects)) == {TWO: ("validator", f"validator-{TWO}: starting")}


def test_the_clusters_rungs_come_before_any_node_and_the_policy_after_all() -> None:
    reading = good(policies=(), nodes={ONE: node(ONE, 0), TWO: node(TWO)})
    assert list(at(reading)) == [ONE]
    assert list(at(replace(reading, job=None))) == [""]


# -- told


def lines(reading: OperatorState) -> list[str]:
    hosts = [Host(name=name, address="192.0.2.1", roles=frozenset({"gpu"}), gpus=1) for name in (*NODES, "phi-gpu-3")]
    runtimes = {ONE: GOOD_HOST.runtime, TWO: replace(GOOD_HOST.runtime, loaded=False, driver=None)}
    shown = table.lines(judge(reading, WANTED), "phi", "v25.10.1", hosts, runtimes)
    return [f"{name:<9} {line}" for name, line in shown]


def test_the_ladder_is_a_table_that_is_read_at_a_glance() -> None:
    reading = good(objects=with_pods(TWO, gfd=waiting("ContainerCreating")), nodes={ONE: node(ONE), TWO: node(TWO, 0)})
    assert lines(reading) == [
        "phi       GPU operator v25.10.1; chart: release 1; operator: available; policy: ready",
        "phi       driver     toolkit     node   label  GPUs    described  validated",
        "phi-gpu-1 580.95.05  loaded      Ready  yes    1 of 1  yes        yes",
        "phi-gpu-2 none       not loaded  Ready  yes    no      coming     yes",
        "phi-gpu-3 -          -           -      -      -       -          -",
    ]


@pytest.mark.parametrize(
    ("rung", "cause"),
    [
        (Rung("plugin", "stuck", "x: ImagePullBackOff: not found"), "an image is missing: in an air gap, from Harbor"),
        (Rung("chart", "stuck", "Helm runs; helm-x: it finds no place: 3 nodes had untolerated taint"), "has a taint"),
        (Rung("policy", "stuck", "states not ready: [state-dcgm-exporter]"), "gpu_operator.values can switch it off"),
        (Rung("validator", "stuck", ""), "driver and container toolkit of the host do not fit"),
    ],
)
def test_a_stall_names_the_usual_cause(rung: Rung, cause: str) -> None:
    assert cause in causes.usual(rung)


def test_readiness_is_what_a_pod_says_not_that_its_container_runs() -> None:
    status: Mapping[str, Any] = {**READY, "conditions": [{"type": "Ready", "status": "False"}]}
    assert at(good(objects=with_pods(TWO, validator=status)))[TWO].name == "validator"
    assert PLUGIN in WANTED.images
