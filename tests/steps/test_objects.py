"""From wanted objects and what the cluster says, to what is created, changed and left over."""

from __future__ import annotations

from typing import Any

import pytest

from scout_ollama.changes import ApplyObjects, DeleteObjects, Plan
from scout_ollama.errors import Trouble
from scout_ollama.facts import ClusterFacts
from scout_ollama.manifests import KubeObject, key_of
from scout_ollama.refusal import refusal
from scout_ollama.steps import objects

HOSTS = ["gpu-1", "gpu-2"]


def obj(kind: str, name: str = "ollama", *, namespace: str = "ollama", **spec: Any) -> KubeObject:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def facts(
    live: list[KubeObject], would_be: list[KubeObject] | None, owned: list[KubeObject] | None = None, refusal: str = ""
) -> ClusterFacts:
    return ClusterFacts(
        nodes=(),
        live={key_of(o): o for o in live},
        would_be=None if would_be is None else {key_of(o): o for o in would_be},
        owned={key_of(o): o for o in (live if owned is None else owned)},
        refusal=refusal,
    )


def test_on_an_empty_cluster_everything_is_created_in_one_go_and_waits_for_nobody() -> None:
    wanted = [obj("Namespace", namespace=""), obj("DaemonSet"), obj("Service")]
    plan = Plan(tuple(objects.plan(wanted, facts([], None, refusal='namespaces "ollama" not found'), HOSTS)))
    (change,) = plan
    assert isinstance(change, ApplyObjects)
    assert list(change.objects) == wanted
    assert not plan.stages[0].waits_for


def test_a_cluster_that_is_there_already_plans_nothing() -> None:
    wanted = [obj("DaemonSet", image="a"), obj("Service")]
    assert not Plan(tuple(objects.plan(wanted, facts(wanted, wanted), HOSTS)))


def test_only_what_the_server_says_would_change_is_applied() -> None:
    live = [obj("DaemonSet", image="a"), obj("Service", port=1)]
    wanted = [obj("DaemonSet", image="a"), obj("Service", port=2)]
    (change,) = Plan(tuple(objects.plan(wanted, facts(live, wanted), HOSTS)))
    assert isinstance(change, ApplyObjects)
    assert change.title == "change Service ollama/ollama"
    assert change.difference() == ["Service ollama/ollama", "  ~ spec.port: 1 → 2"]


def test_what_replaces_running_pods_waits_for_all_their_hosts() -> None:
    live, wanted = [obj("DaemonSet", image="a")], [obj("DaemonSet", image="b")]
    stages = objects.plan(wanted, facts(live, wanted), HOSTS)
    (stage,) = [stage for stage in stages if stage.changes]
    assert stage.waits_for == ("gpu-1", "gpu-2")


def test_what_an_earlier_run_applied_and_nobody_wants_any_more_is_removed() -> None:
    old, kept = obj("Ingress", "old"), obj("Service")
    (change,) = Plan(tuple(objects.plan([kept], facts([kept], [kept], owned=[kept, old]), HOSTS)))
    assert isinstance(change, DeleteObjects)
    assert change.difference() == ["- Ingress ollama/old"]


def test_a_namespace_and_what_controllers_made_are_no_leftovers() -> None:
    made = obj("Service", "made")
    made["metadata"]["ownerReferences"] = [{"uid": "1"}]
    assert objects.leftovers([], [obj("Namespace", namespace=""), made]) == []


def test_a_conflict_says_which_field_and_who_owns_it() -> None:
    text = (
        'error: Apply failed with 1 conflict: conflict with "kubectl-set" using apps/v1:'
        ' .spec.template.spec.containers[name="ollama"].image\nPlease review the fields above--they currently have'
    )
    trouble = refusal(text)
    assert '.spec.template.spec.containers[name="ollama"].image is owned by kubectl-set' in trouble.why


def test_several_conflicts_are_all_named() -> None:
    text = (
        'error: Apply failed with 3 conflicts: conflicts with "helm" using apps/v1:\n- .spec.replicas\n'
        '- .metadata.labels.app\nconflicts with "kubectl-edit" using apps/v1:\n- .spec.paused\nPlease review'
    )
    assert refusal(text).why.splitlines() == [
        ".spec.replicas is owned by helm",
        ".metadata.labels.app is owned by helm",
        ".spec.paused is owned by kubectl-edit",
    ]


def test_a_refusal_while_objects_exist_stops_the_plan_with_the_servers_words() -> None:
    live = [obj("Service")]
    with pytest.raises(Trouble, match="refuses the manifests") as caught:
        objects.plan(live, facts(live, None, refusal="error: no matches for kind Middleware"), HOSTS)
    assert "no matches for kind Middleware" in caught.value.why
