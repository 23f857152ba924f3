"""The Job by which K3s's Helm controller installs a chart, and what that Job reads. Pure.

As k3s-io/helm-controller makes them, but for what the lab's kubelet does not do: the image runs as root.
"""

import base64
import hashlib
from typing import Any

import yaml

from lab.standins.images import KLIPPER_HELM_IMAGE
from lab.standins.k3s.objects import Object, digest_of, is_deleted, name_of, namespace_of, owner_reference

CHART_LABEL = "helmcharts.helm.cattle.io/chart"
HASH = "helmcharts.helm.cattle.io/configHash"
APPLIED = "objectset.rio.cattle.io/applied"  # a digest of the Job's spec as it was made
LABEL_LENGTH = 63
BACK_OFF_LIMIT = 1000
FAILURE_POLICY = "reinstall"


def name(chart: Object) -> str:
    """The Job's name."""
    return f"helm-{'delete' if is_deleted(chart) else 'install'}-{name_of(chart)}"


def target_namespace(chart: Object) -> str:
    """Where the release is."""
    return str(chart["spec"].get("targetNamespace") or namespace_of(chart))


def release_hash(job: Object) -> str:
    """The label that a release has when this Job made it: what is after "=", as far as a label holds it."""
    return str(job["spec"]["template"]["metadata"]["annotations"][HASH]).partition("=")[2][:LABEL_LENGTH]


def is_from(job: Object, made: Object) -> bool:
    """Whether a Job that is there was created from `made`."""
    annotations = job["metadata"].get("annotations") or {}
    return bool(annotations.get(APPLIED) == made["metadata"]["annotations"][APPLIED])


def build(chart: Object, config: Object | None) -> tuple[Object, list[tuple[str, Object]]]:
    """The Job, suspended, and (collection, object) of what it needs; config is the HelmChartConfig of the same name."""
    values, content = _values_secret(chart, config), _content_config_map(chart)
    digest = hashlib.sha256()
    for data in (content["data"], values["data"]) if not is_deleted(chart) else ():
        for key in sorted(data):
            digest.update(key.encode() + data[key].encode())
    annotation = f"SHA256={digest.hexdigest().upper()}"
    labels = {CHART_LABEL: name_of(chart)}
    spec: Object = {
        "backoffLimit": chart["spec"].get("backOffLimit", BACK_OFF_LIMIT),
        "suspend": True,
        "template": {
            "metadata": {"labels": labels, "annotations": {HASH: annotation}},
            "spec": _pod_spec(chart, config, annotation),
        },
    }
    metadata = {**_metadata(chart, name(chart)), "labels": labels, "annotations": {APPLIED: digest_of(spec, 40)}}
    job: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
    needed = [("v1/serviceaccounts", _service_account(chart)), (ROLE_BINDINGS, _role_binding(chart))]
    if not is_deleted(chart):
        needed += [("v1/secrets", values), ("v1/configmaps", content)]
    return job, needed


ROLE_BINDINGS = "rbac.authorization.k8s.io/v1/clusterrolebindings"


def _metadata(chart: Object, made: str) -> Object:
    return {"name": made, "namespace": namespace_of(chart), "ownerReferences": [owner_reference(chart)]}


