"""What the stand-in API server refuses, and how it says so: the texts are the real server's."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.standins.kube.client import Client, Failure
from tests.lab.kube_api import SERVERS, Cluster, Json, namespace, pod_spec, running, settings, workload

DAEMON_SETS, PODS, SECRETS = "apps/v1/daemonsets", "v1/pods", "v1/secrets"


@pytest.fixture(scope="module", params=SERVERS)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("kube"), request.param) as cluster:
        cluster.apply(namespace("team"))
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: Cluster) -> Client:
    return cluster.client()


def failure(client: Client, collection: str, obj: Json) -> Failure:
    with pytest.raises(Failure) as caught:
        client.create(collection, obj)
    return caught.value


def daemon_set(**changes: Any) -> Json:
    """A DaemonSet with changes by path, `__` for a dot: template__spec__containers=[...]."""
    obj = workload("DaemonSet", "x", "team")
    for path, value in changes.items():
        *steps, last = path.split("__")
        target = obj["spec"]
        for step in steps:
            target = target[int(step)] if isinstance(target, list) else target[step]
        target[last] = value
    return obj


def with_container(**fields: Any) -> Json:
    return daemon_set(template__spec__containers=[{"name": "main", "image": "busybox:1", **fields}])


HANDLER = {"httpGet": {"path": "/", "port": 80}}
IN = "spec.template.spec."
AT = IN + "containers[0]."


@pytest.mark.parametrize(
    ("obj", "cause"),
    [
        (
            daemon_set(selector={"matchLabels": {"app": "y"}}),
            'spec.template.metadata.labels: Invalid value: {"app":"x"}: `selector` does not match template `labels`',
        ),
        (daemon_set(template__spec__containers=[]), IN + "containers: Required value"),
        (daemon_set(template__spec__containers=[{"name": "main"}]), AT + "image: Required value"),
        (daemon_set(template__spec__containers=[{"image": "busybox:1"}]), AT + "name: Required value"),
        (
            daemon_set(template__spec__containers=[{"name": "Main", "image": "i"}]),
            AT + 'name: Invalid value: "Main": a lowercase RFC 1123 label must consist of',
        ),
        (
            daemon_set(template__spec__containers=[{"name": "a", "image": "i"}] * 2),
            IN + 'containers[1].name: Duplicate value: "a"',
        ),
        (
            daemon_set(template__spec__restartPolicy="Never"),
            IN + 'restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            daemon_set(template__spec__nodeSelector={"bad key": "x"}),
            IN + 'nodeSelector: Invalid value: "bad key": name part must consist of',
        ),
        (
            daemon_set(template__spec__tolerations=[{"key": "a", "operator": "Has"}]),
            IN + 'tolerations[0].operator: Unsupported value: "Has"',
        ),
        (
            daemon_set(template__spec__volumes=[{"name": "v", "hostPath": {"path": "/m", "type": "Dir"}}]),
            IN + 'volumes[0].hostPath.type: Unsupported value: "Dir"',
        ),
        (
            daemon_set(template__spec__volumes=[{"name": "v", "hostPath": {}}]),
            IN + "volumes[0].hostPath.path: Required value",
        ),
        (daemon_set(template__spec__volumes=[{"name": "v", "hostPath": {"path": "/a/../b"}}]), "must not contain '..'"),
        (
            daemon_set(template__spec__volumes=[{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]),
            IN + "volumes[0].secret: Forbidden: may not specify more than 1 volume type",
        ),
        (
            daemon_set(template__spec__volumes=[{"name": "v"}, {"name": "v"}]),
            IN + 'volumes[1].name: Duplicate value: "v"',
        ),
        (
            with_container(volumeMounts=[{"name": "nope", "mountPath": "/m"}]),
            AT + 'volumeMounts[0].name: Not found: "nope"',
        ),
        (with_container(volumeMounts=[{"name": "v"}]), AT + "volumeMounts[0].mountPath: Required value"),
        (
            with_container(ports=[{"containerPort": 70000}]),
            AT + "ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
        ),
        (
            with_container(ports=[{"name": "p", "containerPort": 1}, {"name": "p", "containerPort": 2}]),
            AT + 'ports[1].name: Duplicate value: "p"',
        ),
        (
            with_container(ports=[{"name": "much-too-long-a-name", "containerPort": 1}]),
            "must be no more than 15 characters",
        ),
        (with_container(readinessProbe={}), AT + "readinessProbe: Required value: must specify a handler type"),
        (
            with_container(livenessProbe={**HANDLER, "successThreshold": 2}),
            AT + "livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            with_container(lifecycle={"preStop": {**HANDLER, "exec": {"command": ["x"]}}}),
            "may not specify more than 1 handler type",
        ),
        (with_container(imagePullPolicy="Sometimes"), AT + 'imagePullPolicy: Unsupported value: "Sometimes"'),
        (
            with_container(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]),
            AT + 'env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
        ),
        (
            with_container(resources={"requests": {"memory": "2Gi"}, "limits": {"memory": "1Gi"}}),
            AT + 'resources.requests: Invalid value: "2Gi": must be less than or equal to memory limit of 1Gi',
        ),
        (
            with_container(resources={"limits": {"nvidia.com/gpu": "500m"}}),
            AT + 'resources.limits[nvidia.com/gpu]: Invalid value: "500m": must be an integer',
        ),
        (
            with_container(resources={"requests": {"nvidia.com/gpu": 1}}),
            AT + "resources.limits: Required value: Limit must be set for non overcommitable resources",
        ),
        (daemon_set(updateStrategy={"type": "Recreate"}), "spec.updateStrategy: Unsupported value: {"),
        (
            daemon_set(updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ),
        (
            daemon_set(updateStrategy={"rollingUpdate": {"maxUnavailable": "lots"}}),
            "a valid percent string must be a numeric string followed by an ending '%'",
        ),
    ],
)
def test_a_daemon_set_that_makes_no_sense(client: Client, obj: Json, cause: str) -> None:
    refused = failure(client, DAEMON_SETS, obj)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.message.startswith('DaemonSet.apps "x" is invalid: ')
    assert cause in refused.message


def test_every_cause_is_named_at_once(cluster: Cluster) -> None:
    obj = with_container(imagePullPolicy="Sometimes", volumeMounts=[{"name": "nope", "mountPath": "/m"}])
    refused = cluster.refused("create", "-f", "-", given=obj)
    assert refused.startswith('The DaemonSet "x" is invalid: ')
    assert f'* {AT}imagePullPolicy: Unsupported value: "Sometimes"' in refused
    assert f'* {AT}volumeMounts[0].name: Not found: "nope"' in refused


def secret(kind: str = "Opaque", **data: str) -> Json:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x", "namespace": "team"},
        "type": kind,
        "data": encoded,
    }


def service(*ports: Json, **spec: Any) -> Json:
    metadata = {"name": "x", "namespace": "team"}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": list(ports), **spec}}


def ingress(**path: Any) -> Json:
    backend = {"service": {"name": "s", "port": {"number": 80}}}
    rule = {
        "host": "a.example.edu",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend, **path}]},
    }
    metadata = {"name": "x", "namespace": "team"}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"rules": [rule]}}


def without(obj: Json, *path: str | int) -> Json:
    copy: Json = json.loads(json.dumps(obj))
    target: Any = copy
    for step in path[:-1]:
        target = target[step]
    del target[path[-1]]
    return copy


PATH = ("spec", "rules", 0, "http", "paths", 0)


@pytest.mark.parametrize(
    ("collection", "obj", "text"),
    [
        (
            SECRETS,
            secret("kubernetes.io/tls", **{"tls.crt": "a"}),
            'Secret "x" is invalid: data[tls.key]: Required value',
        ),
        (SECRETS, secret("kubernetes.io/dockerconfigjson"), "data[.dockerconfigjson]: Required value"),
        (
            SECRETS,
            secret(**{"bad key": "a"}),
            'data[bad key]: Invalid value: "bad key": a valid config key must consist of',
        ),
        (SECRETS, secret(big="x" * 1100000), "data: Too long: may not be more than 1048576 bytes"),
        (
            "v1/configmaps",
            settings("Bad_Name", "team"),
            'metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain',
        ),
        ("v1/configmaps", settings("", "team"), "metadata.name: Required value: name or generateName is required"),
        (
            "v1/namespaces",
            namespace("a.b"),
            'Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": must not contain dots',
        ),
        ("v1/services", service(), "spec.ports: Required value"),
        (
            "v1/services",
            {**service({"port": 1}), "metadata": {"name": "X", "namespace": "team"}},
            "a lowercase RFC 1123 label must consist of",
        ),
        ("v1/services", service({"port": 1}, {"port": 2}), "spec.ports[0].name: Required value"),
        (
            "v1/services",
            service({"name": "a", "port": 1}, {"name": "a", "port": 2}),
            'spec.ports[1].name: Duplicate value: "a"',
        ),
        (
            "v1/services",
            service({"port": 0}),
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        ("v1/services", service({"port": 1}, type="Public"), 'spec.type: Unsupported value: "Public"'),
        ("v1/services", service({"port": 1}, clusterIP="10.43.0.1"), "provided IP is already allocated"),
        (
            "v1/services",
            service({"port": 1, "nodePort": 80}, type="NodePort"),
            "The range of valid ports is 30000-32767",
        ),
        (
            "networking.k8s.io/v1/ingresses",
            without(ingress(), *PATH, "pathType"),
            "spec.rules[0].http.paths[0].pathType: Required value",
        ),
        (
            "networking.k8s.io/v1/ingresses",
            ingress(pathType="Regex"),
            'pathType: Unsupported value: "Regex": supported values: "Exact", "ImplementationSpecific", "Prefix"',
        ),
        ("networking.k8s.io/v1/ingresses", ingress(path="api"), 'path: Invalid value: "api": must be an absolute path'),
        (
            "networking.k8s.io/v1/ingresses",
            ingress(backend={"service": {"name": "s"}}),
            "backend: Required value: port name or number is required",
        ),
        (
            "networking.k8s.io/v1/ingresses",
            {**ingress(), "spec": {}},
            "either `defaultBackend` or `rules` must be specified",
        ),
        (
            "apps/v1/deployments",
            workload("Deployment", "x", "team", replicas=-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            "apps/v1/deployments",
            without(workload("Deployment", "x", "team"), "spec", "selector"),
            "spec.selector: Required value",
        ),
        (
            "rbac.authorization.k8s.io/v1/roles",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role",
                "metadata": {"name": "x", "namespace": "team"},
                "rules": [{"resources": ["pods"]}],
            },
            "rules[0].verbs: Required value",
        ),
        (
            "node.k8s.io/v1/runtimeclasses",
            {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "x"}},
            "handler: Required value",
        ),
        (
            "traefik.io/v1alpha1/ingressroutes",
            {
                "apiVersion": "traefik.io/v1alpha1",
                "kind": "IngressRoute",
                "metadata": {"name": "x", "namespace": "team"},
                "spec": {},
            },
            "spec.routes: Required value",
        ),
        (
            "traefik.io/v1alpha1/middlewares",
            {
                "apiVersion": "traefik.io/v1alpha1",
                "kind": "Middleware",
                "metadata": {"name": "x", "namespace": "team"},
                "spec": {"ipAllowList": {"sourceRange": "10.0.0.0/8"}},
            },
            'Invalid value: "string": spec.ipAllowList.sourceRange in body must be of type array: "string"',
        ),
    ],
)
def test_other_objects_that_make_no_sense(client: Client, collection: str, obj: Json, text: str) -> None:
    refused = failure(client, collection, obj)
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert text in refused.message


@pytest.mark.parametrize(
    ("obj", "text"),
    [
        (
            daemon_set(minReadySeconds="soon"),
            "json: cannot unmarshal string into Go struct field DaemonSetSpec.spec.minReadySeconds of type int32",
        ),
        (
            daemon_set(template__spec__containers={}),
            "cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            with_container(env=[{"name": "A", "value": 1}]),
            "unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
        ),
        (
            with_container(resources={"limits": {"memory": "lots"}}),
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
        ),
        (with_container(tty="yes"), "of type bool"),
    ],
)
def test_values_of_the_wrong_type(client: Client, obj: Json, text: str) -> None:
    refused = failure(client, DAEMON_SETS, obj)
    assert (refused.code, refused.reason) == (400, "BadRequest")
    assert refused.message.startswith('DaemonSet in version "v1" cannot be handled as a DaemonSet: ')
    assert text in refused.message


def test_data_of_a_secret_must_be_base64(client: Client) -> None:
    wrong = {**secret(), "data": {"a": "not base64!"}}
    refused = failure(client, SECRETS, wrong)
    assert refused.message.endswith("illegal base64 data at input byte 3")


def test_unknown_fields_under_each_validation(cluster: Cluster) -> None:
    wrong = settings("typo", "team")
    wrong["dta"] = {"a": "1"}
    strict = cluster.refused("create", "--validate=strict", "-f", "-", given=wrong)
    assert (
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dta"'
        in strict
    )
    warned = cluster.kubectl("create", "--validate=warn", "-f", "-", given=wrong)
    assert (warned.returncode, warned.stderr) == (0, 'Warning: unknown field "dta"\n')
    assert "dta" not in cluster.read("cm", "typo", "-n", "team")
    cluster.run("delete", "cm", "typo", "-n", "team")
    ignored = cluster.kubectl("create", "--validate=ignore", "-f", "-", given=wrong)
    assert (ignored.returncode, ignored.stderr) == (0, "")


def test_unknown_fields_in_a_patch(cluster: Cluster) -> None:
    cluster.apply(settings("patched", "team"))
    refused = cluster.kubectl("patch", "cm", "patched", "-n", "team", "--type=merge", "-p", '{"dta": {"a": "1"}}')
    assert (refused.returncode, "unknown field" in refused.stderr) == (0, True)


def test_what_may_not_change(cluster: Cluster, client: Client) -> None:
    cluster.apply(workload("DaemonSet", "fixed", "team"), workload("StatefulSet", "fixed", "team"))
    client.create("v1/services", {**service({"port": 1}), "metadata": {"name": "fixed", "namespace": "team"}})
    client.create(SECRETS, {**secret(a="1"), "metadata": {"name": "fixed", "namespace": "team"}})
    client.create(SECRETS, {**secret(a="1"), "metadata": {"name": "sealed", "namespace": "team"}, "immutable": True})
    selector = {"selector": {"matchLabels": {"app": "fixed", "more": "1"}}}
    labels = {"template": {"metadata": {"labels": {"more": "1"}}}}
    for collection, name, patch, text in (
        (DAEMON_SETS, "fixed", {"spec": {**selector, **labels}}, "spec.selector: Invalid value: "),
        ("v1/services", "fixed", {"spec": {"clusterIP": "10.43.9.9"}}, "may not change once set"),
        (
            SECRETS,
            "fixed",
            {"type": "kubernetes.io/tls"},
            'type: Invalid value: "kubernetes.io/tls": field is immutable',
        ),
        (SECRETS, "sealed", {"data": {"a": "Mg=="}}, "data: Forbidden: field is immutable when `immutable` is set"),
        (
            "apps/v1/statefulsets",
            "fixed",
            {"spec": {"serviceName": "x"}},
            "updates to statefulset spec for fields other than 'replicas', 'ordinals'",
        ),
    ):
        with pytest.raises(Failure) as caught:
            client.merge(collection, name, patch, namespace="team")
        assert caught.value.code == 422, patch
        assert text in caught.value.message


def pod(name: str, **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "team"},
        "spec": pod_spec(**spec),
    }


def test_a_pod_keeps_its_spec_but_for_images(client: Client) -> None:
    client.create(PODS, pod("kept"))
    client.json_patch(
        PODS, "kept", [{"op": "replace", "path": "/spec/containers/0/image", "value": "busybox:2"}], namespace="team"
    )
    with pytest.raises(Failure, match="spec: Forbidden: pod updates may not change fields other than"):
        client.merge(PODS, "kept", {"spec": {"hostNetwork": True}}, namespace="team")


def test_a_pod_is_bound_once(client: Client) -> None:
    client.create(PODS, pod("bound"))
    client.bind("bound", "one", namespace="team")
    found = client.get(PODS, "bound", namespace="team")
    assert found["spec"]["nodeName"] == "one"
    assert found["status"]["conditions"][0]["type"] == "PodScheduled"
    with pytest.raises(Failure, match='already assigned to node "one"'):
        client.bind("bound", "two", namespace="team")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"runtimeClassName": "nvidia"}, 'pods "needy" is forbidden: pod rejected: RuntimeClass "nvidia" not found'),
        ({"priorityClassName": "vip"}, "no PriorityClass with name vip was found"),
        ({"serviceAccountName": "who"}, 'error looking up service account team/who: serviceaccount "who" not found'),
    ],
)
def test_a_pod_that_needs_what_is_not_there(client: Client, spec: Json, text: str) -> None:
    refused = failure(client, PODS, pod("needy", **spec))
    assert (refused.code, refused.reason) == (403, "Forbidden")
    assert text in refused.message


def test_an_object_in_the_wrong_place(cluster: Cluster, client: Client) -> None:
    moved = settings("a", "elsewhere")
    refused = cluster.refused("create", "-n", "team", "-f", "-", given=moved)
    assert 'the namespace from the provided object "elsewhere" does not match' in refused
    with pytest.raises(Failure, match='ConfigMap in version "v1" cannot be handled as a Secret'):
        client.create("v1/secrets", settings("a", "team"))


def test_not_an_object_at_all(client: Client) -> None:
    client.create("v1/configmaps", {"metadata": {"namespace": "team", "name": "of-no-kind"}})
    with pytest.raises(Failure, match="Object 'Kind' is missing in"):
        client.create("traefik.io/v1alpha1/middlewares", {"metadata": {"namespace": "team", "name": "of-no-kind"}})
