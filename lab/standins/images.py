"""Which program of the lab plays which container image."""

from dataclasses import dataclass, field

PYTHON = "/usr/bin/python3"


@dataclass(frozen=True)
class Program:
    """What an image starts: its entrypoint, environment and home.

    `understands_arguments` tells whether the container's `command` and `args` replace the image's own as they would in a real
    container; otherwise a container that sets them fails to start, as one does whose image lacks the command.
    """

    entrypoint: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    home: str = "/root"
    understands_arguments: bool = False


LAB_PATH = "/opt/lab/src:/opt/lab/site-packages"

# By repository, without registry and tag.
PROGRAMS = {
    "ollama/ollama": Program(
        entrypoint=(PYTHON, "-m", "lab.standins.ollama"),
        arguments=("serve",),
        environment={
            "OLLAMA_HOST": "0.0.0.0:11434",
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        },
        understands_arguments=True,
    ),
    "rancher/mirrored-library-traefik": Program(
        entrypoint=(PYTHON, "-m", "lab.standins.ingress"),
    ),
    "rancher/mirrored-pause": Program(entrypoint=("/usr/bin/sleep",), arguments=("infinity",)),
    "rancher/mirrored-library-busybox": Program(entrypoint=("/bin/sh",), understands_arguments=True),
}

# What every K3s node has from its air-gap archive, whether or not a registry answers.
SYSTEM_IMAGES = (
    "docker.io/rancher/mirrored-library-traefik:3.7.1",
    "docker.io/rancher/mirrored-pause:3.10",
    "docker.io/rancher/mirrored-library-busybox:1.37.0",
)
