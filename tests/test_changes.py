"""Each kind of change: how the plan shows it, and what it asks of a host when it is made."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from scout_ollama.changes import (
    ApplyObjects,
    Change,
    DeleteObjects,
    Plan,
    PullImage,
    RestartK3s,
    Stage,
    WriteFile,
)
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.manifests import KubeObject, key_of
from scout_ollama.remote import Call, CommandFailed, RecordingRemote, Result

HOST = Host(name="gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server", "gpu"}), gpus=1)
IMAGE = "docker.io/ollama/ollama:0.24.0"
KEY = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t"


def obj(kind: str, name: str = "ollama", **spec: Any) -> KubeObject:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "ollama"}, "spec": spec}


def secret(key: str = KEY) -> KubeObject:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls", "namespace": "ollama", "labels": {"a": "b"}},
        "data": {"tls.key": key},
    }


def apply(
    *objects: KubeObject, live: tuple[KubeObject, ...] = (), would_be: tuple[KubeObject, ...] = ()
) -> ApplyObjects:
    before, after = ({str(key_of(o)): o for o in some} for some in (live, would_be))
    return ApplyObjects(objects, before=before, after=after)


def asked(change: Change) -> Call:
    """The one thing that making a change asks of its host."""
    remote = RecordingRemote(HOST)
    change.make(remote)
    (call,) = remote.calls
    return call


def failing(stderr: str, status: int = 1) -> RecordingRemote:
    return RecordingRemote(HOST, lambda _: Result(HOST.name, status, "", stderr, 0.0))


# -- files


def write(*, is_new: bool = False) -> WriteFile:
    return WriteFile("gpu-1", "/etc/x", "password: hunter2\n", ("~ password: a → b",), is_new=is_new, mode=0o600)


def test_a_file_is_created_or_written() -> None:
    assert write(is_new=True).title == "create /etc/x"
    assert write().title == "write /etc/x"


def test_the_difference_of_a_file_is_what_its_step_redacted() -> None:
    assert write().difference() == ["~ password: a → b"]
    assert "hunter2" not in repr(write())


def test_a_file_is_put_as_root_with_its_mode_and_its_owner() -> None:
    call = asked(write())
    assert (call.kind, call.args, call.stdin) == ("put", ("/etc/x",), b"password: hunter2\n")
    assert (call.sudo, call.mode, call.owner) == (True, 0o600, "root:root")


# -- K3s


def test_a_restart_says_why_and_what_it_does_not_disturb() -> None:
    restart = RestartK3s("gpu-1", "k3s-agent", "node-1", "its registries change")
    assert restart.title == "restart k3s-agent"
    assert restart.difference() == ["~ k3s-agent: its registries change; running pods keep running"]


def test_a_restart_names_the_unit_and_the_node_and_waits_for_a_while() -> None:
    call = asked(RestartK3s("gpu-1", "k3s-agent", "node-1", "its registries change"))
    assert (call.kind, call.script, call.sudo) == ("run", "restart-k3s", True)
    assert call.args == ("k3s-agent", "node-1", "180")


# -- images


def test_an_image_is_pulled_as_root() -> None:
    pull = PullImage("gpu-1", IMAGE)
    assert (pull.title, pull.difference()) == (f"pull {IMAGE}", [f"+ image {IMAGE}"])
    call = asked(pull)
    assert (call.kind, call.script, call.args, call.sudo) == ("run", "pull-image", (IMAGE,), True)


@pytest.mark.parametrize(
    ("stderr", "why"),
    [
        ("WARN something\nE1 failed to pull image: not found\n", "failed to pull image: not found"),
        ("", "it said nothing"),
    ],
)
def test_an_image_that_cannot_be_pulled_says_where_which_why_and_what_next(stderr: str, why: str) -> None:
    with pytest.raises(Trouble) as caught:
        PullImage("gpu-1", IMAGE).make(failing(stderr))
    trouble = caught.value
    assert (trouble.host, trouble.what) == ("gpu-1", f"cannot pull {IMAGE}")
    assert why in trouble.why
    assert trouble.next


# -- objects


def test_new_objects_are_created_and_the_others_changed() -> None:
    change = apply(obj("Service"), obj("DaemonSet"), live=(obj("DaemonSet"),))
    assert change.title == "create Service ollama/ollama; change DaemonSet ollama/ollama"


def test_the_difference_of_objects_is_what_the_server_says_they_would_become() -> None:
    change = apply(obj("Service", port=2), live=(obj("Service", port=1),), would_be=(obj("Service", port=3),))
    assert change.difference() == ["Service ollama/ollama", "  ~ spec.port: 1 → 3"]


def test_the_data_of_a_secret_is_in_no_line_of_the_plan() -> None:
    change = apply(secret(), live=(secret("b2xk"),), would_be=(secret(),))
    shown = "\n".join([change.title, *change.difference(), repr(change)])
    assert "(redacted" in shown
    assert KEY not in shown
    assert "b2xk" not in shown


def test_objects_go_in_one_call_on_standard_input_that_says_where_it_ends() -> None:
    objects = [obj("Namespace", "a"), secret(), obj("DaemonSet")]
    call = asked(apply(*objects))
    assert (call.kind, call.script, call.args, call.sudo) == ("run", "apply-objects", ("scout-ollama",), True)
    assert list(yaml.safe_load_all(call.stdin)) == objects
    assert call.stdin.endswith(b"\n# end of objects\n")


def test_a_conflict_that_arises_after_the_plan_says_who_owns_which_field() -> None:
    said = 'error: Apply failed with 1 conflict: conflict with "kubectl-edit" using apps/v1: .spec.replicas\n'
    with pytest.raises(Trouble) as caught:
        apply(obj("DaemonSet")).make(failing(said))
    assert not isinstance(caught.value, CommandFailed)
    assert caught.value.why == ".spec.replicas is owned by kubectl-edit"
    assert caught.value.next


def test_a_refusal_keeps_the_servers_words() -> None:
    with pytest.raises(Trouble) as caught:
        apply(obj("DaemonSet")).make(failing("the objects did not arrive whole: nothing was applied\n"))
    assert "did not arrive whole" in caught.value.why


def test_what_is_deleted_is_listed_and_named_by_nothing_but_its_identity() -> None:
    cluster_wide: KubeObject = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "1"}, "spec": {}}
    change = DeleteObjects((secret(), cluster_wide))
    assert change.title == "delete Secret ollama/tls, Node n"
    assert change.difference() == ["- Secret ollama/tls", "- Node n"]
    call = asked(change)
    assert (call.kind, call.script, call.args, call.sudo) == ("run", "delete-objects", (), True)
    assert list(yaml.safe_load_all(call.stdin)) == [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls", "namespace": "ollama"}},
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}},
    ]
    assert call.stdin.endswith(b"\n# end of objects\n")


def test_no_secret_is_in_the_description_of_any_change() -> None:
    assert KEY not in repr([apply(secret(), live=(secret(),), would_be=(secret(),)), DeleteObjects((secret(),))])


# -- plans


def test_a_plan_of_stages_without_changes_is_empty() -> None:
    assert not Plan(())
    assert not Plan((Stage("images", ()), Stage("objects", ())))
    assert Plan((Stage("images", ()), Stage("objects", (apply(obj("Service")),))))


def test_a_plan_is_made_in_the_order_of_its_stages() -> None:
    pull, restart, objects = PullImage("gpu-1", IMAGE), RestartK3s("gpu-2", "k3s", "gpu-2", "…"), apply(obj("Service"))
    plan = Plan((Stage("restarts", (restart,)), Stage("images", (pull,)), Stage("objects", (objects,))))
    assert list(plan) == [restart, pull, objects]
