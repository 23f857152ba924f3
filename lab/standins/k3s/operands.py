"""What the GPU operator makes of a ClusterPolicy: a DaemonSet for each operand. Pure.

Names, labels and order of start are the operator's: operands wait until its validator has left toolkit-ready behind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from lab.standins.k3s.objects import Object, digest_of, owner_reference

PART_OF = {"app.kubernetes.io/part-of": "gpu-operator"}
HASH = "nvidia.com/last-applied-hash"
DEPLOY = "nvidia.com/gpu.deploy."
VALIDATIONS = "/run/nvidia/validations"
WAIT = (
    f"until [ -f {VALIDATIONS}/toolkit-ready ]; do echo waiting for nvidia container stack to be setup; sleep 1; done"
)
DROP_IN = "/etc/containerd/conf.d/99-nvidia.toml"


@dataclass(frozen=True)
class Operand:
    """One part of the stack: its key in the ClusterPolicy, its DaemonSet, and the node label that asks for it."""

    key: str
    name: str
    state: str
    label: str
    container: str
    command: str


TOOLKIT = Operand(
    "toolkit",
    "nvidia-container-toolkit-daemonset",
    "state-container-toolkit",
    "container-toolkit",
    "nvidia-container-toolkit-ctr",
    "nvidia-toolkit",
)
VALIDATOR = Operand(
    "validator",
    "nvidia-operator-validator",
    "state-operator-validation",
    "operator-validator",
    "nvidia-operator-validator",
    "sh",
)
OPERANDS = (
    TOOLKIT,
    VALIDATOR,
    Operand(
        "devicePlugin",
        "nvidia-device-plugin-daemonset",
        "state-device-plugin",
        "device-plugin",
        "nvidia-device-plugin",
        "nvidia-device-plugin",
    ),
    Operand(
        "dcgmExporter",
        "nvidia-dcgm-exporter",
        "state-dcgm-exporter",
        "dcgm-exporter",
        "nvidia-dcgm-exporter",
        "dcgm-exporter",
    ),
    Operand(
        "gfd",
        "gpu-feature-discovery",
        "gpu-feature-discovery",
        "gpu-feature-discovery",
        "gpu-feature-discovery",
        "gpu-feature-discovery",
    ),
    Operand(
        "migManager",
        "nvidia-mig-manager",
        "state-mig-manager",
        "mig-manager",
        "nvidia-mig-manager",
        "nvidia-mig-manager",
    ),
)


def enabled(policy: Object) -> list[Operand]:
    """The operands that the policy asks for; there is no doing without the validator."""
    spec = policy["spec"]
    return [o for o in OPERANDS if o is VALIDATOR or (spec.get(o.key) or {}).get("enabled", True)]


def image(part: Mapping[str, str]) -> str:
    """The image that a part of the policy names."""
    return f"{part['repository']}/{part['image']}:{part['version']}"


def objects(operand: Operand, policy: Object, namespace: str) -> list[tuple[str, Object]]:
    """(collection, object) of the operand's service account and DaemonSet."""
    metadata: Object = {"namespace": namespace, "labels": PART_OF, "ownerReferences": [owner_reference(policy)]}
    account: Object = {"name": operand.name.removesuffix("-daemonset"), **metadata}
    spec = _spec(operand, policy["spec"], account["name"])
    made = {**metadata, "name": operand.name, "labels": {"app": operand.name, **PART_OF}}
    return [
        ("v1/serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}),
        (
            "apps/v1/daemonsets",
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {**made, "annotations": {HASH: digest_of(spec)}},
                "spec": spec,
            },
        ),
    ]


