"""A day with kubectl on the stand-in API server: look, apply, watch a rollout, change things, drain, restart."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from lab import paths
from tests.lab.kube_api import TOKEN, Cluster, Json, namespace, node, pod_spec, running, settings, start, workload


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("kube")) as cluster:
        cluster.apply(namespace("team"))
        yield cluster


def asked(cluster: Cluster, path: str, token: str) -> tuple[int, Json]:
    """A plain HTTPS request, without kubectl."""
    context = ssl.create_default_context(cafile=str(cluster.ca))
    connection = HTTPSConnection(cluster.url.removeprefix("https://"), timeout=10, context=context)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body: Json = json.load(answer)
    connection.close()
    return answer.status, body


def test_nobody_is_let_in_without_a_token(cluster: Cluster) -> None:
    for token in ("", "guess"):
        code, status = asked(cluster, "/api/v1/namespaces", token)
        assert (code, status["reason"], status["message"]) == (401, "Unauthorized", "Unauthorized")
    assert asked(cluster, "/api/v1/namespaces", TOKEN)[0] == 200


def test_its_certificate_is_verified_against_its_own_authority(cluster: Cluster) -> None:
    stranger = HTTPSConnection(cluster.url.removeprefix("https://"), timeout=10)
    with pytest.raises(ssl.SSLCertVerificationError):
        stranger.request("GET", "/livez")


def test_it_is_small_and_quick(cluster: Cluster) -> None:
    """What one costs on a lab host: megabytes, and seconds of processor time since it started."""
    cluster.run("explain", "pod.spec")
    process = Path(f"/proc/{cluster.process.pid}")
    resident = next(line.split()[1] for line in (process / "status").read_text().splitlines() if "VmHWM" in line)
    assert int(resident) < 80 * 1024
    ticks = (process / "stat").read_text().rsplit(")", 1)[1].split()[11:13]
    assert sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") < 3


def test_its_files_are_the_owners_alone(cluster: Cluster) -> None:
    for path in ("kubeconfig", "objects.sqlite", "objects.sqlite-wal", "tls/server.key", "tls/ca.key"):
        assert (cluster.directory / path).stat().st_mode & 0o077 == 0, path


def test_a_silent_client_holds_up_nobody(cluster: Cluster) -> None:
    address, port = cluster.url.removeprefix("https://").split(":")
    with socket.create_connection((address, int(port))):
        assert cluster.run("get", "--raw", "/readyz") == "ok"


def test_what_it_is(cluster: Cluster) -> None:
    assert "Server Version: v1.36.3+k3s1" in cluster.run("version")
    kinds = cluster.run("api-resources", "--no-headers").split()
    assert {"daemonsets", "ingresses", "middlewares", "helmcharts", "runtimeclasses"} <= set(kinds)
    assert "traefik.io/v1alpha1" in cluster.run("api-versions").split()
    assert set(cluster.run("get", "namespaces", "-o", "name").split()) >= {"namespace/default", "namespace/kube-system"}
    assert json.loads(cluster.run("get", "--raw", "/version"))["minor"] == "36"


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("daemonset.spec.updateStrategy.rollingUpdate.maxUnavailable", "IntOrString"),
        ("middleware.spec.ipAllowList.sourceRange", "[]string"),
        ("pod.spec.containers.volumeMounts", "VolumeMount"),
        ("crd.spec.versions.schema.openAPIV3Schema", "JSONSchemaProps"),
    ],
)
def test_fields_are_explained(cluster: Cluster, field: str, words: str) -> None:
    assert words in cluster.run("explain", field)


def test_unknown_things_are_not_found(cluster: Cluster) -> None:
    assert cluster.refused("get", "cm", "nope") == 'Error from server (NotFound): configmaps "nope" not found'
    assert 'daemonsets.apps "nope" not found' in cluster.refused("delete", "ds", "nope")
    assert 'the server doesn\'t have a resource type "gizmos"' in cluster.refused("get", "gizmos")
    assert 'namespaces "nowhere" not found' in cluster.refused("create", "-f", "-", given=settings("a", "nowhere"))
    assert asked(cluster, "/api/v1/gizmos", TOKEN)[1]["message"] == "the server could not find the requested resource"


def test_create_twice(cluster: Cluster) -> None:
    assert cluster.run("create", "-f", "-", given=settings("once", "team")) == "configmap/once created\n"
    again = cluster.refused("create", "-f", "-", given=settings("once", "team"))
    assert again.endswith(
        'Error from server (AlreadyExists): error when creating "STDIN": configmaps "once" already exists'
    )


def test_client_side_apply(cluster: Cluster) -> None:
    wanted = settings("classic", "team", one="1", two="2")
    assert cluster.run("apply", "-f", "-", given=wanted) == "configmap/classic created\n"
    assert cluster.run("apply", "-f", "-", given=wanted) == "configmap/classic unchanged\n"
    del wanted["data"]["two"]
    assert cluster.run("apply", "-f", "-", given=wanted) == "configmap/classic configured\n"
    assert cluster.read("cm", "classic", "-n", "team")["data"] == {"one": "1"}


def test_dry_run_changes_nothing(cluster: Cluster) -> None:
    before = cluster.client().list("v1/configmaps").version
    new = settings("imagined", "team", a="1")
    for command in (["create"], ["apply"], ["apply", "--server-side"]):
        assert "(server dry run)" in cluster.run(*command, "--dry-run=server", "-f", "-", given=new)
    shown = json.loads(cluster.run("apply", "--server-side", "--dry-run=server", "-o", "json", "-f", "-", given=new))
    assert shown["data"] == {"a": "1"}
    assert shown["metadata"]["uid"]
    cluster.run("delete", "namespace", "team", "--dry-run=server")
    assert cluster.client().list("v1/configmaps").version == before
    assert "not found" in cluster.refused("get", "cm", "imagined", "-n", "team")


def test_diff_shows_what_an_apply_would_change(cluster: Cluster) -> None:
    cluster.apply(settings("shown", "team", a="1"))
    options = ["diff", "--server-side", "--field-manager", "scout-ollama", "-f", "-"]
    assert cluster.kubectl(*options, given=settings("shown", "team", a="1")).returncode == 0
    changed = cluster.kubectl(*options, given=settings("shown", "team", a="2"))
    assert changed.returncode == 1
    assert '-  a: "1"\n+  a: "2"' in changed.stdout


def test_each_kind_of_patch(cluster: Cluster) -> None:
    cluster.apply(workload("Deployment", "patched", "team"))
    strategic = {
        "spec": {"template": {"spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]}}}
    }
    for kind, patch in (
        ("strategic", strategic),
        ("merge", {"spec": {"revisionHistoryLimit": 3}}),
        (
            "json",
            [
                {"op": "add", "path": "/spec/minReadySeconds", "value": 2},
                {"op": "test", "path": "/kind", "value": "Deployment"},
            ],
        ),
    ):
        cluster.run("patch", "deploy", "patched", "-n", "team", f"--type={kind}", "-p", json.dumps(patch))
    spec = cluster.read("deploy", "patched", "-n", "team")["spec"]
    assert (spec["revisionHistoryLimit"], spec["minReadySeconds"]) == (3, 2)
    (container,) = spec["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}]
    assert container["image"] == "docker.io/library/busybox:1"


def test_an_update_of_an_old_version_is_refused(cluster: Cluster) -> None:
    cluster.apply(settings("busy", "team", a="1"))
    old = cluster.read("cm", "busy", "-n", "team")
    cluster.run("annotate", "cm", "busy", "-n", "team", "touched=yes")
    error = cluster.refused("replace", "-f", "-", given=old)
    assert 'Operation cannot be fulfilled on configmaps "busy": the object has been modified; please apply' in error
    del old["metadata"]["resourceVersion"]
    assert "replaced" in cluster.run("replace", "-f", "-", given=old)


def test_labels_annotations_and_selectors(cluster: Cluster) -> None:
    cluster.apply(settings("red", "team"), settings("blue", "team"))
    cluster.run("label", "cm", "red", "blue", "-n", "team", "tier=x")
    cluster.run("label", "cm", "blue", "-n", "team", "color=blue")

    def found(*selector: str) -> list[str]:
        names = cluster.run("get", "cm", "-n", "team", "-o", "name", *selector).split()
        return [name.removeprefix("configmap/") for name in names]

    assert found("-l", "tier=x") == ["blue", "red"]
    assert found("-l", "tier=x,color!=blue") == ["red"]
    assert found("-l", "color in (blue, green)") == ["blue"]
    assert found("-l", "tier,!color") == ["red"]
    assert found("--field-selector", "metadata.name=red") == ["red"]
    assert "field label not supported: data.a" in cluster.refused("get", "cm", "--field-selector", "data.a=1")
    cluster.run("label", "cm", "blue", "-n", "team", "color-")
    assert found("-l", "color") == []


def test_a_rollout_is_awaited(cluster: Cluster) -> None:
    client = cluster.client("controller")
    cluster.apply(workload("DaemonSet", "rolling", "team"))
    done = threading.Event()

    def counts(generation: int, ready: int) -> Json:
        names = (
            "currentNumberScheduled",
            "desiredNumberScheduled",
            "numberReady",
            "updatedNumberScheduled",
            "numberAvailable",
        )
        return {"status": {"observedGeneration": generation, **dict.fromkeys(names, 2), "numberAvailable": ready}}

    def controller() -> None:
        for event in client.watch("apps/v1/daemonsets", namespace="team", fields="metadata.name=rolling", stop=done):
            if event.type in ("ADDED", "MODIFIED"):
                status = event.object.get("status", {})
                available = min(status.get("numberAvailable", 0) + 1, 2)
                if (
                    status.get("numberAvailable") != 2
                    or status["observedGeneration"] != event.object["metadata"]["generation"]
                ):
                    patch = counts(event.object["metadata"]["generation"], available)
                    client.merge_status("apps/v1/daemonsets", "rolling", patch, namespace="team")

    thread = threading.Thread(target=controller)
    thread.start()
    try:
        output = cluster.run("rollout", "status", "ds/rolling", "-n", "team", "--timeout=15s")
        assert output.endswith('daemon set "rolling" successfully rolled out\n')
        assert cluster.read("ds", "rolling", "-n", "team")["metadata"]["generation"] == 1
        cluster.run("rollout", "restart", "ds/rolling", "-n", "team")
        cluster.run("rollout", "status", "ds/rolling", "-n", "team", "--timeout=15s")
        restarted = cluster.read("ds", "rolling", "-n", "team")
        assert restarted["metadata"]["generation"] == 2
        assert "kubectl.kubernetes.io/restartedAt" in restarted["spec"]["template"]["metadata"]["annotations"]
    finally:
        done.set()
        cluster.run("annotate", "ds", "rolling", "-n", "team", "wake=watcher")
        thread.join(20)
    assert not thread.is_alive()


def test_a_rollout_that_nobody_carries_out_times_out(cluster: Cluster) -> None:
    cluster.apply(workload("Deployment", "stuck", "team"))
    error = cluster.refused("rollout", "status", "deploy/stuck", "-n", "team", "--timeout=1s")
    assert "timed out waiting for the condition" in error


def test_waiting_for_conditions_and_deletion(cluster: Cluster) -> None:
    assert "condition met" in cluster.run(
        "wait", "--for=condition=Established", "crd/middlewares.traefik.io", "--timeout=5s"
    )
    cluster.apply(settings("going", "team"))
    waiting = threading.Thread(
        target=cluster.run, args=("wait", "--for=delete", "cm/going", "-n", "team", "--timeout=15s")
    )
    waiting.start()
    cluster.run("delete", "cm", "going", "-n", "team")
    waiting.join(20)
    assert not waiting.is_alive()


def test_scale(cluster: Cluster) -> None:
    cluster.apply(workload("Deployment", "sized", "team", replicas=2))
    cluster.run("scale", "deploy/sized", "-n", "team", "--replicas=3", "--current-replicas=2")
    assert cluster.read("deploy", "sized", "-n", "team")["spec"]["replicas"] == 3
    assert "Expected replicas to be 2, was 3" in cluster.refused(
        "scale", "deploy/sized", "-n", "team", "--replicas=4", "--current-replicas=2"
    )
    raw = json.loads(cluster.run("get", "--raw", "/apis/apps/v1/namespaces/team/deployments/sized/scale"))
    assert (raw["kind"], raw["spec"], raw["status"]["selector"]) == ("Scale", {"replicas": 3}, "app=sized")


def test_tables(cluster: Cluster) -> None:
    cluster.apply(workload("Deployment", "listed", "team", replicas=2))
    header, *rows = cluster.run("get", "deploy", "-n", "team").splitlines()
    assert header.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert any(row.split()[:4] == ["listed", "0/2", "0", "0"] for row in rows)
    header = cluster.run("get", "svc", "-A").splitlines()[0]
    assert header.split() == ["NAMESPACE", "NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE"]
    wide = cluster.run("get", "deploy", "listed", "-n", "team", "-o", "wide").splitlines()[1]
    assert "docker.io/library/busybox:1" in wide


def test_describe(cluster: Cluster) -> None:
    cluster.run("create", "-f", "-", given=node("described"))
    cluster.apply(workload("DaemonSet", "told", "team"))
    event: Json = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "told.1", "namespace": "team"},
        "involvedObject": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "told", "namespace": "team"},
        "reason": "FailedCreate",
        "message": "Error creating: no",
        "type": "Warning",
        "source": {"component": "daemonset-controller"},
    }
    event["involvedObject"]["uid"] = cluster.read("ds", "told", "-n", "team")["metadata"]["uid"]
    cluster.run("create", "-f", "-", given=event)
    text = cluster.run("describe", "ds", "told", "-n", "team")
    assert "FailedCreate" in text
    assert "Image:         docker.io/library/busybox:1" in text
    assert "InternalIP:  127.0.0.1" in cluster.run("describe", "node", "described")
    assert "FailedCreate" in cluster.run("get", "events", "-n", "team")
    for thing in ("namespace/team", "crd/middlewares.traefik.io", "svc/kubernetes"):
        assert thing.split("/")[1] in cluster.run("describe", thing).splitlines()[0]


def test_logs_come_from_the_kubelet(cluster: Cluster) -> None:
    asked_for: list[str] = []

    class Kubelet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked_for.append(self.path)
            content = b"first line\nlast line\n" if "/talker/" in self.path else b"no such container"
            self.send_response(200 if "/talker/" in self.path else 404)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    kubelet = HTTPServer(("127.0.0.1", 0), Kubelet)
    threading.Thread(target=kubelet.serve_forever, daemon=True).start()
    cluster.run("create", "-f", "-", given=node("logging", port=kubelet.server_port))
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "team"},
            "spec": pod_spec(nodeName=where),
        }
        for name, where in (("talker", "logging"), ("mute", "logging"), ("homeless", ""))
    ]
    cluster.apply(*pods)
    assert cluster.run("logs", "talker", "-n", "team", "--tail=2", "-c", "main") == "first line\nlast line\n"
    assert asked_for == ["/containerLogs/team/talker/main?tailLines=2"]
    assert "no such container" in cluster.refused("logs", "mute", "-n", "team")
    assert "pod homeless does not have a host assigned" in cluster.refused("logs", "homeless", "-n", "team")
    kubelet.shutdown()
    kubelet.server_close()
    assert "connection refused" in cluster.refused("logs", "talker", "-n", "team")


def test_a_log_is_followed(cluster: Cluster) -> None:
    read_first = threading.Event()

    class Kubelet(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"6\r\nfirst\n\r\n")
            if read_first.wait(10):
                self.wfile.write(b"5\r\nlast\n\r\n")
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Kubelet) as kubelet:
        threading.Thread(target=kubelet.handle_request, daemon=True).start()
        cluster.run("create", "-f", "-", given=node("live", port=kubelet.server_port))
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "live", "namespace": "team"}}
        cluster.apply({**pod, "spec": pod_spec(nodeName="live")})
        with cluster.started("logs", "live", "-n", "team", "--follow") as follower:
            assert follower.stdout
            assert follower.stdout.readline() == "first\n"
            read_first.set()
            assert follower.stdout.readline() == "last\n"
            assert follower.wait(10) == 0


def test_a_node_is_drained(cluster: Cluster) -> None:
    cluster.run("create", "-f", "-", given=node("leaving"))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "guest", "namespace": "team"},
        "spec": pod_spec(nodeName="leaving"),
    }
    cluster.run("create", "-f", "-", given=pod)
    client, stop = cluster.client("kubelet"), threading.Event()

    def kubelet() -> None:
        for event in client.watch("v1/pods", fields="spec.nodeName=leaving", stop=stop):
            if event.type == "DELETED":
                return
            if event.object.get("metadata", {}).get("deletionTimestamp"):
                client.delete("v1/pods", "guest", namespace="team", grace=0)

    thread = threading.Thread(target=kubelet)
    thread.start()
    output = cluster.run("drain", "leaving", "--force", "--ignore-daemonsets", "--timeout=15s")
    assert "node/leaving drained" in output
    thread.join(20)
    assert not thread.is_alive()
    assert cluster.run("get", "node", "leaving", "--no-headers").split()[1] == "Ready,SchedulingDisabled"
    cluster.run("uncordon", "leaving")
    assert cluster.run("get", "node", "leaving", "--no-headers").split()[1] == "Ready"


def test_a_watch_shows_changes_as_they_come(cluster: Cluster) -> None:
    client, stop, seen = cluster.client(), threading.Event(), []
    for event in client.watch("v1/configmaps", namespace="team", labels="watched=yes", stop=stop):
        name = event.object.get("metadata", {}).get("name", "")
        seen.append((event.type, name))
        match seen[-1]:
            case ("SYNCED", _):
                new = settings("news", "team")
                client.create("v1/configmaps", {**new, "metadata": {**new["metadata"], "labels": {"watched": "yes"}}})
            case ("ADDED", "news"):
                client.merge("v1/configmaps", "news", {"data": {"a": "1"}}, namespace="team")
            case ("MODIFIED", "news"):
                client.merge("v1/configmaps", "news", {"metadata": {"labels": {"watched": "no"}}}, namespace="team")
            case ("DELETED", "news"):
                break
    assert seen == [("SYNCED", ""), ("ADDED", "news"), ("MODIFIED", "news"), ("DELETED", "news")]


def test_users_bring_their_own_kinds(cluster: Cluster) -> None:
    schema = {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["size"],
                "properties": {
                    "size": {"type": "integer", "minimum": 1, "maximum": 9},
                    "color": {"type": "string", "enum": ["red", "blue"], "default": "blue"},
                },
            }
        },
    }
    column = {"name": "Size", "type": "integer", "jsonPath": ".spec.size"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wi"]},
            "versions": [{**version, "additionalPrinterColumns": [column]}],
        },
    }
    cluster.apply(definition)
    cluster.run("wait", "--for=condition=Established", "crd/widgets.example.com", "--timeout=5s")
    widget = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {"name": "w", "namespace": "team"},
        "spec": {"size": 3},
    }
    cluster.apply(widget)
    assert cluster.read("wi", "w", "-n", "team")["spec"] == {"size": 3, "color": "blue"}
    assert cluster.run("get", "widgets", "-n", "team").splitlines()[1].split() == ["w", "3"]
    for spec, words in (
        ({"size": 10}, "spec.size: Invalid value: 10: spec.size in body should be less than or equal to 9"),
        ({"size": "big"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": 1, "color": "green"}, 'spec.color: Unsupported value: "green": supported values: "red", "blue"'),
        ({}, "spec.size: Required value"),
        ({"size": 1, "weight": 2}, 'strict decoding error: unknown field "spec.weight"'),
    ):
        wrong = {**widget, "metadata": {"name": "wrong", "namespace": "team"}, "spec": spec}
        assert words in cluster.refused("create", "-f", "-", given=wrong)
    cluster.run("delete", "crd", "widgets.example.com")
    assert asked(cluster, "/apis/example.com/v1/widgets", TOKEN)[0] == 404
    cluster.apply(definition)
    assert cluster.read("widgets", "-A")["items"] == []


def test_a_restart_keeps_everything(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.apply(namespace("kept"), settings("kept", "kept", a="1"))
    before = first.read("cm", "kept", "-n", "kept")
    version = first.client().list("v1/configmaps").version
    first.stop()
    second = start(tmp_path, int(first.url.rsplit(":", 1)[1]))
    try:
        assert second.read("cm", "kept", "-n", "kept") == before
        assert second.client().list("v1/configmaps").version == version
        assert "middlewares" in second.run("api-resources")
    finally:
        second.stop()


@pytest.mark.parametrize(
    ("listen", "tokens", "why"),
    [
        ("taken", "t,admin,1", "Address already in use"),
        ("127.0.0.1:http", "t,admin,1", "invalid literal"),
        ("127.0.0.1:0", "", "no token in"),
        ("127.0.0.1:0", None, "No such file or directory"),
    ],
)
def test_it_says_why_it_cannot_start(tmp_path: Path, listen: str, tokens: str | None, why: str) -> None:
    if tokens is not None:
        (tmp_path / "tokens").write_text(tokens)
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}" if listen == "taken" else listen
        command = [sys.executable, "-m", "lab.standins.kube", "--data", str(tmp_path / "data"), "--listen", listen]
        done = subprocess.run(
            [*command, "--token-file", str(tmp_path / "tokens")],
            cwd=paths.CHECKOUT,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("lab.standins.kube: cannot serve on ")
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_server_loses_nothing(tmp_path: Path) -> None:
    first = start(tmp_path)
    first.apply(namespace("kept"), settings("kept", "kept", a="1"))
    first.process.kill()
    first.process.wait(10)
    assert first.process.stdout
    first.process.stdout.close()
    second = start(tmp_path, int(first.url.rsplit(":", 1)[1]))
    try:
        assert second.read("cm", "kept", "-n", "kept")["data"] == {"a": "1"}
    finally:
        second.stop()
