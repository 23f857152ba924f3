"""The client that controllers and kubelets use on the stand-in API server."""

import threading
from pathlib import Path

import pytest

from lab.standins.kube.client import Client, Failure, Mirror
from lab.standins.kube.errors import Json, bad_request
from lab.standins.kube.server import Server, kubeconfig, serve
from tests.lab.kube_api import namespace, node, pod_spec, settings, workload

SETTINGS = "v1/configmaps"


@pytest.fixture
def server(tmp_path: Path) -> Server:  # type: ignore[misc]  # a generator fixture
    with serve(tmp_path / "kube", {"token": "admin"}, listen=("127.0.0.1", 0)) as server:
        server.client("tests").create("v1/namespaces", namespace("team"))
        yield server


def pod(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "team"}, "spec": pod_spec()}


def test_each_verb(server: Server) -> None:
    client = server.client("tests")
    made = client.create(SETTINGS, settings("a", "team", x="1"))
    assert client.get(SETTINGS, "a", namespace="team") == made
    assert client.find(SETTINGS, "b", namespace="team") is None
    assert [obj["metadata"]["name"] for obj in client.list(SETTINGS, namespace="team").items] == ["a"]
    assert client.list(SETTINGS, labels="x=y").items == []
    changed = client.update(SETTINGS, {**made, "data": {"x": "2"}})
    with pytest.raises(Failure) as caught:
        client.update(SETTINGS, {**made, "data": {"x": "3"}})
    assert (caught.value.code, caught.value.reason) == (409, "Conflict")
    assert client.merge(SETTINGS, "a", {"data": {"y": "1"}}, namespace="team")["data"] == {"x": "2", "y": "1"}
    assert client.apply(SETTINGS, settings("a", "team", z="1"))["data"] == {"x": "2", "y": "1", "z": "1"}
    operations = [{"op": "remove", "path": "/data/x"}]
    assert client.json_patch(SETTINGS, "a", operations, namespace="team")["data"] == {"y": "1", "z": "1"}
    assert client.delete(SETTINGS, "a", namespace="team")["status"] == "Success"
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]


def test_status_has_its_own_path(server: Server) -> None:
    client = server.client("kubelet")
    client.create("v1/nodes", node("n"))
    client.create("v1/pods", pod("p"))
    client.merge("v1/pods", "p", {"status": {"phase": "Running"}}, namespace="team")
    assert client.get("v1/pods", "p", namespace="team")["status"]["phase"] == "Pending"
    found = client.merge_status("v1/pods", "p", {"status": {"phase": "Running"}}, namespace="team")
    found["spec"]["hostNetwork"] = True
    found["status"]["podIP"] = "10.42.0.2"
    updated = client.update_status("v1/pods", found)
    assert updated["status"]["podIP"] == "10.42.0.2"
    assert "hostNetwork" not in updated["spec"]


def test_nobody_there(server: Server) -> None:
    client = server.client("tests")
    server.close()
    with pytest.raises(Failure) as caught:
        client.get(SETTINGS, "a", namespace="team")
    assert caught.value.code == 0


def test_a_mirror_follows_through_a_restart(tmp_path: Path) -> None:
    server = serve(tmp_path / "kube", {"token": "admin"}, listen=("127.0.0.1", 0))
    client = server.client("tests")
    client.create("v1/namespaces", namespace("team"))
    for name in ("a", "b"):
        client.create(SETTINGS, settings(name, "team"))
    changed = threading.Condition()

    def notify() -> None:
        with changed:
            changed.notify_all()

    mirror = Mirror(server.client("mirror"), SETTINGS, notify, namespace="team")
    mirror.start()

    def becomes(*names: str) -> bool:
        with changed:
            return changed.wait_for(lambda: [o["metadata"]["name"] for o in mirror.items()] == list(names), 15)

    assert mirror.synced.wait(10)
    assert becomes("a", "b")
    client.create(SETTINGS, settings("c", "team"))
    assert becomes("a", "b", "c")
    address = server.address
    server.close()
    again = serve(tmp_path / "kube", {"token": "admin"}, listen=address)
    client = again.client("tests")
    client.delete(SETTINGS, "b", namespace="team")
    client.merge(SETTINGS, "c", {"data": {"x": "1"}}, namespace="team")
    assert becomes("a", "c")
    found = mirror.get("c", "team")
    assert found is not None
    mirror.close()
    again.close()


def test_the_owner_of_the_server_can_answer_for_logs(tmp_path: Path) -> None:
    def logs(pod: Json, container: str, options: dict[str, str]):  # type: ignore[no-untyped-def]  # an iterator of bytes
        if options.get("previous") == "true":
            raise bad_request(
                f'previous terminated container "{container}" in pod "{pod["metadata"]["name"]}" not found'
            )
        return iter([b"one\n", b"two\n"])

    with serve(tmp_path / "kube", {"token": "admin"}, listen=("127.0.0.1", 0), logs=logs) as server:
        client = server.client("tests")
        client.create("v1/namespaces", namespace("team"))
        client.create("v1/pods", pod("p"))
        assert client.log("p", namespace="team") == "one\ntwo\n"
        with pytest.raises(Failure, match='previous terminated container "main" in pod "p" not found'):
            client.log("p", namespace="team", previous="true")


def test_a_controller_in_a_few_lines(server: Server) -> None:
    """What the node's stand-in does: follow what is wanted, make it so, report."""
    client = server.client("daemonset-controller")

    def reconcile() -> None:
        for wanted in wants.items():
            name = wanted["metadata"]["name"]
            template = wanted["spec"]["template"]
            made = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {**template["metadata"], "name": name, "namespace": "team"},
            }
            if client.find("v1/pods", name, namespace="team") is None:
                client.create("v1/pods", {**made, "spec": template["spec"]})
                done.set()

    done = threading.Event()
    wants = Mirror(client, "apps/v1/daemonsets", reconcile)
    wants.start()
    client.create("apps/v1/daemonsets", workload("DaemonSet", "x", "team"))
    assert done.wait(10)
    assert client.list("v1/pods", labels="app=x").items
    wants.close()


def test_a_kubeconfig_names_everything(server: Server) -> None:
    text = kubeconfig(server.url, server.files.ca, "token", "lab")
    assert '"current-context": "lab"' in text
    assert server.url in text


def test_a_client_that_trusts_another_authority_is_not_served(server: Server, tmp_path: Path) -> None:
    with serve(tmp_path / "other", {"token": "admin"}, listen=("127.0.0.1", 0)) as other:
        stranger = Client(server.url, "token", other.files.ca, "tests")
        with pytest.raises(Failure, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.list(SETTINGS)
