"""Which program of the lab plays which container image."""

from collections.abc import Sequence
from dataclasses import dataclass, field

PYTHON = "/usr/bin/python3"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Program:
    """What an image has: entrypoint, arguments, environment and home as the real one, and who plays its commands."""

    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    home: str = "/root"
    played_by: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The lab's program by the command that it plays; other commands are the host's own."""
    absent: tuple[str, ...] = ()
    """Commands that hosts have and the real image has not: they are hidden from its containers."""
    asks_api: bool = False
    """Whether its containers are given a kubeconfig, as others have the token of their service account."""

    def argv(self, command: Sequence[str] | None, arguments: Sequence[str] | None) -> list[str]:
        """What a container runs; its command replaces entrypoint and arguments, as in Kubernetes."""
        if command:
            wanted = [*command, *(arguments or ())]
        else:
            wanted = [*self.entrypoint, *(self.arguments if arguments is None else arguments)]
        return self.played(wanted)

    def played(self, argv: Sequence[str]) -> list[str]:
        """A command line with the image's own command replaced by who plays it."""
        return [*self.played_by.get(argv[0], (argv[0],)), *argv[1:]]


STANDINS = "/opt/lab/src/lab/standins"
OLLAMA = (PYTHON, "-m", "lab.standins.ollama")


def _operand(*commands: str, asks_api: bool = False) -> Program:
    """An image of the GPU operator or of NFD, with these commands, all played by one program."""
    played: dict[str, tuple[str, ...]] = {command: (f"{STANDINS}/gpu/operand", command) for command in commands}
    return Program(entrypoint=(commands[0],), played_by=played, asks_api=asks_api)


# By repository, without registry and tag.
PROGRAMS = {
    "ollama/ollama": Program(
        entrypoint=("/bin/ollama",),
        arguments=("serve",),
        environment={
            "PATH": f"{STANDINS}/ollama/bin:{PATH}",
            "OLLAMA_HOST": "0.0.0.0:11434",
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        },
        played_by={"/bin/ollama": OLLAMA, "/usr/bin/ollama": OLLAMA, "ollama": OLLAMA},
        absent=("curl", "rsync", "ssh"),
    ),
    "open-webui/open-webui": Program(
        entrypoint=("/app/backend/start.sh",),
        environment={"ENV": "prod", "PORT": "8080", "OLLAMA_BASE_URL": "/ollama", "HF_HUB_OFFLINE": "1"},
        played_by={"/app/backend/start.sh": (f"{STANDINS}/open_webui/start",)},
        absent=("rsync", "ssh"),
    ),
    "rancher/mirrored-library-traefik": Program(
        entrypoint=("/entrypoint.sh",),
        played_by={"/entrypoint.sh": (PYTHON, "-m", "lab.standins.ingress")},
    ),
    "rancher/klipper-helm": Program(
        entrypoint=("entry",),
        played_by={"entry": (f"{STANDINS}/helm/klipper-helm",)},
        asks_api=True,
    ),
    "nvidia/gpu-operator": Program(
        entrypoint=("gpu-operator",),
        played_by={
            "gpu-operator": (f"{STANDINS}/gpu/operand", "gpu-operator"),
            "nvidia-validator": (f"{STANDINS}/gpu/validator",),
            "vectorAdd": ("env", "COMPONENT=vectorAdd", f"{STANDINS}/gpu/validator"),
        },
        asks_api=True,
    ),
    "nvidia/k8s/container-toolkit": _operand("nvidia-toolkit"),
    "nvidia/k8s-device-plugin": _operand("nvidia-device-plugin", "gpu-feature-discovery"),
    "nvidia/k8s/dcgm-exporter": _operand("dcgm-exporter"),
    "nvidia/cloud-native/k8s-mig-manager": _operand("nvidia-mig-manager"),
    "nfd/node-feature-discovery": _operand("nfd-worker", "nfd-master", "nfd-gc"),
    "rancher/mirrored-library-busybox": Program(entrypoint=("sh",), home="/"),
}

TRAEFIK_IMAGE = "docker.io/rancher/mirrored-library-traefik:3.7.1"
KLIPPER_HELM_IMAGE = "docker.io/rancher/klipper-helm:v0.9.14-build20260309"
# What every K3s node has from its air-gap archive, whether or not a registry answers.
SYSTEM_IMAGES = (TRAEFIK_IMAGE, KLIPPER_HELM_IMAGE, "docker.io/rancher/mirrored-library-busybox:1.37.0")


def lab_environment(tag: str) -> dict[str, str]:
    """What the lab's programs need beside the image's environment."""
    return {
        "PYTHONPATH": "/opt/lab/src:/opt/lab/site-packages:/opt/lab/inference/site-packages",
        "PYTHONUNBUFFERED": "1",
        "LAB_IMAGE_TAG": tag,
    }
