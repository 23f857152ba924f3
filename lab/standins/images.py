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


OLLAMA = (PYTHON, "-m", "lab.standins.ollama")

# By repository, without registry and tag.
PROGRAMS = {
    "ollama/ollama": Program(
        entrypoint=("/bin/ollama",),
        arguments=("serve",),
        environment={
            "OLLAMA_HOST": "0.0.0.0:11434",
            "NVIDIA_VISIBLE_DEVICES": "all",
            "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
        },
        played_by={"/bin/ollama": OLLAMA, "/usr/bin/ollama": OLLAMA, "ollama": OLLAMA},
        absent=("curl", "rsync", "ssh"),
    ),
    "rancher/mirrored-library-traefik": Program(
        entrypoint=("/entrypoint.sh",),
        played_by={"/entrypoint.sh": (PYTHON, "-m", "lab.standins.ingress")},
    ),
    "rancher/mirrored-library-busybox": Program(entrypoint=("sh",), home="/"),
}

TRAEFIK_IMAGE = "docker.io/rancher/mirrored-library-traefik:3.7.1"
# What every K3s node has from its air-gap archive, whether or not a registry answers.
SYSTEM_IMAGES = (TRAEFIK_IMAGE, "docker.io/rancher/mirrored-library-busybox:1.37.0")


def lab_environment(tag: str) -> dict[str, str]:
    """What the lab's programs need beside the image's environment."""
    return {"PYTHONPATH": "/opt/lab/src:/opt/lab/site-packages", "PYTHONUNBUFFERED": "1", "LAB_IMAGE_TAG": tag}
