"""The client that controllers and kubelets use on the stand-in API server."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.standins.kube.client import Client, Failure
from lab.standins.kube.errors import Json, bad_request
from lab.standins.kube.server import Server, kubeconfig, serve
from tests.lab.kube_api import namespace, node, pod_spec, settings

SETTINGS = "v1/configmaps"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
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


def test_a_watch_outlives_its_server(tmp_path: Path) -> None:
    server = serve(tmp_path / "kube", {"token": "admin"}, listen=("127.0.0.1", 0))
    client, stop, seen = server.client("tests"), threading.Event(), queue.SimpleQueue[tuple[str, str]]()
    client.create("v1/namespaces", namespace("team"))
    for name in ("a", "b"):
        client.create(SETTINGS, settings(name, "team"))

    def follow() -> None:
        for event in client.watch(SETTINGS, namespace="team", stop=stop):
            seen.put((event.type, event.object.get("metadata", {}).get("name", "")))

    thread = threading.Thread(target=follow)
    thread.start()
    assert [seen.get(timeout=10) for _ in range(3)] == [("ADDED", "a"), ("ADDED", "b"), ("SYNCED", "")]
    address = server.address
    server.close()
    with serve(tmp_path / "kube", {"token": "admin"}, listen=address) as again:
        again.client("tests").delete(SETTINGS, "b", namespace="team")
        assert seen.get(timeout=15) == ("DELETED", "b")
        stop.set()
        again.client("tests").create(SETTINGS, settings("c", "team"))
        thread.join(10)
    assert not thread.is_alive()


def test_a_watch_that_missed_too_much_begins_again(tmp_path: Path) -> None:
    server = serve(tmp_path / "kube", {"token": "admin"}, listen=("127.0.0.1", 0))
    client, stop, seen = server.client("tests"), threading.Event(), queue.SimpleQueue[tuple[str, str]]()
    client.create("v1/namespaces", namespace("team"))
    client.create(SETTINGS, settings("a", "team"))

    def follow() -> None:
        for event in client.watch(SETTINGS, namespace="team", stop=stop):
            seen.put((event.type, event.object.get("metadata", {}).get("name", "")))

    thread = threading.Thread(target=follow)
    thread.start()
    assert [seen.get(timeout=10) for _ in range(2)] == [("ADDED", "a"), ("SYNCED", "")]
    address = server.address
    server.close()
    between = serve(tmp_path / "kube", {"token": "admin"}, listen=("127.0.0.1", 0))
    between.client("tests").create(SETTINGS, settings("b", "team"))
    between.close()
    with serve(tmp_path / "kube", {"token": "admin"}, listen=address) as again:
        assert [seen.get(timeout=15) for _ in range(3)] == [("ADDED", "a"), ("ADDED", "b"), ("SYNCED", "")]
        stop.set()
        again.client("tests").delete(SETTINGS, "a", namespace="team")
        thread.join(10)
    assert not thread.is_alive()


class CutOnce(Client):
    """Its first connection breaks after the first object."""

    was_cut = False

    def _stream(self, path: str, query: dict[str, str], stop: threading.Event) -> Iterator[tuple[str, Json]]:
        for event in super()._stream(path, query, stop):
            yield event
            if not self.was_cut:
                self.was_cut = True
                raise Failure(0, "cut")


def test_a_watch_that_broke_before_everything_was_told_begins_again(server: Server) -> None:
    server.client("tests").create(SETTINGS, settings("a", "team"))
    server.client("tests").create(SETTINGS, settings("b", "team"))
    stop, seen = threading.Event(), []
    for event in CutOnce(server.url, "token", server.files.ca, "tests").watch(SETTINGS, namespace="team", stop=stop):
        seen.append(event.object.get("metadata", {}).get("name", event.type))
        if event.type == "SYNCED":
            break
    assert seen == ["a", "a", "b", "SYNCED"]


def test_the_owner_of_the_server_can_answer_for_logs(tmp_path: Path) -> None:
    def logs(pod: Json, container: str, options: dict[str, str]) -> Iterator[bytes]:
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


def test_a_kubeconfig_names_everything(server: Server) -> None:
    text = kubeconfig(server.url, server.files.ca, "token", "lab")
    assert '"current-context": "lab"' in text
    assert server.url in text


def test_a_client_that_trusts_another_authority_is_not_served(server: Server, tmp_path: Path) -> None:
    with serve(tmp_path / "other", {"token": "admin"}, listen=("127.0.0.1", 0)) as other:
        stranger = Client(server.url, "token", other.files.ca, "tests")
        with pytest.raises(Failure, match="CERTIFICATE_VERIFY_FAILED"):
            stranger.list(SETTINGS)
