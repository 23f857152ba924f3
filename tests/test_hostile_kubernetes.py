"""Whatever kubectl prints, reading and judging it ends in a judgement or in Trouble, never in another exception."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scout_ollama import asking, checks, pods, rollout
from scout_ollama.access.exposure import Exposure
from scout_ollama.errors import Trouble
from scout_ollama.facts import drained, parse_sections, read_cluster, read_exposed, read_rollout
from scout_ollama.gpu_operator import ladder
from scout_ollama.gpu_operator import state as gpu_state
from scout_ollama.inventory import Host, Ollama
from scout_ollama.manifests import KubeObject
from scout_ollama.open_webui import facts, workload
from scout_ollama.remote import RecordingRemote
from tests.gpu_operator import readings as gpus
from tests.spoiling import spoilt
from tests.status import readings

HOST = Host(name="phi-gpu-1", cluster="phi", address="192.0.2.11", roles=frozenset({"server", "gpu"}), gpus=1)
OWNER = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "ollama", "uid": "ds"}
LABELS = {"controller-revision-hash": "new", "app": "ollama"}
CONTAINER = {"name": "open-webui", "image": "ghcr.io/open-webui/open-webui:0.11", "env": [{"name": "A", "value": "b"}]}
SPEC = {
    "selector": {"matchLabels": LABELS},
    "template": {
        "metadata": {"labels": LABELS},
        "spec": {
            "containers": [CONTAINER],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    },
}


def of(kind: str, name: str, metadata: Any = None, **rest: Any) -> KubeObject:
    about = {"name": name, "namespace": "ollama", "uid": name, "generation": 1, **(metadata or {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": about, **rest}


POD = readings.pod("phi-gpu-1")
POD = {**POD, "metadata": {**POD["metadata"], "labels": LABELS, "ownerReferences": [OWNER]}}
POD["spec"] = {
    **POD["spec"],
    "containers": [{"name": "ollama", "image": "ollama/ollama:1", "ports": [{"hostPort": 1}]}],
}
WAITING = {
    "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}},
    "lastState": {"terminated": {"exitCode": 1}},
}
NOT_READY = {**POD, "status": {"conditions": [{"type": "Ready", "status": "False"}], "containerStatuses": [WAITING]}}
EVENT = of(
    "Event", "e", type="Warning", reason="Failed", message="no", involvedObject={"name": POD["metadata"]["name"]}
)
DAEMONSET = of("DaemonSet", "ollama", {"uid": "ds"}, spec=SPEC, status={"observedGeneration": 1})
REVISION = of("ControllerRevision", "r", {"labels": LABELS, "ownerReferences": [OWNER]}, revision=1)
SERVICE = of("Service", "ollama", spec={"selector": LABELS, "ports": [{"port": 11434, "targetPort": "http"}]})
BACKEND = {"service": {"name": "ollama"}}
INGRESS = of(
    "Ingress",
    "ollama",
    {"annotations": {"traefik.ingress.kubernetes.io/router.middlewares": "ollama-m@kubernetescrd"}},
    spec={"rules": [{"host": "h", "http": {"paths": [{"path": "/", "pathType": "Exact", "backend": BACKEND}]}}]},
)
MIDDLEWARE = of("Middleware", "m", spec={"ipAllowList": {"sourceRange": ["192.0.2.0/24"]}})
CLAIM = of("PersistentVolumeClaim", "data", spec={"volumeName": "v", "resources": {"requests": {"storage": "1Gi"}}})
VOLUME = of("PersistentVolume", "v", spec={"hostPath": {"path": "/x"}})
NODE = readings.node("phi-gpu-1")
NODE["spec"] = {"taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}
NODE["status"]["addresses"] = [{"type": "InternalIP", "address": "192.0.2.11"}]
ROLLOUT = [DAEMONSET, REVISION, POD, NOT_READY, EVENT, NODE]
CLUSTER = [NODE, DAEMONSET, SERVICE, POD, INGRESS, MIDDLEWARE]
SCOUT = [of("StatefulSet", "open-webui", spec=SPEC), of("Deployment", "o", spec=SPEC), SERVICE, CLAIM, POD]
moderate = settings(max_examples=150)


def listed(objects: Any) -> str:
    return json.dumps({"kind": "List", "items": objects})


def said(**sections: str) -> str:
    lines = ("".join(f"  {line}\n" for line in text.split("\n")) for text in sections.values())
    return "".join(f"{name.replace('_', '.')} 0\n{text}" for name, text in zip(sections, lines, strict=True))


def hearing(text: str) -> RecordingRemote:
    return RecordingRemote(HOST, lambda _: text)


def tellable(trouble: Trouble) -> None:
    """It is about the host, and can be printed."""
    assert "\x1b" not in str(trouble)
    str(trouble).encode()


@moderate
@given(spoilt(ROLLOUT).map(listed) | st.text(max_size=20))
@example("[" * 100_000)
@example('{"kind": "List"}')
@example("9" * 5000)
def test_a_rollout(text: str) -> None:
    try:
        objects = read_rollout(hearing(text), "ollama")
    except Trouble as trouble:
        return tellable(trouble)
    rollout.judge(objects, ["phi-gpu-1"])
    drained(objects)
    [pods.is_ready(obj) for obj in objects if obj["kind"] == "Pod"]
    return None


@pytest.mark.parametrize(
    ("field", "value"), [("name", "--all"), ("name", "-n"), ("name", "a b"), ("name", "a/b"), ("namespace", "-A")]
)
def test_a_name_that_a_command_would_take_for_something_else_is_refused(field: str, value: str) -> None:
    pod = {**POD, "metadata": {**POD["metadata"], field: value}}
    with pytest.raises(Trouble, match="makes no sense"):
        read_rollout(hearing(listed([pod])), "ollama")


def test_an_address_that_would_lead_a_question_elsewhere_is_refused() -> None:
    with pytest.raises(Trouble, match="makes no sense"):
        read_rollout(hearing(listed([{**POD, "status": {"podIP": "evil.example.edu/?x="}}])), "ollama")


def test_a_rollout_as_it_should_be() -> None:
    objects = read_rollout(hearing(listed(ROLLOUT)), "ollama")
    assert rollout.judge(objects, ["phi-gpu-1"])["phi-gpu-1"].state in ("ready", "starting")


@moderate
@given(spoilt(CLUSTER).map(listed) | st.text(max_size=20))
def test_a_cluster(text: str) -> None:
    try:
        found = read_cluster(hearing(said(nodes=text, owned=text, live=text, would_be=text)), [])
    except Trouble as trouble:
        return tellable(trouble)
    checks.of_cluster([HOST], Ollama(hostname="ollama.phi.example.edu", min_gpu_memory_gib=80), found)
    asking.node_addresses([HOST], [node for node in found.nodes if node["kind"] == "Node"])
    return None


@moderate
@given(spoilt(CLUSTER).map(listed))
def test_what_is_exposed(text: str) -> None:
    try:
        objects = read_exposed(hearing(said(nodes=text, workloads=text, routes=text)))
    except Trouble as trouble:
        return tellable(trouble)
    exposure = Exposure(objects)
    exposure.routes("h")
    exposure.bypasses()
    exposure.mcp()
    exposure.hides_clients()
    return None


@moderate
@given(spoilt(SCOUT).map(listed), spoilt([VOLUME]).map(listed))
def test_an_open_webui(objects: str, volumes: str) -> None:
    sections = parse_sections(said(**{"open-webui": objects}, volumes=volumes))
    try:
        facts.installed_of(sections, "ollama", HOST)
    except Trouble as trouble:
        tellable(trouble)


def test_an_open_webui_as_it_should_be() -> None:
    found = facts.installed_of(parse_sections(said(**{"open-webui": listed(SCOUT[:1])})), "ollama", HOST)
    assert isinstance(found.workload, workload.Workload)


GPU = gpus.good()
JOB = {"apiVersion": "batch/v1", **gpus.job()}
JOB["spec"]["template"]["spec"] = {}
WHOLE = [{"apiVersion": "v1", **obj, "metadata": {"uid": "u", **obj["metadata"]}} for obj in GPU.objects]
NODES = [{"apiVersion": "v1", "kind": "Node", **node} for node in GPU.nodes.values()]
METADATA = {
    "name": "gpu-operator",
    "creationTimestamp": gpus.at(1),
    "managedFields": [{"time": gpus.at(2), "fieldsV1": {}}],
}
READING = {
    "chart": [METADATA, {"conditions": [{"type": "Failed", "status": "False"}]}],
    "jobs": [JOB],
    "releases": [dict(gpus.release())],
    "objects": WHOLE,
    "nodes": NODES,
    "policies": [{"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"}, **gpus.policy()}],
}


def gpu_said(reading: Any) -> str:
    lists = {
        f"gpu_{name}": listed(reading[name]) for name in ("jobs", "objects", "nodes", "policies") if name in reading
    }
    lines = {
        f"gpu_{name}": "\n".join(map(json.dumps, part)) if isinstance(part := reading.get(name, []), list) else "{"
        for name in ("chart", "releases")
    }
    other = {
        "gpu_clock": "1800000000",
        "gpu_jobs.events": "",
        "gpu_operators": "",
        "gpu_events": "",
        "gpu_holders": "a b c 1,",
    }
    return said(**lists, **lines, **other)


@moderate
@given(spoilt(READING))
@example({**READING, "chart": [{**METADATA, "creationTimestamp": "2026-01-01"}]})
def test_the_gpu_operator(reading: Any) -> None:
    try:
        found = gpu_state.read(hearing(gpu_said(reading)) if isinstance(reading, dict) else hearing("x"))
    except Trouble as trouble:
        return tellable(trouble)
    ladder.judge(found, gpus.WANTED)
    return None


def test_the_gpu_operator_as_it_should_be() -> None:
    assert ladder.judge(gpu_state.read(hearing(gpu_said(READING))), gpus.WANTED).is_done
