"""Containers as processes: started behind a shim that outlives the service, found again when it restarts."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lab.standins.images import PROGRAMS
from lab.standins.k3s.registries import parse_reference
from lab.standins.k3s.security import Security
from lab.standins.k3s.volumes import Mount

STATE = Path("/run/k3s/containerd/pods")  # gone after a reboot, as the processes are
KILL_SECONDS = 10.0
SHIM_SECONDS = 10.0
SHIM = Path(__file__).with_name("container-shim.sh")


class StartError(Exception):
    """The program of a container cannot be started; the text is containerd's."""


@dataclass(frozen=True)
class Launch:
    """What to start, and where."""

    argv: list[str]
    security: Security
    environment: dict[str, str]
    mounts: list[Mount]
    netns: Path
    log: Path


@dataclass(frozen=True)
class Record:
    """What is kept of a container while it runs and until it is removed. Times are Unix seconds."""

    id: str
    attempt: int
    shim: int
    shim_start: str  # ticks since boot: tells the process from a later one with the same number
    image: str
    image_id: str
    started: float


@dataclass(frozen=True)
class Exit:
    """How a container ended."""

    code: int
    finished: float  # Unix seconds

    @property
    def reason(self) -> str:
        return "Completed" if self.code == 0 else "Error"


class Container:
    """One run of one container of a pod."""

    def __init__(self, directory: Path, record: Record) -> None:
        self._directory = directory
        self.record = record

    @classmethod
    def start(cls, pod_uid: str, name: str, launch: Launch, record: Record) -> "Container":
        """Start it and remember it; `record` comes without the shim's process. Raises StartError."""
        _check_program(launch)
        directory = STATE / pod_uid / name
        shutil.rmtree(directory, ignore_errors=True)
        root = directory / "rootfs"
        root.mkdir(parents=True)
        mounts = directory / "mounts"
        root_mode = ["ro\t/\t/\n"] if launch.security.read_only_root else []
        mounts.write_text("".join([*(m.line() for m in launch.mounts), *root_mode]))
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        with launch.log.open("ab") as log:
            # Not a child of this process, which a service manager would wait for when it stops the service.
            detached = ["setsid", "--fork", str(SHIM), str(directory), str(launch.netns), str(root), str(mounts)]
            subprocess.run(
                [*detached, *launch.security.setpriv(), *launch.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=launch.environment,
                cwd="/",
                check=True,
            )
        pid = _read_number(directory / "shim")
        record = replace(record, shim=pid, shim_start=_start_ticks(pid) or "")
        (directory / "record.json").write_text(json.dumps(asdict(record)))
        return cls(directory, record)

    @classmethod
    def find(cls, pod_uid: str, name: str) -> "Container | None":
        """The container that an earlier run of the service started, dead or alive."""
        directory = STATE / pod_uid / name
        try:
            return cls(directory, Record(**json.loads((directory / "record.json").read_text())))
        except (OSError, ValueError):
            return None

    def alive(self) -> bool:
        return _start_ticks(self.record.shim) == self.record.shim_start

    def exit(self) -> Exit | None:
        """How it ended, or None while it runs."""
        if self.alive():
            return None
        file = self._directory / "exit"
        try:
            return Exit(int(file.read_text()), file.stat().st_mtime)
        except (OSError, ValueError):
            return Exit(137, time.time())  # the shim itself was killed

    def pid(self) -> int | None:
        """The container's first process, once its own program runs or is about to."""
        unshare = _child(self.record.shim)
        return _child(unshare) if unshare else None

    def open_pidfd(self) -> int | None:
        """A descriptor that becomes readable when the container has ended; None if it has."""
        try:
            return os.pidfd_open(self.record.shim) if self.alive() else None
        except ProcessLookupError:
            return None

    def wait(self, timeout: float) -> bool:
        """Wait for the end, at most `timeout` seconds; whether it came."""
        descriptor = self.open_pidfd()
        if descriptor is None:
            return True
        try:
            return bool(select.select([descriptor], [], [], timeout)[0])
        finally:
            os.close(descriptor)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def exec(self, command: list[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a command inside the container. Raises TimeoutExpired, or ProcessLookupError when it does not run."""
        pid = self.pid()
        if pid is None:
            raise ProcessLookupError("container not running")
        return subprocess.run(
            self._inside(pid, command),
            capture_output=True,
            text=True,
            timeout=timeout,
            env=_environment_of(pid),
            check=False,
        )

    def attach(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a command inside the container, with pipes. Raises ProcessLookupError when it does not run."""
        pid = self.pid()
        if pid is None:
            raise ProcessLookupError("container not running")
        pipe = subprocess.PIPE
        argv, environment = self._inside(pid, command), _environment_of(pid)
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, bufsize=0)

    def _inside(self, pid: int, command: list[str]) -> list[str]:
        argv = PROGRAMS[parse_reference(self.record.image).repository].played(command)
        inside = ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/"]
        return [*inside, *_same_user(pid), "--", *argv]

    def _signal(self, number: int) -> None:
        pid = self.pid()
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def remove_pod(pod_uid: str) -> None:
    """Forget a pod whose containers have ended."""
    shutil.rmtree(STATE / pod_uid, ignore_errors=True)


def kill_pod(pod_uid: str) -> None:
    """End at once whatever still runs of a pod that the API no longer knows, and forget it."""
    for name in names(pod_uid):
        found = Container.find(pod_uid, name)
        if found is not None and found.alive():
            found.kill()
            found.wait(KILL_SECONDS)
    remove_pod(pod_uid)


def names(pod_uid: str) -> list[str]:
    """The containers of a pod of which anything is left here."""
    directory = STATE / pod_uid
    return sorted(p.name for p in directory.iterdir() if p.is_dir()) if directory.exists() else []


def pods_on_node() -> list[str]:
    """The uids of pods of which anything is left here."""
    return [p.name for p in STATE.iterdir() if p.is_dir()] if STATE.exists() else []


def _check_program(launch: Launch) -> None:
    program = launch.argv[0]
    if shutil.which(program, path=launch.environment.get("PATH", "")) is None:
        where = "no such file or directory" if "/" in program else "executable file not found in $PATH"
        shown = f"stat {program}" if "/" in program else f'"{program}"'
        raise StartError(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
            "runc create failed: unable to start container process: error during container init: "
            f"exec: {shown}: {where}"
        )


def _read_number(path: Path) -> int:
    """The number that the shim writes as the first thing it does. Raises StartError if it does not."""
    deadline = time.monotonic() + SHIM_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        time.sleep(0.005)
    raise StartError("failed to create containerd task: failed to start shim")


def _start_ticks(pid: int) -> str | None:
    """When a process started, in ticks since boot, or None if there is none or it is only waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def _child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


def _same_user(pid: int) -> list[str]:
    """nsenter's options to become the user that a process runs as."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    ids = {line.split()[0]: line.split()[2] for line in lines if line.startswith(("Uid:", "Gid:"))}
    return [f"--setuid={ids['Uid:']}", f"--setgid={ids['Gid:']}"]


def _environment_of(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
