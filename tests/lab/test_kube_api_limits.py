"""What the stand-in API server does NOT do, each limit shown: whoever relies on one of these needs a real cluster."""

import json
import ssl
from collections.abc import Iterator
from http.client import HTTPSConnection

import pytest

from lab.standins.kube.client import Client
from tests.lab.kube_api import TOKEN, Cluster, Json, namespace, pod_spec, running, settings, workload


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("kube")) as cluster:
        cluster.apply(namespace("team"))
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    return cluster.client()


def pod(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "team"}, "spec": pod_spec()}


def answer(cluster: Cluster, path: str, **headers: str) -> tuple[int, str, bytes]:
    connection = HTTPSConnection(
        cluster.url.removeprefix("https://"), timeout=10, context=ssl.create_default_context(cafile=str(cluster.ca))
    )
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}", **headers})
    response = connection.getresponse()
    result = response.status, response.headers["Content-Type"], response.read()
    connection.close()
    return result


def test_no_protobuf_but_of_secrets_so_no_typed_create(cluster: Cluster) -> None:
    """`kubectl create namespace|configmap|...` sends protobuf; `kubectl apply -f` is the way."""
    cluster.run("create", "secret", "generic", "typed", "--from-literal=a=b")
    assert cluster.read("secret", "typed")["data"] == {"a": "Yg=="}
    cluster.run("delete", "secret", "typed")
    for command in (["namespace", "x"], ["configmap", "x"], ["serviceaccount", "x"]):
        assert "the body of the request was in an unknown format" in cluster.refused("create", *command)


def test_no_authorization(cluster: Cluster) -> None:
    """Every token may do everything; roles are kept, and mean nothing."""
    assert "could not find the requested resource" in cluster.refused("auth", "can-i", "create", "pods")
    assert "is not enabled in the cluster" in cluster.refused("auth", "whoami")
    assert cluster.refused("create", "token", "default")
    assert cluster.run("get", "secrets", "-A", "--as", "nobody") == ""


def test_no_client_certificates_and_no_http_2(cluster: Cluster) -> None:
    context = ssl.create_default_context(cafile=str(cluster.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    connection = HTTPSConnection(cluster.url.removeprefix("https://"), timeout=10, context=context)
    connection.connect()
    assert connection.sock.selected_alpn_protocol() is None
    connection.close()


def test_no_admission_webhooks_nor_policies(cluster: Cluster) -> None:
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations", "validatingadmissionpolicies"):
        assert "the server doesn't have a resource type" in cluster.refused("get", kind)


@pytest.mark.parametrize(
    "kind", ["hpa", "replicationcontrollers", "podtemplates", "apiservices", "csinodes", "events.events.k8s.io"]
)
def test_kinds_that_are_not_there(cluster: Cluster, kind: str) -> None:
    assert "the server doesn't have a resource type" in cluster.refused("get", kind)


def test_no_quotas_limits_or_pod_security(cluster: Cluster, client: Client) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q", "namespace": "team"}}
    client.create("v1/resourcequotas", {**quota, "spec": {"hard": {"pods": "0"}}})
    cluster.run("label", "namespace", "team", "pod-security.kubernetes.io/enforce=restricted")
    assert client.create("v1/pods", pod("over-quota"))["metadata"]["uid"]


def test_no_disruption_budgets(cluster: Cluster, client: Client) -> None:
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b", "namespace": "team"}}
    client.create("policy/v1/poddisruptionbudgets", {**budget, "spec": {"minAvailable": "100%", "selector": {}}})
    cluster.run("create", "-f", "-", given=pod("evicted"))
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "evicted", "namespace": "team"}}
    cluster.run("create", "--raw", "/api/v1/namespaces/team/pods/evicted/eviction", "-f", "-", given=eviction)
    assert client.find("v1/pods", "evicted", namespace="team") is None


def test_no_attach_port_forward_or_proxy_and_exec_by_websocket_only(cluster: Cluster, client: Client) -> None:
    client.create("v1/pods", pod("closed"))
    assert "only WebSocket connections are served" in cluster.refused("exec", "closed", "-n", "team", "--", "true")
    for part in ("attach", "portforward", "proxy", "ephemeralcontainers", "resize"):
        assert answer(cluster, f"/api/v1/namespaces/team/pods/closed/{part}")[0] == 404


