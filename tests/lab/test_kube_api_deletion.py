"""Deleting on the stand-in API server: owners, finalizers, grace, namespaces."""

from collections.abc import Callable, Iterator
from time import monotonic, sleep
from typing import Any

import pytest

from lab.standins.kube.client import Client, Failure
from tests.lab.kube_api import SERVERS, Cluster, Json, namespace, pod_spec, running, settings, workload

SETTINGS, PODS = "v1/configmaps", "v1/pods"


@pytest.fixture(scope="module", params=SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("kube"), request.param) as cluster:
        cluster.apply(namespace("team"))
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    return cluster.client()


def eventually(holds: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for a condition."""
    end = monotonic() + seconds
    while not holds():
        assert monotonic() < end, "it did not come about"
        sleep(0.02)


def gone(client: Client, collection: str, name: str, space: str = "team") -> bool:
    return client.find(collection, name, namespace=space) is None


def owned_by(owner: Json, name: str) -> Json:
    """A ConfigMap that belongs to another object."""
    reference = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "blockOwnerDeletion": True}
    reference |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"], "controller": True}
    obj = settings(name, "team")
    obj["metadata"]["ownerReferences"] = [reference]
    return obj


def pod(name: str, **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team"},
        "spec": pod_spec(**spec),
    }


def test_what_belongs_to_a_deleted_object_goes_too(client: Client) -> None:
    owner = client.create("apps/v1/daemonsets", workload("DaemonSet", "parent", "team"))
    child = client.create(SETTINGS, owned_by(owner, "child"))
    client.create(SETTINGS, owned_by(child, "grandchild"))
    client.delete("apps/v1/daemonsets", "parent", namespace="team")
    eventually(lambda: gone(client, SETTINGS, "child") and gone(client, SETTINGS, "grandchild"))


def test_foreground_deletion_waits_for_the_dependents(client: Client) -> None:
    owner = client.create("apps/v1/daemonsets", workload("DaemonSet", "patient", "team"))
    held = owned_by(owner, "held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    client.create(SETTINGS, held)
    client.delete("apps/v1/daemonsets", "patient", namespace="team", propagation="Foreground")
    eventually(lambda: "deletionTimestamp" in client.get(SETTINGS, "held", namespace="team")["metadata"])
    waiting = client.get("apps/v1/daemonsets", "patient", namespace="team")["metadata"]
    assert waiting["finalizers"] == ["foregroundDeletion"]
    client.merge(SETTINGS, "held", {"metadata": {"finalizers": None}}, namespace="team")
    eventually(lambda: gone(client, "apps/v1/daemonsets", "patient"))


def test_orphans_stay(client: Client) -> None:
    owner = client.create("apps/v1/daemonsets", workload("DaemonSet", "leaver", "team"))
    client.create(SETTINGS, owned_by(owner, "orphan"))
    client.delete("apps/v1/daemonsets", "leaver", namespace="team", propagation="Orphan")
    eventually(lambda: gone(client, "apps/v1/daemonsets", "leaver"))
    assert "ownerReferences" not in client.get(SETTINGS, "orphan", namespace="team")["metadata"]


def test_a_dependent_of_nothing_is_collected(client: Client) -> None:
    owner = client.create(SETTINGS, settings("brief", "team"))
    client.delete(SETTINGS, "brief", namespace="team")
    client.create(SETTINGS, owned_by(owner, "late"))
    eventually(lambda: gone(client, SETTINGS, "late"))


def test_finalizers_hold_an_object(client: Client) -> None:
    obj = settings("held-up", "team")
    obj["metadata"]["finalizers"] = ["example.com/hold"]
    client.create(SETTINGS, obj)
    client.delete(SETTINGS, "held-up", namespace="team")
    assert "deletionTimestamp" in client.get(SETTINGS, "held-up", namespace="team")["metadata"]
    with pytest.raises(Failure, match="no new finalizers can be added if the object is being deleted"):
        client.merge(SETTINGS, "held-up", {"metadata": {"finalizers": ["example.com/hold", "b.c/d"]}}, namespace="team")
    client.merge(SETTINGS, "held-up", {"metadata": {"finalizers": None}}, namespace="team")
    assert gone(client, SETTINGS, "held-up")


def test_a_running_pod_gets_its_grace(client: Client) -> None:
    client.create(PODS, pod("graceful", nodeName="n", terminationGracePeriodSeconds=7))
    dying = client.delete(PODS, "graceful", namespace="team")["metadata"]
    assert dying["deletionGracePeriodSeconds"] == 7
    assert not gone(client, PODS, "graceful")
    client.delete(PODS, "graceful", namespace="team", grace=0)
    assert gone(client, PODS, "graceful")


def test_a_pod_that_runs_nowhere_goes_at_once(client: Client) -> None:
    client.create(PODS, pod("nowhere"))
    client.delete(PODS, "nowhere", namespace="team")
    assert gone(client, PODS, "nowhere")


def test_a_deletion_can_insist_on_the_object_it_means(client: Client) -> None:
    client.create(SETTINGS, settings("meant", "team"))
    with pytest.raises(Failure, match=r"the UID in the precondition \(another\) does not match the UID in record"):
        client.delete(SETTINGS, "meant", namespace="team", uid="another")


def test_a_namespace_takes_its_content_along(cluster: Cluster, client: Client) -> None:
    cluster.apply(namespace("doomed"), settings("inside", "doomed"), workload("DaemonSet", "inside", "doomed"))
    middleware = {"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "spec": {}}
    client.create("traefik.io/v1alpha1/middlewares", {**middleware, "metadata": {"name": "m", "namespace": "doomed"}})
    held = settings("held", "doomed")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    client.create(SETTINGS, held)
    cluster.run("delete", "namespace", "doomed", "--wait=false")
    eventually(lambda: gone(client, SETTINGS, "inside", "doomed"))
    assert cluster.read("namespace", "doomed")["status"]["phase"] == "Terminating"
    text = "unable to create new content in namespace doomed because it is being terminated"
    with pytest.raises(Failure, match=text) as caught:
        client.create(SETTINGS, settings("new", "doomed"))
    assert caught.value.code == 403
    client.merge(SETTINGS, "held", {"metadata": {"finalizers": None}}, namespace="doomed")
    eventually(lambda: gone(client, "v1/namespaces", "doomed", ""))
    assert client.list("traefik.io/v1alpha1/middlewares").items == []


@pytest.mark.parametrize("name", ["default", "kube-system"])
def test_some_namespaces_stay(cluster: Cluster, name: str) -> None:
    text = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
    assert text in cluster.refused("delete", "namespace", name)


def test_deleting_all_that_a_selector_matches(cluster: Cluster) -> None:
    for name in ("one", "two", "three"):
        obj = settings(name, "team")
        obj["metadata"]["labels"] = {"sweep": "yes" if name != "three" else "no"}
        cluster.apply(obj)
    cluster.run("delete", "cm", "-n", "team", "-l", "sweep=yes")
    names = {obj["metadata"]["name"] for obj in cluster.read("cm", "-n", "team")["items"]}
    assert names & {"one", "two", "three"} == {"three"}
