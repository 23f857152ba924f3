"""What the stand-in API server fills in: an applied object reads back as from a real one."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from lab.standins.kube.client import Client
from tests.lab.kube_api import SERVERS, Cluster, Json, namespace, pod_spec, running, settings, workload


@pytest.fixture(scope="module", params=SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("kube"), request.param) as cluster:
        cluster.apply(namespace("team"))
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    return cluster.client()


def meta(name: str) -> Json:
    return {"name": name, "namespace": "team"}


def test_a_pod_template(client: Client) -> None:
    wanted = workload("DaemonSet", "template", "team")
    wanted["spec"]["template"]["spec"] = {
        "serviceAccountName": "runner",
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "ports": [{"containerPort": 80}],
                "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "readinessProbe": {"httpGet": {"port": 80}},
                "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 3},
            }
        ],
        "volumes": [
            {"name": "a", "secret": {"secretName": "s"}},
            {"name": "b", "hostPath": {"path": "/m"}},
            {"name": "c"},
        ],
    }
    spec = client.create("apps/v1/daemonsets", wanted)["spec"]
    assert spec["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    assert spec["revisionHistoryLimit"] == 10
    times = {"timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
    assert spec["template"]["spec"] == {
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "serviceAccountName": "runner",
        "serviceAccount": "runner",
        "containers": [
            {
                "name": "main",
                "image": "busybox",
                "imagePullPolicy": "Always",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "env": [
                    {"name": "NODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}}
                ],
                "readinessProbe": {
                    "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                    "periodSeconds": 10,
                    **times,
                },
                "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 3, **times},
            }
        ],
        "volumes": [
            {"name": "a", "secret": {"secretName": "s", "defaultMode": 420}},
            {"name": "b", "hostPath": {"path": "/m", "type": ""}},
            {"name": "c", "emptyDir": {}},
        ],
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("ollama/ollama", "Always"),
        ("ollama/ollama:latest", "Always"),
        ("registry:5000/ollama/ollama", "Always"),
        ("registry:5000/ollama/ollama:0.24.0", "IfNotPresent"),
        ("ollama/ollama@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_when_images_are_pulled(client: Client, image: str, policy: str) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "p-", "namespace": "team"}}
    made = client.create("v1/pods", {**pod, "spec": pod_spec(image)})
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy
    assert made["metadata"]["name"].startswith("p-")


def test_a_pod(client: Client) -> None:
    runtime = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "nvidia"},
        "handler": "nvidia",
    }
    scheduling = {"nodeSelector": {"gpu": "yes"}, "tolerations": [{"key": "gpu", "operator": "Exists"}]}
    client.create("node.k8s.io/v1/runtimeclasses", {**runtime, "scheduling": scheduling})
    spec = pod_spec(runtimeClassName="nvidia", priorityClassName="system-node-critical")
    spec["containers"][0]["resources"] = {"limits": {"cpu": 1, "memory": "1Gi"}}
    made = client.create("v1/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": meta("pod"), "spec": spec})
    assert made["status"] == {"phase": "Pending", "qosClass": "Guaranteed"}
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert made["spec"]["nodeSelector"] == {"gpu": "yes"}
    assert made["spec"]["priority"] == 2000001000
    keys = [toleration["key"] for toleration in made["spec"]["tolerations"]]
    assert sorted(keys) == ["gpu", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    assert (made["spec"]["serviceAccountName"], made["spec"]["enableServiceLinks"]) == ("default", True)


def test_a_service(client: Client) -> None:
    def made(name: str, **spec: Any) -> Json:
        body = {"ports": [{"port": 80}], **spec}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": meta(name), "spec": body}
        found: Json = client.create("v1/services", service)["spec"]
        return found

    plain = made("plain")
    assert plain["clusterIP"].startswith("10.43.")
    assert plain == {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "clusterIP": plain["clusterIP"],
        "clusterIPs": [plain["clusterIP"]],
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
    }
    assert made("other")["clusterIP"] != plain["clusterIP"]
    assert made("headless", clusterIP="None")["clusterIPs"] == ["None"]
    balanced = made("balanced", type="LoadBalancer")
    assert 30000 <= balanced["ports"][0]["nodePort"] <= 32767
    assert (balanced["allocateLoadBalancerNodePorts"], balanced["externalTrafficPolicy"]) == (True, "Cluster")


def test_a_service_keeps_its_address_and_ports_when_it_is_applied_again(cluster: Cluster) -> None:
    wanted = {"apiVersion": "v1", "kind": "Service", "metadata": meta("kept")}
    wanted["spec"] = {"type": "NodePort", "selector": {"app": "x"}, "ports": [{"port": 80}]}
    cluster.apply(wanted)
    before = cluster.read("svc", "kept", "-n", "team")
    cluster.apply(wanted)
    assert cluster.read("svc", "kept", "-n", "team") == before
    cluster.run("replace", "-f", "-", given=wanted)
    after = cluster.read("svc", "kept", "-n", "team")["spec"]
    assert (after["clusterIP"], after["ports"]) == (before["spec"]["clusterIP"], before["spec"]["ports"])


def test_a_secret_written_as_text(cluster: Cluster) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta("text"), "stringData": {"a": "héllo"}}
    cluster.apply(secret)
    found = cluster.read("secret", "text", "-n", "team")
    assert (found["type"], found["data"]) == ("Opaque", {"a": base64.b64encode("héllo".encode()).decode()})
    assert "stringData" not in found


def test_a_deployment_a_job_and_a_policy(client: Client) -> None:
    spec = client.create("apps/v1/deployments", workload("Deployment", "d", "team"))["spec"]
    assert (spec["replicas"], spec["progressDeadlineSeconds"]) == (1, 600)
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta("j")}
    made = client.create("batch/v1/jobs", {**job, "spec": {"template": {"spec": pod_spec(restartPolicy="Never")}}})
    labels = made["spec"]["template"]["metadata"]["labels"]
    assert labels["batch.kubernetes.io/job-name"] == "j"
    assert made["spec"]["selector"]["matchLabels"] == {"batch.kubernetes.io/controller-uid": made["metadata"]["uid"]}
    assert (made["spec"]["completions"], made["spec"]["backoffLimit"]) == (1, 6)
    policy = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta("n")}
    ingress = {"ingress": [{"ports": [{"port": 1}]}]}
    spec = client.create("networking.k8s.io/v1/networkpolicies", {**policy, "spec": {"podSelector": {}, **ingress}})[
        "spec"
    ]
    assert spec == {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [{"ports": [{"port": 1, "protocol": "TCP"}]}],
    }


def test_an_ingress_gets_the_default_class(client: Client) -> None:
    marked = {"name": "traefik", "annotations": {"ingressclass.kubernetes.io/is-default-class": "true"}}
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": marked}
    client.create(
        "networking.k8s.io/v1/ingressclasses", {**kind, "spec": {"controller": "traefik.io/ingress-controller"}}
    )
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    ingress = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta("i")}
    made = client.create("networking.k8s.io/v1/ingresses", {**ingress, "spec": {"defaultBackend": backend}})
    assert made["spec"]["ingressClassName"] == "traefik"
    assert made["status"] == {"loadBalancer": {}}


def test_a_namespace(client: Client) -> None:
    made = client.create("v1/namespaces", namespace("fresh"))
    assert made["metadata"]["labels"] == {"kubernetes.io/metadata.name": "fresh"}
    assert (made["spec"], made["status"]) == ({"finalizers": ["kubernetes"]}, {"phase": "Active"})


def test_what_the_server_alone_writes(client: Client) -> None:
    wished = settings("own", "team")
    wished["metadata"] |= {"uid": "mine", "creationTimestamp": "2001-01-01T00:00:00Z"}
    made = client.create("v1/configmaps", wished)["metadata"]
    assert made["uid"] != "mine"
    assert not made["creationTimestamp"].startswith("2001")
    assert "generation" not in made
    wanted = workload("Deployment", "counted", "team")
    assert client.create("apps/v1/deployments", wanted)["metadata"]["generation"] == 1
    for patch, generation in (
        ({"metadata": {"labels": {"a": "b"}}}, 1),
        ({"spec": {"replicas": 3}}, 2),
        ({"spec": {"replicas": 3}}, 2),
    ):
        changed = client.merge("apps/v1/deployments", "counted", patch, namespace="team")
        assert changed["metadata"]["generation"] == generation