def _pod_spec(chart: Object, config: Object | None, annotation: str) -> Object:
    variables = _environment(chart, config) | {"CONFIG_HASH": annotation.partition("=")[2][:LABEL_LENGTH]}
    volumes = [] if is_deleted(chart) else _volumes(chart, config)
    paths = {"values": "/config", "content": "/chart"}
    container: Object = {
        "name": "helm",
        "image": str(chart["spec"].get("jobImage") or KLIPPER_HELM_IMAGE),
        "imagePullPolicy": "IfNotPresent",
        "args": _arguments(chart),
        "env": [{"name": key, "value": value} for key, value in variables.items()],
        "volumeMounts": [{"name": v["name"], "mountPath": paths[v["name"]]} for v in volumes],
        # The real entrypoint writes its error to the termination log.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    bootstrap: Object = {"hostNetwork": True, "tolerations": [{"operator": "Exists"}]}
    return {
        "restartPolicy": "OnFailure",
        "serviceAccountName": f"helm-{name_of(chart)}",
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "containers": [container],
        "volumes": volumes,
        **(bootstrap if chart["spec"].get("bootstrap") else {}),
    }


def _environment(chart: Object, config: Object | None) -> dict[str, str]:
    spec = chart["spec"]
    policy = ((config or {}).get("spec") or {}).get("failurePolicy") or spec.get("failurePolicy") or FAILURE_POLICY
    repository = str(spec.get("repo") or "")
    chart_name = str(spec.get("chart") or "")
    made = {
        "NAME": name_of(chart),
        "VERSION": str(spec.get("version") or ""),
        "REPO": repository,
        "HELM_DRIVER": "secret",
        "CHART_NAMESPACE": namespace_of(chart),
        "CHART": f"{name_of(chart)}/{chart_name}" if repository else chart_name,
        "TARGET_NAMESPACE": target_namespace(chart),
        "FAILURE_POLICY": policy,
    }
    return made | ({"TIMEOUT": str(spec["timeout"])} if spec.get("timeout") else {})


def _arguments(chart: Object) -> list[str]:
    if is_deleted(chart):
        return ["delete"]
    spec = chart["spec"]
    arguments = ["install"]
    if spec.get("createNamespace"):
        arguments.append("--create-namespace")
    if spec.get("version"):
        arguments += ["--version", str(spec["version"])]
    for key, value in sorted((spec.get("set") or {}).items()):
        typed = isinstance(value, int) or str(value).lower() in ("true", "false", "null")
        arguments += ["--set" if typed else "--set-string", f"{key}={value}"]
    return arguments


# Keys of the values Secret and the files they become, in the order in which Helm merges them.
_VALUES = {
    "HelmChartValuesContent": "values-0-000-HelmChart-ValuesContent.yaml",
    "HelmChartValues": "values-0-001-HelmChart-Values.yaml",
    "HelmChartConfigValuesContent": "values-1-000-HelmChartConfig-ValuesContent.yaml",
    "HelmChartConfigValues": "values-1-001-HelmChartConfig-Values.yaml",
}


def _values(chart: Object, config: Object | None) -> dict[str, str]:
    of_chart, of_config = chart["spec"], (config or {}).get("spec") or {}
    contents: tuple[Any, ...] = (
        of_chart.get("valuesContent"),
        of_chart.get("values"),
        of_config.get("valuesContent"),
        of_config.get("values"),
    )
    texts = (c if isinstance(c, str) else yaml.safe_dump(c) for c in contents)
    return {key: text for key, content, text in zip(_VALUES, contents, texts, strict=True) if content}


def _volumes(chart: Object, config: Object | None) -> list[Object]:
    items = [{"key": key, "path": _VALUES[key]} for key in _values(chart, config)]
    values = {"secret": {"name": f"chart-values-{name_of(chart)}", "items": items}}
    return [
        {"name": "values", "projected": {"sources": [values]}},
        {"name": "content", "configMap": {"name": f"chart-content-{name_of(chart)}"}},
    ]


def _values_secret(chart: Object, config: Object | None) -> Object:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in _values(chart, config).items()}
    metadata = _metadata(chart, f"chart-values-{name_of(chart)}")
    kind = "helmcharts.helm.cattle.io/values"
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data}


def _content_config_map(chart: Object) -> Object:
    content = chart["spec"].get("chartContent")
    data = {f"{name_of(chart)}.tgz.base64": str(content)} if content else {}
    metadata = _metadata(chart, f"chart-content-{name_of(chart)}")
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _service_account(chart: Object) -> Object:
    metadata = _metadata(chart, f"helm-{name_of(chart)}")
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": True}


def _role_binding(chart: Object) -> Object:
    subject = {"kind": "ServiceAccount", "name": f"helm-{name_of(chart)}", "namespace": namespace_of(chart)}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"helm-{namespace_of(chart)}-{name_of(chart)}"},
        "roleRef": role,
        "subjects": [subject],
    }
