"""The program of the traefik container: watches the cluster and keeps a haproxy configured as Traefik would route."""

import base64
import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from lab.standins.ingress import certificates, haproxy
from lab.standins.ingress.routes import Cluster, routers
from lab.standins.k3s.addons import KUBECONFIG
from lab.standins.k3s.api import Api
from lab.standins.k3s.events import Recorder
from lab.standins.k3s.world import World

DIRECTORY = Path("/run/traefik")
SOCKET = DIRECTORY / haproxy.SOCKET
COLLECTIONS = {
    "ingresses": "networking.k8s.io/v1/ingresses",
    "ingress_classes": "networking.k8s.io/v1/ingressclasses",
    "middlewares": "traefik.io/v1alpha1/middlewares",
    "services": "v1/services",
    "endpoint_slices": "discovery.k8s.io/v1/endpointslices",
    "secrets": "v1/secrets",
}
SETTLE_SECONDS = 0.1  # changes come in groups: Traefik, too, waits a little before it takes them over
PERIOD = 3600.0
GRACE_SECONDS = 10.0  # Traefik's lifeCycle.graceTimeOut


class Ingress:
    """The configuration on disk and the haproxy that runs it."""

    def __init__(self, world: World, stop: threading.Event) -> None:
        self._world = world
        self._stop = stop
        self._written: dict[Path, str] = {}
        self._told: set[str] = set()
        self._haproxy: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []

    def round(self) -> None:
        """Take over what the cluster says now."""
        cluster = Cluster(**{field: self._world.list(name) for field, name in COLLECTIONS.items()})
        made, problems = routers(cluster)
        pems, more = certificates.pems(cluster)
        self._tell([*problems, *more])
        files = {DIRECTORY / "certs" / f"{name}.pem": pem for name, pem in pems.items()}
        files[DIRECTORY / "haproxy.cfg"] = haproxy.render(made, str(DIRECTORY))
        if files != self._written:
            self._write(files)
            self._reload()

    def stop(self) -> None:
        """End as Traefik does: no new connections, and ten seconds for those that are open."""
        if self._haproxy is None or self._haproxy.poll() is not None:
            return
        self._haproxy.send_signal(signal.SIGUSR1)
        try:
            self._haproxy.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._haproxy.terminate()

    @property
    def failed(self) -> bool:
        """Whether haproxy ended by itself."""
        return self._haproxy is not None and bool(self._haproxy.returncode)

    def _tell(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self._told:
                print(f"ERR {problem} providerName=kubernetes", flush=True)
        self._told = set(problems)

    def _write(self, files: dict[Path, str]) -> None:
        for path in set(self._written) - set(files):
            path.unlink()
        for path, text in files.items():
            path.touch(mode=0o600)
            path.write_text(text)
        self._written = files

    def _reload(self) -> None:
        config = str(DIRECTORY / "haproxy.cfg")
        checked = subprocess.run(["haproxy", "-c", "-q", "-f", config], capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            print(f"ERR haproxy refused the configuration: {checked.stderr}", flush=True)
            return
        # A new process each time: haproxy's own master would be told by SIGUSR2, and a second one while it starts is
        # lost, or kills it.
        self._haproxy = subprocess.Popen(["haproxy", "-q", "-db", "-f", config, *self._replacing()])
        self._running.append(self._haproxy)
        threading.Thread(target=self._watch, args=(self._haproxy,), daemon=True).start()

    def _replacing(self) -> list[str]:
        """haproxy's options for what still runs: the new one is handed the listening sockets, with the connections that
        wait in them, and ends all of those softly; the last of them may not have come so far with those before it."""
        self._running = [process for process in self._running if process.poll() is None]
        if not self._running:
            return []
        handed_over = ["-x", str(SOCKET)] if SOCKET.exists() else []
        return [*handed_over, "-sf", *(str(process.pid) for process in self._running)]

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        """A process that ends before it was replaced ends the program, as a crash of Traefik ends its container."""
        process.wait()
        if process is self._haproxy:
            self._stop.set()


def connect(kubeconfig: Path, ca: Path) -> Api:
    """The API that a kubeconfig names; its CA goes to `ca`."""
    document = json.loads(kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    ca.write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return Api(cluster["server"], user["token"], ca, "traefik")


def main() -> int:
    """Run until SIGTERM, or until haproxy ends; the exit status."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    (DIRECTORY / "certs").mkdir(parents=True, exist_ok=True)
    certificates.make_default(DIRECTORY / "default.pem")
    SOCKET.unlink(missing_ok=True)
    (DIRECTORY / "bad-gateway.http").write_text(haproxy.BAD_GATEWAY)
    api = connect(Path(KUBECONFIG), DIRECTORY / "ca.crt")
    world = World(api, Recorder(api, "traefik"), COLLECTIONS.values())
    world.start()
    ingress = Ingress(world, stop)
    threading.Thread(target=_follow, args=(world, ingress, stop), name="ingress", daemon=True).start()
    stop.wait()
    world.stop()
    ingress.stop()
    return 1 if ingress.failed else 0


def _follow(world: World, ingress: Ingress, stop: threading.Event) -> None:
    world.wait_synced()
    seen = -1
    while world.wait(seen, PERIOD) and not stop.wait(SETTLE_SECONDS):
        seen = world.changes
        ingress.round()


if __name__ == "__main__":
    sys.exit(main())