def _spec(operand: Operand, policy: Mapping[str, Object], account: str) -> Object:
    daemon_sets = policy["daemonsets"]
    labels = {"app": operand.name, **PART_OF}
    strategy = {"type": daemon_sets.get("updateStrategy", "RollingUpdate")}
    if strategy["type"] == "RollingUpdate":
        most = str((daemon_sets.get("rollingUpdate") or {}).get("maxUnavailable", 1))
        strategy["rollingUpdate"] = {"maxUnavailable": int(most) if most.isdigit() else most}
    pod_labels = {**labels, **(daemon_sets.get("labels") or {})}
    return {
        "selector": {"matchLabels": labels},
        "updateStrategy": strategy,
        "template": {"metadata": {"labels": pod_labels}, "spec": _pod_spec(operand, policy, account)},
    }


def _pod_spec(operand: Operand, policy: Mapping[str, Object], account: str) -> Object:
    part, daemon_sets = policy[operand.key], policy["daemonsets"]
    directories = {"run-nvidia-validations": VALIDATIONS}
    container: Object = {**_container(operand.container, operand.command, part), "env": list(part.get("env") or [])}
    init = [_container("toolkit-validation", "sh", policy["validator"], ["-c", WAIT])]
    if operand is VALIDATOR:
        container |= {"args": ["-c", "echo all validations are successful; trap 'exit 0' TERM; sleep infinity & wait"]}
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sh", "-c", f"rm -f {VALIDATIONS}/*-ready"]}}}
        init = [_validation(component, part) for component in ("driver", "toolkit", "cuda", "plugin")]
    elif operand is TOOLKIT:
        init = [_validation("driver", policy["validator"])]
        directories |= _toolkit_directories(container, part)
    mounts = [{"name": name, "mountPath": path} for name, path in directories.items()]
    pod: Object = {
        "nodeSelector": {f"{DEPLOY}{operand.label}": "true"},
        "serviceAccountName": account,
        "initContainers": [{**c, "volumeMounts": mounts[:1]} for c in init],
        "containers": [{**container, "volumeMounts": mounts}],
        "volumes": [
            {"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
            for name, path in directories.items()
        ],
    }
    if daemon_sets.get("tolerations"):
        pod["tolerations"] = daemon_sets["tolerations"]
    if daemon_sets.get("priorityClassName"):
        pod["priorityClassName"] = daemon_sets["priorityClassName"]
    if part.get("imagePullSecrets"):
        pod["imagePullSecrets"] = [{"name": name} for name in part["imagePullSecrets"]]
    if operand is not TOOLKIT:
        pod["runtimeClassName"] = policy["operator"].get("runtimeClass", "nvidia")
    return pod


def _container(name: str, command: str, part: Mapping[str, str], arguments: list[str] | None = None) -> Object:
    made: Object = {
        "name": name,
        "image": image(part),
        "imagePullPolicy": part.get("imagePullPolicy", "IfNotPresent"),
        "command": [command],
        "securityContext": {"privileged": True},
    }
    return made | ({"args": arguments} if arguments else {})


def _validation(component: str, part: Mapping[str, str]) -> Object:
    """One init container of the validator, or of who waits for the driver."""
    paths = {"NODE_NAME": "spec.nodeName", "OPERATOR_NAMESPACE": "metadata.namespace"}
    variables: list[Object] = [
        {"name": "COMPONENT", "value": component},
        {"name": "VALIDATOR_IMAGE", "value": image(part)},
        *({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in paths.items()),
    ]
    return {**_container(f"{component}-validation", "nvidia-validator", part), "env": variables}


def _toolkit_directories(container: Object, part: Object) -> dict[str, str]:
    """Where on the host the toolkit writes; ROOT is added to its environment."""
    root = str(part.get("installDir") or "/usr/local/nvidia")
    drop_in = next((e["value"] for e in container["env"] if e["name"] == "RUNTIME_DROP_IN_CONFIG"), DROP_IN)
    container["env"] = [*container["env"], {"name": "ROOT", "value": root}]
    k3s = "/var/lib/rancher/k3s/agent/etc/containerd"
    directories = {"toolkit-install-dir": root, "containerd-config": k3s}
    parent = str(PurePosixPath(drop_in).parent)
    return directories | ({} if parent.startswith(k3s) else {"containerd-drop-in-config": parent})
