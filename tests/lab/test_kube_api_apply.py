"""Server-side apply: who owns which field, what a conflict says, what is removed when it is no longer wanted."""

import json
from collections.abc import Iterator
from itertools import count

import pytest

from lab.standins.kube.client import Failure
from tests.lab.kube_api import SERVERS, Cluster, Json, namespace, running, settings, workload

NAMES = (f"thing-{number}" for number in count())


@pytest.fixture(scope="module", params=SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("kube"), request.param) as cluster:
        cluster.apply(namespace("team"))
        yield cluster


@pytest.fixture
def name() -> str:
    return next(NAMES)


def owned(obj: Json, manager: str, operation: str = "Apply", subresource: str = "") -> Json | None:
    """What a manager owns of an object, as FieldsV1."""
    for entry in obj["metadata"].get("managedFields", []):
        if (entry["manager"], entry["operation"], entry.get("subresource", "")) == (manager, operation, subresource):
            fields: Json = entry["fieldsV1"]
            return fields
    return None


def test_an_applier_owns_what_it_sets_and_no_defaults(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    wanted["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    cluster.apply(wanted)
    found = cluster.read("ds", name, "-n", "team")
    assert found["spec"]["updateStrategy"]["type"] == "RollingUpdate"
    port: Json = {".": {}, "f:containerPort": {}}
    container = {".": {}, "f:image": {}, "f:name": {}, "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': port}}
    template = {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:containers": {'k:{"name":"main"}': container}}}
    assert owned(found, "scout-ollama") == {"f:spec": {"f:selector": {}, "f:template": template}}


def test_a_creator_owns_the_defaults_too(cluster: Cluster, name: str) -> None:
    cluster.run("create", "-f", "-", given=workload("DaemonSet", name, "team"))
    fields = owned(cluster.read("ds", name, "-n", "team"), "kubectl-create", "Update")
    assert fields is not None
    spec = fields["f:spec"]
    assert spec["f:revisionHistoryLimit"] == {}
    assert spec["f:template"]["f:metadata"]["f:labels"] == {".": {}, "f:app": {}}
    container = spec["f:template"]["f:spec"]["f:containers"]['k:{"name":"main"}']
    assert container["f:imagePullPolicy"] == {}
    assert container["."] == {}


def test_the_same_again_changes_nothing(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    cluster.apply(wanted)
    before = cluster.read("ds", name, "-n", "team")
    cluster.apply(wanted)
    assert cluster.read("ds", name, "-n", "team") == before


def test_quantities_read_back_canonical_and_stay_unchanged(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    limits = {"cpu": "1500m", "memory": "65536Mi", "nvidia.com/gpu": 1}
    wanted["spec"]["template"]["spec"]["containers"][0]["resources"] = {"limits": limits}
    cluster.apply(wanted)
    before = cluster.read("ds", name, "-n", "team")
    stored = before["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert stored == {"cpu": "1500m", "memory": "64Gi", "nvidia.com/gpu": "1"}
    cluster.apply(wanted)
    assert cluster.read("ds", name, "-n", "team") == before


def test_a_conflict_names_the_owner_and_the_field(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    cluster.apply(wanted)
    cluster.run("set", "image", f"ds/{name}", "-n", "team", "main=docker.io/library/busybox:2")
    refused = cluster.refused("apply", "--server-side", "--field-manager", "scout-ollama", "-f", "-", given=wanted)
    image = '.spec.template.spec.containers[name="main"].image'
    text = f'Apply failed with 1 conflict: conflict with "kubectl-set" using apps/v1: {image}'
    assert text in refused
    with pytest.raises(Failure) as caught:
        cluster.client("scout-ollama").apply("apps/v1/daemonsets", wanted)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (409, "Conflict", text)


def test_force_takes_the_field_over(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    cluster.apply(wanted)
    cluster.run("set", "image", f"ds/{name}", "-n", "team", "main=docker.io/library/busybox:2")
    cluster.apply(wanted, force=True)
    found = cluster.read("ds", name, "-n", "team")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "docker.io/library/busybox:1"
    assert "f:image" not in json.dumps(owned(found, "kubectl-set", "Update"))
    assert "f:image" in json.dumps(owned(found, "scout-ollama"))


def test_several_conflicts_are_listed_by_owner(cluster: Cluster, name: str) -> None:
    cluster.apply(settings(name, "team", a="1", b="1", c="1"), manager="one")
    cluster.apply(settings(name, "team", d="1"), manager="two")
    with pytest.raises(Failure) as caught:
        cluster.client("three").apply("v1/configmaps", settings(name, "team", a="9", c="9", d="9"))
    lines = caught.value.message.splitlines()
    assert lines == [
        'Apply failed with 3 conflicts: conflicts with "one":',
        "- .data.a",
        "- .data.c",
        'conflicts with "two":',
        "- .data.d",
    ]


def test_equal_values_are_shared_and_outlive_one_owner(cluster: Cluster, name: str) -> None:
    cluster.apply(settings(name, "team", a="1", b="1"), manager="one")
    cluster.apply(settings(name, "team", a="1"), manager="two")
    cluster.apply(settings(name, "team", b="1"), manager="one")
    found = cluster.read("cm", name, "-n", "team")
    assert found["data"] == {"a": "1", "b": "1"}
    assert owned(found, "one") == {"f:data": {"f:b": {}}}
    assert owned(found, "two") == {"f:data": {"f:a": {}}}
    cluster.apply({**settings(name, "team"), "data": {}}, manager="two")
    assert cluster.read("cm", name, "-n", "team")["data"] == {"b": "1"}


def test_what_is_no_longer_wanted_is_removed(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    container = wanted["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]
    container["readinessProbe"] = {"httpGet": {"path": "/", "port": 80}}
    wanted["spec"]["template"]["spec"]["nodeSelector"] = {"gpu": "yes"}
    wanted["metadata"]["labels"] = {"a": "1", "b": "2"}
    cluster.apply(wanted)
    container["env"] = [{"name": "B", "value": "1"}]
    del container["readinessProbe"], wanted["spec"]["template"]["spec"]["nodeSelector"], wanted["metadata"]["labels"]
    cluster.apply(wanted)
    found = cluster.read("ds", name, "-n", "team")
    spec = found["spec"]["template"]["spec"]
    assert spec["containers"][0]["env"] == [{"name": "B", "value": "1"}]
    assert "readinessProbe" not in spec["containers"][0]
    assert "nodeSelector" not in spec
    assert "labels" not in found["metadata"]
    assert found["metadata"]["generation"] == 2


def test_what_others_added_stays(cluster: Cluster, name: str) -> None:
    cluster.apply(workload("DaemonSet", name, "team"))
    cluster.run("set", "env", f"ds/{name}", "-n", "team", "ADDED=1")
    cluster.run("label", "ds", name, "-n", "team", "added=yes")
    cluster.apply(workload("DaemonSet", name, "team"))
    found = cluster.read("ds", name, "-n", "team")
    assert found["spec"]["template"]["spec"]["containers"][0]["env"] == [{"name": "ADDED", "value": "1"}]
    assert found["metadata"]["labels"] == {"added": "yes"}


def test_lists_without_keys_have_one_owner(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    spec = wanted["spec"]["template"]["spec"]
    spec["containers"][0]["args"] = ["a", "b"]
    spec["tolerations"] = [{"key": "gpu", "operator": "Exists"}]
    cluster.apply(wanted)
    spec["containers"][0]["args"] = ["c"]
    with pytest.raises(Failure, match=r'conflict with "scout-ollama": .*containers\[name="main"\]\.args'):
        cluster.client("other").apply("apps/v1/daemonsets", wanted)
    cluster.apply(wanted)
    found = cluster.read("ds", name, "-n", "team")
    assert found["spec"]["template"]["spec"]["containers"][0]["args"] == ["c"]


def test_items_keep_the_order_of_the_patch(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    container = wanted["spec"]["template"]["spec"]["containers"][0]

    def order() -> list[str]:
        env = cluster.read("ds", name, "-n", "team")["spec"]["template"]["spec"]["containers"][0]["env"]
        return [variable["name"] for variable in env]

    container["env"] = [{"name": letter, "value": "1"} for letter in "ABC"]
    cluster.apply(wanted)
    cluster.run("set", "env", f"ds/{name}", "-n", "team", "X=1")
    container["env"] = [{"name": letter, "value": "1"} for letter in "CDA"]
    cluster.apply(wanted)
    # What is not the patch's own keeps its place among the rest with Kubernetes; here it comes last.
    assert order() == (["C", "X", "D", "A"] if cluster.is_kubernetes else ["C", "D", "A", "X"])


def test_status_is_not_applied_with_the_object(cluster: Cluster, name: str) -> None:
    cluster.apply({**workload("DaemonSet", name, "team"), "status": {"numberReady": 7}})
    found = cluster.read("ds", name, "-n", "team")
    assert found["status"]["numberReady"] == 0
    patch = {"status": {"numberReady": 1, "observedGeneration": 1}}
    cluster.client("controller").merge_status("apps/v1/daemonsets", name, patch, namespace="team")
    found = cluster.read("ds", name, "-n", "team")
    assert found["metadata"]["generation"] == 1
    fields = owned(found, "controller", "Update", "status")
    # Kubernetes' own controllers write it too, over what the test has written.
    assert cluster.is_kubernetes or fields == {"f:status": {"f:numberReady": {}, "f:observedGeneration": {}}}


def test_dry_run_reports_conflicts_and_changes_nothing(cluster: Cluster, name: str) -> None:
    cluster.apply(settings(name, "team", a="1"), manager="one")
    before = cluster.read("cm", name, "-n", "team")
    options = ["apply", "--server-side", "--dry-run=server", "--field-manager", "two", "-f", "-"]
    wanted = settings(name, "team", a="2")
    assert 'conflict with "one": .data.a' in cluster.refused(*options, given=wanted)
    shown = json.loads(cluster.run(*options, "--force-conflicts", "-o", "json", given=wanted))
    assert shown["data"] == {"a": "2"}
    assert cluster.read("cm", name, "-n", "team") == before


def test_custom_kinds_have_owners_too(cluster: Cluster, name: str) -> None:
    middleware = {
        "apiVersion": "traefik.io/v1alpha1",
        "kind": "Middleware",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}},
    }
    cluster.apply(middleware)
    patch = json.dumps({"spec": {"ipAllowList": {"sourceRange": ["0.0.0.0/0"]}}})
    cluster.run("patch", "middleware", name, "-n", "team", "--type=merge", "-p", patch)
    text = 'conflict with "kubectl-patch" using traefik.io/v1alpha1: .spec.ipAllowList.sourceRange'
    refused = cluster.refused("apply", "--server-side", "--field-manager", "scout-ollama", "-f", "-", given=middleware)
    assert text in refused


def test_unknown_fields_and_wrong_types_are_refused_whatever_validation_says(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    wanted["spec"]["minReadySeconds"] = "soon"
    wanted["spec"]["template"]["spec"]["containers"][0]["imagee"] = "typo"
    for validation in ("strict", "warn", "ignore"):
        options = ["apply", "--server-side", f"--validate={validation}", "-f", "-"]
        refused = cluster.refused(*options, given=wanted)
        assert f"failed to create typed patch object (team/{name}; apps/v1, Kind=DaemonSet): errors:" in refused
        assert '.spec.template.spec.containers[name="main"].imagee: field not declared in schema' in refused
        assert ".spec.minReadySeconds: expected numeric (int or float), got string" in refused


def test_items_of_lists_without_keys_are_named_by_number(cluster: Cluster, name: str) -> None:
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "team"},
    }
    refused = cluster.refused(
        "apply", "--server-side", "-f", "-", given={**policy, "spec": {"ingress": [{"_from": []}]}}
    )
    assert "Kind=NetworkPolicy): .spec.ingress[0]._from: field not declared in schema" in refused


def test_items_without_their_key_and_twins_are_refused(cluster: Cluster, name: str) -> None:
    wanted = workload("DaemonSet", name, "team")
    container = wanted["spec"]["template"]["spec"]["containers"][0]
    container["env"] = [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]
    refused = cluster.refused("apply", "--server-side", "-f", "-", given=wanted)
    assert '.spec.template.spec.containers[name="main"].env: duplicate entries for key [name="A"]' in refused
    container["env"] = [{"value": "1"}]
    refused = cluster.refused("apply", "--server-side", "-f", "-", given=wanted)
    omitted = 'element 0: associative list with keys has an element that omits key field "name"'
    # A key of a built-in kind is "" with Kubernetes where it is left out.
    assert ("containers[0].env[0].name: Required value" if cluster.is_kubernetes else omitted) in refused


def test_apply_needs_a_manager(cluster: Cluster, name: str) -> None:
    with pytest.raises(Failure, match="fieldManager: Required value: is required for apply patch"):
        cluster.client("").apply("v1/configmaps", settings(name, "team"))


def test_client_side_apply_is_taken_over(cluster: Cluster, name: str) -> None:
    cluster.run("apply", "-f", "-", given=settings(name, "team", a="1", b="1"))
    cluster.run("apply", "--server-side", "-f", "-", given=settings(name, "team", a="2"))
    found = cluster.read("cm", name, "-n", "team")
    assert found["data"] == {"a": "2"}
    assert owned(found, "kubectl-client-side-apply", "Update") is None


def test_an_old_version_in_the_patch_is_a_conflict(cluster: Cluster, name: str) -> None:
    cluster.apply(settings(name, "team", a="1"))
    wanted = settings(name, "team", a="2")
    wanted["metadata"]["resourceVersion"] = "1"
    with pytest.raises(Failure, match="the object has been modified"):
        cluster.client("scout-ollama").apply("v1/configmaps", wanted)
