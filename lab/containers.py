"""Lab hosts made of containers, for machines that are not Linux and users who are not root there.

The image is imported from the lab's root file system: no registry is asked for anything. Where this machine has no way
into the container network (an engine in a virtual machine), sshd is reached through a port on 127.0.0.1.
"""

import hashlib
import io
import secrets
import socket
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab import paths, rootfs
from lab.labhost import ENVIRONMENT, LabHost
from lab.record import Record
from scout_ollama.errors import Trouble

_NAME = "scout-lab"


class Containers:
    """All hosts of one lab."""

    name = "containers"

    def __init__(self, record: Record) -> None:
        self._record = record

    @classmethod
    def reserve(cls, record: Record) -> Record:
        """``record`` with a container network that this lab alone has from now on."""
        with _engine() as engine:
            number = _create_network(engine, record.name)
        hosts = record.hosts
        ports = {} if _is_ours(_gateway(number)) else dict(zip(hosts, _free_ports(len(hosts)), strict=True))
        return replace(record, network=number, ports=ports)

    def up(self) -> None:
        """Start all hosts; they boot in the background."""
        with _engine() as engine:
            image = _import_image(engine)
            engine.volumes.create(_resource(self._record.name), labels=_labels(self._record.name))
            for name in self._record.hosts:
                self._create(engine, image, name).start()

    def down(self) -> None:
        """Remove the lab's containers, network and volume."""
        ours = {"label": f"{_NAME}={self._record.name}"}
        with _engine() as engine:
            for container in engine.containers.list(all=True, filters=ours):
                container.remove(force=True)
            for network in engine.networks.list(filters=ours):
                network.remove()
            for volume in engine.volumes.list(filters=ours):
                volume.remove()

    def host(self, name: str) -> "ContainerHost":
        """One host."""
        return ContainerHost(self._record, name)

    def tried_to_leave(self) -> dict[str, list[str]]:
        """Not offered: a container has no route to anywhere outside, and nothing counts what it would have sent."""
        raise Trouble(
            "what the lab's hosts sent to addresses outside cannot be counted",
            why="this lab's hosts are containers",
            next="run the lab as root on Linux, where hosts are namespaces",
        )

    def _create(self, engine: Any, image: str, name: str) -> Any:
        record, lab = self._record, _resource(self._record.name)
        address = record.address(name)
        programs = {"inference": record.inference, "kubernetes": record.kubernetes}
        real = [f"{directory}:/opt/lab/{name}:ro" for name, directory in programs.items() if directory]
        container = engine.containers.create(
            image,
            ["/usr/bin/tini", "-g", "--", "/opt/lab/src/lab/host/container", address],
            name=_resource(record.name, name),
            hostname=name,
            labels=_labels(record.name),
            environment=ENVIRONMENT,
            network=lab,
            networking_config={lab: engine.api.create_endpoint_config(ipv4_address=address)},
            ports={"22/tcp": ("127.0.0.1", record.ports[name])} if name in record.ports else {},
            volumes=[f"{paths.PACKAGE}:/opt/lab/src/lab:ro", f"{lab}:/opt/lab/nfs", *real],
            tmpfs={"/run": "mode=755,exec", "/tmp": "mode=1777,exec"},  # noqa: S108  the host's own
            # What root of a K3s host does: networks, mounts, namespaces. Unlike privileged, it has no devices.
            cap_add=["NET_ADMIN", "SYS_ADMIN", "SYS_BOOT", "SYS_PTRACE"],
            security_opt=["apparmor=unconfined", "seccomp=unconfined"],
            # reboot(2) inside ends the container; the engine starts it again.
            restart_policy={"Name": "always"},
        )
        for files in (record.common, record.files(name)):
            container.put_archive("/", files.read_bytes())
        return container