def test_no_metrics(cluster: Cluster) -> None:
    assert "Metrics API not available" in cluster.refused("top", "nodes")


def test_no_openapi_v2(cluster: Cluster) -> None:
    assert answer(cluster, "/openapi/v2")[0] == 404


def test_answers_are_json_and_never_in_pages(cluster: Cluster) -> None:
    status, media_type, body = answer(cluster, "/api/v1/namespaces?limit=1", Accept="application/yaml")
    assert (status, media_type) == (200, "application/json")
    found = json.loads(body)
    assert len(found["items"]) > 1
    assert "continue" not in found["metadata"]


def test_reads_are_always_of_now(cluster: Cluster, client: Client) -> None:
    client.create("v1/configmaps", settings("now", "team"))
    body = json.loads(
        answer(cluster, "/api/v1/namespaces/team/configmaps?resourceVersion=1&resourceVersionMatch=Exact")[2]
    )
    assert "now" in [obj["metadata"]["name"] for obj in body["items"]]


def test_no_controllers_but_the_garbage_collector(client: Client) -> None:
    """Nothing makes pods, endpoints, default service accounts or root certificates; the node's stand-in does."""
    client.create("apps/v1/deployments", workload("Deployment", "idle", "team"))
    found = client.list("apps/v1/replicasets", namespace="team").items + client.list("v1/serviceaccounts").items
    assert found == []


def test_pods_get_no_token(client: Client) -> None:
    assert "volumes" not in client.create("v1/pods", pod("tokenless"))["spec"]


def test_repeated_keys_go_unnoticed(cluster: Cluster) -> None:
    """A real server under strict validation names them; here the last one wins."""
    twice = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "twice"}, "data": {"a": "1", "a": "2"}}'
    done = cluster.run(
        "create", "--raw", "/api/v1/namespaces/team/configmaps?fieldValidation=Strict", "-f", "-", given=twice
    )
    assert json.loads(done)["data"] == {"a": "2"}


def test_custom_kinds_have_no_expressions_unions_or_conversion(cluster: Cluster) -> None:
    rule = {"rule": "self.low <= self.high", "message": "low must not exceed high"}
    number: Json = {"type": "integer"}
    spec: Json = {"type": "object", "properties": {"low": number, "high": number}, "x-kubernetes-validations": [rule]}
    spec["oneOf"] = [{"required": ["low"]}, {"required": ["high"]}]
    body = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    versions = [{"name": name, "served": True, "storage": name == "v2", "schema": body} for name in ("v1", "v2")]
    names = {"plural": "ranges", "kind": "Range"}
    definition: Json = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    definition |= {"metadata": {"name": "ranges.example.com"}}
    scope = {"group": "example.com", "scope": "Cluster", "names": names, "versions": versions}
    cluster.apply({**definition, "spec": scope})
    cluster.apply(
        {"apiVersion": "example.com/v1", "kind": "Range", "metadata": {"name": "r"}, "spec": {"low": 9, "high": 1}}
    )
    both = cluster.read("ranges.v2.example.com", "r")
    assert (both["apiVersion"], both["spec"]) == ("example.com/v2", {"low": 9, "high": 1})


def test_status_is_taken_as_it_comes(client: Client) -> None:
    """Types are checked, sense is not: a phase that does not exist is stored."""
    client.create("v1/pods", pod("odd"))
    assert (
        client.merge_status("v1/pods", "odd", {"status": {"phase": "Odd"}}, namespace="team")["status"]["phase"]
        == "Odd"
    )


def test_less_of_each_rule_than_the_real_ones(client: Client) -> None:
    """Rules cover what this project's manifests use. Of what they leave out, some examples."""
    strange = pod("strange")
    strange["spec"]["affinity"] = {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}
    }
    strange["spec"]["containers"][0]["securityContext"] = {"privileged": True, "allowPrivilegeEscalation": False}
    strange["spec"]["dnsPolicy"] = "None"
    assert client.create("v1/pods", strange)["metadata"]["uid"]
