"""What starting a container takes: its program, environment and mounts."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.standins.images import PATH, PROGRAMS, Program, lab_environment
from lab.standins.k3s import environment, gpus, security, volumes
from lab.standins.k3s.containers import Launch
from lab.standins.k3s.hostinfo import HOST_JSON, KUBELET_KUBECONFIG
from lab.standins.k3s.node_context import NodeContext
from lab.standins.k3s.objects import Object, name_of, namespace_of, quantity, uid_of
from lab.standins.k3s.pull import Image
from lab.standins.k3s.registries import parse_reference

LOGS = Path("/var/log/pods")
NOTHING = Path("/dev/null")
KUBECONFIG = "/run/secrets/kubeconfig"


def build(
    node: NodeContext,
    pod: Object,
    spec: Mapping[str, Any],
    image: Image,
    ready_volumes: Mapping[str, tuple[Path, bool]],
    netns: Path,
    attempt: int,
) -> Launch:
    """Everything `Container.start` needs. Raises ConfigError, MountError, AllocationError or ApiError."""
    program = program_of(image.name)
    rights = security.security(pod, spec)
    own = environment.build(pod, spec, node)
    devices = _devices(node, pod, spec)
    variables = {
        "PATH": PATH,
        "HOSTNAME": pod["spec"].get("hostname") or name_of(pod),
        "HOME": program.home if rights.user == 0 else "/",
        **program.environment,
        **devices,
        **own,
        **({"KUBECONFIG": KUBECONFIG} if program.asks_api else {}),
        **lab_environment(parse_reference(image.name).tag),
    }
    hosts = volumes.Mount(etc_hosts(uid_of(pod)), "/etc/hosts", read_only=False)
    # A privileged container has the host's devices.
    has_gpus = devices or rights.capabilities is None or pod["spec"].get("runtimeClassName") == "nvidia"
    hidden = [*program.absent, *([] if has_gpus else ["nvidia-smi"])]
    lab = volumes.Mount(HOST_JSON, "/etc/lab/host.json", read_only=True)
    api = [volumes.Mount(KUBELET_KUBECONFIG, KUBECONFIG, read_only=True)] if program.asks_api else []
    mounts = [hosts, lab, *api, *volumes.mounts(spec, ready_volumes), *_hide(hidden)]
    argv = [environment.expand(word, own) for word in program.argv(spec.get("command"), spec.get("args"))]
    return Launch(argv, rights, variables, mounts, netns, log_file(pod, str(spec["name"]), attempt))


def program_of(image: str) -> Program:
    """Who plays an image. Raises ConfigError."""
    try:
        return PROGRAMS[parse_reference(image).repository]
    except KeyError:
        raise environment.ConfigError(
            f'no program of the lab plays the image "{image}" (lab/standins/images.py)'
        ) from None


def _devices(node: NodeContext, pod: Object, spec: Mapping[str, Any]) -> dict[str, str]:
    limits = (spec.get("resources") or {}).get("limits") or {}
    count = int(quantity(limits.get(gpus.RESOURCE, 0)))
    return {"NVIDIA_VISIBLE_DEVICES": ",".join(node.gpus.allocate(uid_of(pod), count))} if count else {}


def _hide(commands: list[str]) -> list[volumes.Mount]:
    found = [shutil.which(command, path=PATH) for command in commands]
    return [volumes.Mount(NOTHING, str(Path(path).resolve()), read_only=False) for path in found if path]


def etc_hosts(pod_uid: str) -> Path:
    """The pod's /etc/hosts on the node."""
    return volumes.PODS / pod_uid / "etc-hosts"


def log_directory(pod: Object) -> Path:
    """Where the logs of the pod's containers are."""
    return LOGS / f"{namespace_of(pod)}_{name_of(pod)}_{uid_of(pod)}"


def log_file(pod: Object, container: str, attempt: int) -> Path:
    """Where the output of one run of a container is."""
    return log_directory(pod) / container / f"{attempt}.log"