class ContainerHost(LabHost):
    """A host that is a container. What an engine cannot do to one raises ``Trouble``."""

    def __init__(self, record: Record, name: str) -> None:
        super().__init__(name, record.address(name), record.endpoint(name))
        self._lab = record.name

    @property
    def root(self) -> Path:
        raise self._impossible("the file system of a container cannot be seen from outside")

    def run(self, argv: Sequence[str], input: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        with self._container() as container:
            if container.status != "running":
                raise Trouble("the lab host is off", host=self.name)
            command = list(argv)
            if input:
                # The engine's way to feed a command is a raw connection; a file is simpler.
                given = f"input-{secrets.token_hex(8)}"
                container.put_archive("/var/lib", _archive_of(given, input.encode()))
                command = ["sh", "-c", 'exec <"$0"; rm "$0"; exec "$@"', f"/var/lib/{given}", *command]
            status, (stdout, stderr) = container.exec_run(command, environment=ENVIRONMENT, demux=True)
        done = subprocess.CompletedProcess(command, status, _text(stdout), _text(stderr))
        if check and status != 0:
            last = (done.stderr or done.stdout).strip().splitlines()[-10:]
            raise Trouble(f"{argv[0]} failed with status {status}", host=self.name, why="\n".join(last))
        return done

    def cut(self) -> None:
        with self._container() as container:
            self._network(container).disconnect(container)

    def restore(self) -> None:
        with self._container() as container:
            if not container.attrs["NetworkSettings"]["Networks"]:
                self._network(container).connect(container, ipv4_address=self.address)

    def limit(self, rate: str) -> None:
        raise self._impossible(f"the link of a container cannot be limited to {rate}")

    def lose(self, percent: int) -> None:
        raise self._impossible(f"the link of a container cannot lose {percent} % of its packets")

    def freeze(self) -> None:
        with self._container() as container:
            container.pause()

    def thaw(self) -> None:
        with self._container() as container:
            container.unpause()

    def power_off(self) -> None:
        with self._container() as container:
            container.kill()
            container.wait()

    def power_on(self) -> None:
        with self._container() as container:
            container.start()
            connected = bool(container.attrs["NetworkSettings"]["Networks"])
        if connected:
            self.wait_for_ssh()

    def fill(self, path: str) -> None:
        raise self._impossible(f"the disk that {path} is on cannot be filled: it is the engine's")

    def free(self, path: str) -> None:
        raise self._impossible(f"the disk that {path} is on cannot be filled: it is the engine's")

    def console(self) -> str:
        with self._container() as container:
            return _text(container.logs(tail=20))

    @contextmanager
    def _container(self) -> Iterator[Any]:
        with _engine(self.name) as engine:
            yield engine.containers.get(_resource(self._lab, self.name))

    def _network(self, container: Any) -> Any:
        return container.client.networks.get(_resource(self._lab))

    def _impossible(self, what: str) -> Trouble:
        next_step = "run the lab as root on Linux, where hosts are namespaces"
        return Trouble(what, host=self.name, why="this lab's hosts are containers", next=next_step)


@contextmanager
def _engine(host: str | None = None) -> Iterator[Any]:
    """A connection to the container engine that the environment names; its errors as ``Trouble``, about ``host``."""
    try:
        import docker
    except ImportError:
        what = "the lab's hosts would be containers, and the package docker is not installed"
        raise Trouble(what, next="pip install '.[docker]', or run the lab as root on Linux") from None
    with ExitStack() as stack:
        try:
            client = docker.from_env()
            stack.callback(client.close)
            yield client
        except docker.errors.NotFound as error:
            next_step = "inv lab-down, then inv lab-up"
            raise Trouble("the lab is not running", host=host, why=str(error), next=next_step) from None
        except docker.errors.DockerException as error:
            raise Trouble("the container engine refuses", host=host, why=str(error), next="docker info") from None


def _import_image(engine: Any) -> str:
    """The name of the image of the root file system, imported if the engine does not have it yet."""
    import docker

    archive = rootfs.archive()
    with archive.open("rb") as content:
        image = f"{_NAME}:{hashlib.file_digest(content, 'sha256').hexdigest()[:16]}"
    try:
        engine.images.get(image)
    except docker.errors.ImageNotFound:
        repository, tag = image.split(":")
        engine.api.import_image(str(archive), repository=repository, tag=tag)
    return image


def _create_network(engine: Any, lab: str) -> int:
    """Make the lab's network, the first that overlaps with no other; its number."""
    import docker

    for number in range(1, 255):
        pool = docker.types.IPAMPool(subnet=f"198.18.{number}.0/24", gateway=_gateway(number))
        addresses = docker.types.IPAMConfig(pool_configs=[pool])
        try:
            engine.networks.create(_resource(lab), driver="bridge", ipam=addresses, labels=_labels(lab))
        except docker.errors.APIError as error:
            if "overlap" in str(error):
                continue
            raise
        return number
    raise Trouble("no network is free for another lab", next="docker network ls")


def _gateway(network: int) -> str:
    return f"198.18.{network}.1"


def _is_ours(address: str) -> bool:
    """Whether the address is this machine's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    """Ports on 127.0.0.1 that nobody listens on now."""
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in listeners]


def _resource(*names: str) -> str:
    return "-".join((_NAME, *names))


def _labels(lab: str) -> dict[str, str]:
    return {_NAME: lab}


def _archive_of(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _text(output: bytes | None) -> str:
    return (output or b"").decode(errors="replace")
