"""Open WebUI and an Ollama beside it, found among objects as their charts make them."""

from __future__ import annotations

from typing import Any

import pytest

from lab.scout import NAMESPACE, OpenWebUi, objects_of
from scout_ollama.errors import Trouble
from scout_ollama.manifests import OWNED, KubeObject
from scout_ollama.open_webui import changes, workload


def objects(**wanted: Any) -> list[KubeObject]:
    return [obj for obj in objects_of(OpenWebUi(**wanted)) if obj["kind"] != "Namespace"]


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
def test_it_is_found_whatever_its_kind(kind: str) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "open-webui-0", "labels": {}, "ownerReferences": []}, "spec": {}}
    made = objects(kind=kind, replicas=3)
    labels = next(obj for obj in made if obj["kind"] == kind)["spec"]["selector"]["matchLabels"]
    pod["metadata"]["labels"] = labels  # type: ignore[index]
    made = [{**obj, "metadata": {"uid": obj["metadata"]["name"], **obj["metadata"]}} for obj in made]
    found = workload.find([*made, pod], NAMESPACE)
    assert (found.kind, found.replicas, found.workload) == (kind, 3, f"{kind.lower()}/open-webui")
    assert found.pods == ("open-webui-0",)
    assert found.value("RAG_EMBEDDING_ENGINE") == "ollama"
    assert found.value("WEBUI_SECRET_KEY") is None
    assert found.image.endswith(":0.11.0")


def test_none_and_several_are_refused() -> None:
    with pytest.raises(Trouble, match="there is no Open WebUI in namespace x"):
        workload.find([], "x")
    two = [obj for kind in ("StatefulSet", "Deployment") for obj in objects(kind=kind, embedded=None)]
    with pytest.raises(Trouble, match="there are several Open WebUIs"):
        workload.find(two, NAMESPACE)


def test_the_ollama_beside_it_is_found_with_its_services_and_volume() -> None:
    claim = {"kind": "PersistentVolume", "metadata": {"name": "v"}, "spec": _local("/data/v", "scout-1")}
    made = objects()
    for obj in made:
        if obj["kind"] == "PersistentVolumeClaim" and obj["metadata"]["name"] == "ollama":
            obj["spec"]["volumeName"] = "v"
    found = workload.embedded(made, [claim])
    assert found is not None
    assert (found.workload, found.replicas, found.services) == ("deployment/ollama", 1, ("ollama",))
    assert found.claims == (workload.Claim("ollama", "30Gi", "/data/v", "scout-1"),)


def _local(path: str, node: str) -> KubeObject:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    affinity = {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}
    return {"hostPath": {"path": path}, "nodeAffinity": affinity}


def test_one_that_is_ours_is_not_embedded() -> None:
    made = objects()
    for obj in made:
        if obj["kind"] == "Deployment":
            obj["metadata"]["labels"] = OWNED
    assert workload.embedded(made, []) is None
    assert workload.embedded(objects(embedded=None), []) is None


@pytest.mark.parametrize(
    ("url", "is_its"),
    [
        ("http://ollama:11434", True),
        ("http://ollama.scout-analytics:11434/", True),
        ("http://ollama.scout-analytics.svc.cluster.local.:11434", True),
        ("http://localhost:11434", True),
        ("http://host.docker.internal:11434", True),
        ("/ollama", True),
        ("http://ollama.elsewhere:11434", False),
        ("https://ollama.phi.example.edu", False),
    ],
)
def test_which_urls_are_its(url: str, is_its: bool) -> None:
    found = workload.embedded(objects(), [])
    assert workload.is_address_of(url, found, NAMESPACE) is is_its


def test_who_set_a_variable_is_told() -> None:
    made = objects()
    field: KubeObject = {'k:{"name":"OLLAMA_BASE_URLS"}': {".": {}, "f:value": {}}}
    path: KubeObject = {"f:containers": {'k:{"name":"open-webui"}': {"f:env": field}}}
    fields = {"f:spec": {"f:template": {"f:spec": path}}}
    next(obj for obj in made if obj["kind"] == "StatefulSet")["metadata"]["managedFields"] = [
        {"manager": "helm", "fieldsV1": fields}
    ]
    assert workload.find(made, NAMESPACE).managers == {"OLLAMA_BASE_URLS": "helm"}


def test_a_patch_sets_takes_away_and_mounts() -> None:
    entries = {"A": {"name": "A", "value": "1"}, "B": None, "C": {"name": "C", "valueFrom": {"secretKeyRef": {}}}}
    patch = changes.patched("open-webui", entries, True)["spec"]["template"]["spec"]
    container = patch["containers"][0]
    assert container["env"] == [
        {"name": "A", "value": "1", "valueFrom": None},
        {"name": "B", "$patch": "delete"},
        {"name": "C", "valueFrom": {"secretKeyRef": {}}, "value": None},
    ]
    assert container["volumeMounts"][0]["mountPath"] == "/etc/scout-ollama"
    taken = changes.patched("open-webui", {"A": None}, False)["spec"]["template"]["spec"]
    assert taken["volumes"] == [{"name": changes.AUTHORITIES, "$patch": "delete"}]
