"""What a container gets from its pod's spec: rights, environment, volumes; and the status that is told of it."""

from pathlib import Path

import pytest

from lab.standins.images import PROGRAMS
from lab.standins.k3s import environment, pod_status, security, volumes
from lab.standins.k3s.objects import Object
from lab.standins.k3s.pod_status import ContainerState


class NoObjects:
    """A cluster without secrets and config maps."""

    def secret(self, _namespace: str, _name: str) -> Object | None:
        return None

    def config_map(self, _namespace: str, _name: str) -> Object | None:
        return None

    def claimed(self, _namespace: str, _claim: str) -> Object | None:
        return None

    def token(self, pod: Object, audience: str, seconds: int) -> str:
        return f"token of {pod['metadata']['name']} for {seconds} s{audience}"


class Objects(NoObjects):
    """One secret and one config map, both called `s`."""

    def secret(self, namespace: str, name: str) -> Object | None:
        return {"data": {"k": "c2VjcmV0"}} if (namespace, name) == ("n", "s") else None

    def config_map(self, namespace: str, name: str) -> Object | None:
        return {"data": {"k": "open"}} if (namespace, name) == ("n", "s") else None


def pod(**spec: object) -> Object:
    return {
        "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i"}], **spec},
    }


def test_the_containers_context_wins_over_the_pods() -> None:
    made = security.security(pod(securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3}), {"name": "c"})
    assert (made.user, made.group, made.groups) == (1, 2, (3,))
    own = {"name": "c", "securityContext": {"runAsUser": 9}}
    assert security.security(pod(securityContext={"runAsUser": 1}), own).user == 9


def test_capabilities() -> None:
    def kept(**capabilities: list[str]) -> tuple[str, ...] | None:
        return security.security(pod(), {"name": "c", "securityContext": {"capabilities": capabilities}}).capabilities

    assert kept(drop=["ALL"]) == ()
    assert kept(drop=["ALL"], add=["NET_BIND_SERVICE"]) == ("net_bind_service",)
    assert "sys_admin" not in (kept() or ())
    assert security.security(pod(), {"name": "c", "securityContext": {"privileged": True}}).capabilities is None


def test_root_is_refused_where_it_must_not_be() -> None:
    with pytest.raises(environment.ConfigError, match="container has runAsNonRoot and image will run as root"):
        security.security(pod(securityContext={"runAsNonRoot": True}), {"name": "c"})


def build(*env: Object, **more: object) -> dict[str, str]:
    return environment.build(pod(nodeName="gpu-1"), {"name": "c", "env": list(env), **more}, Objects())


def test_the_environment() -> None:
    limits = {"limits": {"memory": "2Gi"}}
    assert build(
        {"name": "A", "value": "1"},
        {"name": "B", "value": "$(A)-$(UNKNOWN)-$$(A)"},
        {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "M", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}},
        {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "R", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "O", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}},
        resources=limits,
    ) == {"A": "1", "B": "1-$(UNKNOWN)-$(A)", "S": "secret", "M": "open", "N": "gpu-1", "L": "x", "R": "2048"}
    assert build(envFrom=[{"secretRef": {"name": "s"}, "prefix": "P_"}]) == {"P_k": "secret"}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"secretKeyRef": {"name": "s", "key": "none"}}, "couldn't find key none in Secret n/s"),
    ],
)
def test_what_is_missing_from_the_environment(source: Object, words: str) -> None:
    with pytest.raises(environment.ConfigError, match=words):
        build({"name": "A", "valueFrom": source})


@pytest.mark.parametrize(
    ("kind", "noun"), [("Directory", "a directory"), ("File", "a file"), ("Socket", "a socket file")]
)
def test_a_host_path_of_the_wrong_type(tmp_path: Path, kind: str, noun: str) -> None:
    path = tmp_path / "none"
    volume = {"name": "v", "hostPath": {"path": str(path), "type": kind}}
    with pytest.raises(volumes.MountError, match=f'volume "v" : hostPath type check failed: {path} is not {noun}'):
        volumes.set_up(pod(volumes=[volume]), NoObjects())


def test_a_service_account_s_token_is_projected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(volumes, "PODS", tmp_path)
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    ready = volumes.set_up(pod(volumes=[{"name": "v", "projected": {"sources": [token]}}]), NoObjects())
    directory, is_read_only = ready["v"]
    assert (directory / "token").read_text() == "token of p for 3607 s"
    assert is_read_only


def test_a_volume_that_this_stand_in_does_not_know() -> None:
    volume = {"name": "v", "iscsi": {"targetPortal": "t"}}
    with pytest.raises(volumes.MountError, match="iscsi is not supported"):
        volumes.set_up(pod(volumes=[volume]), NoObjects())


def test_outer_mounts_come_before_inner_ones() -> None:
    ready = {"a": (Path("/a"), False), "b": (Path("/b"), True)}
    container = {
        "volumeMounts": [{"name": "b", "mountPath": "/x/y/"}, {"name": "a", "mountPath": "/x", "readOnly": True}]
    }
    assert [m.line() for m in volumes.mounts(container, ready)] == ["ro\t/a\t/x\n", "ro\t/b\t/x/y\n"]


def phase(state: Object, **spec: object) -> str:
    container = ContainerState("c", state=state)
    return str(pod_status.build(pod(**spec), [], [container], {"hostIP": "h"})["phase"])


@pytest.mark.parametrize(
    ("state", "policy", "expected"),
    [
        ({"waiting": {"reason": "ContainerCreating"}}, "Always", "Pending"),
        ({"running": {}}, "Always", "Running"),
        ({"terminated": {"exitCode": 0}}, "Always", "Running"),
        ({"terminated": {"exitCode": 0}}, "Never", "Succeeded"),
        ({"terminated": {"exitCode": 1}}, "Never", "Failed"),
        ({"terminated": {"exitCode": 1}}, "OnFailure", "Running"),
    ],
)
def test_the_phase_of_a_pod(state: Object, policy: str, expected: str) -> None:
    assert phase(state, restartPolicy=policy) == expected


def test_a_pod_is_ready_when_all_its_containers_are() -> None:
    def ready(*states: bool) -> Object:
        made = [ContainerState(str(i), state={"running": {}}, ready=r) for i, r in enumerate(states)]
        spec = {"containers": [{"name": c.name, "image": "i"} for c in made]}
        conditions = pod_status.build(pod(**spec), [], made, {"hostIP": "h"})["conditions"]
        found: Object = next(c for c in conditions if c["type"] == "Ready")
        return found

    assert ready(True, True)["status"] == "True"
    assert ready(True, False)["message"] == "containers with unready status: [1]"


def test_what_an_image_runs() -> None:
    ollama = PROGRAMS["ollama/ollama"]
    assert ollama.argv(None, None)[-3:] == ["-m", "lab.standins.ollama", "serve"]
    assert ollama.argv(["/bin/ollama", "list"], None)[-1] == "list"
    assert ollama.argv(["sh", "-c"], ["true"]) == ["sh", "-c", "true"]
