"""One container through its life: image, start, probes, restarts with back-off, stop. The texts are the kubelet's."""

import datetime
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.standins.k3s import hooks, launch
from lab.standins.k3s.api import ApiError
from lab.standins.k3s.containers import Container, Exit, Launch, Record, StartError
from lab.standins.k3s.environment import ConfigError
from lab.standins.k3s.gpus import AllocationError
from lab.standins.k3s.image_manager import ImageError
from lab.standins.k3s.node_context import NodeContext
from lab.standins.k3s.objects import Object, name_of, namespace_of, timestamp, uid_of
from lab.standins.k3s.pod_status import ContainerState
from lab.standins.k3s.prober import Probers
from lab.standins.k3s.pull import Image
from lab.standins.k3s.volumes import MountError

Volumes = Mapping[str, tuple[Path, bool]]

FIRST_BACK_OFF, LONGEST_BACK_OFF = 10.0, 300.0  # seconds
STEADY_SECONDS = 600.0  # a run this long makes the next failure the first again
PULL_ERROR_SHOWN_SECONDS = 1.0  # ErrImagePull is seen this long before it becomes ImagePullBackOff
CONFIG_RETRY_SECONDS = 5.0
HOOK_SECONDS = 120.0
MESSAGE_LENGTH = 2048
NEVER = float("inf")


class BackOff:
    """Waits that double, in seconds."""

    def __init__(self, first: float) -> None:
        self._first = self._next = first

    def advance(self) -> float:
        wait = self._next
        self._next = min(max(wait * 2, FIRST_BACK_OFF), LONGEST_BACK_OFF)
        return wait

    def reset(self) -> None:
        self._next = self._first


class ContainerRunner:
    """Drives one container. The pod's thread calls `step` when `next_attempt` has come or something has happened."""

    def __init__(
        self, node: NodeContext, pod: Object, spec: Mapping[str, Any], wake: Callable[[], None], *, init: bool = False
    ) -> None:
        """An `init` container that has succeeded is not started again, whatever the pod's restartPolicy is."""
        self.spec = spec
        self._is_init = init
        self.name: str = spec["name"]
        self.view = ContainerState(self.name)
        self.running: Container | None = None
        self._node = node
        self._pod = pod
        self._wake = wake
        self._due = 0.0  # monotonic time of the next attempt
        self._probers: Probers | None = None
        self._crash = BackOff(0.0)  # the first restart comes at once
        self._pull = BackOff(FIRST_BACK_OFF)
        self._failed_probe = ""
        self._pull_error = ""
        self._was_started = False

    def restore(self, recorded: Mapping[str, Any], address: str) -> None:
        """Take over from an earlier run of the service: adopt what runs, and start again what was lost."""
        self.view.restarts = int(recorded.get("restartCount", 0))
        self.view.last_state = recorded.get("lastState") or {}
        self._was_started = bool(recorded.get("containerID"))
        found = Container.find(uid_of(self._pod), self.name)
        if found is not None:
            self._adopt(found, recorded, address)
        elif self._was_started:
            # The host was rebooted: nobody saw how the container ended.
            ended = (recorded.get("state") or {}).get("terminated") or {"exitCode": 255, "reason": "Unknown"}
            self.view.last_state = {"terminated": {**ended, "containerID": recorded["containerID"]}}

    def _adopt(self, found: Container, recorded: Mapping[str, Any], address: str) -> None:
        self.running = found
        self._was_started = True
        self.view.image, self.view.image_id = found.record.image, found.record.image_id
        self.view.container_id = found.record.id
        self.view.state = {"running": {"startedAt": _stamp(found.record.started)}}
        self.view.ready = bool(recorded.get("ready"))
        self.view.started = bool(recorded.get("started"))
        if found.alive():
            self._start_probes(address)
        elif self._is_init and (ended := found.exit()) is not None:
            self._ended(ended)  # nobody steps it again where the pod's containers run

    @property
    def next_attempt(self) -> float:
        """Monotonic time when `step` has something to do by itself; infinity while the container runs or is done."""
        return NEVER if self.running is not None else self._due

    def step(self, volumes: Volumes, netns: Path, address: str) -> None:
        """Notice an exit, act on a failed probe, start when it is time."""
        if self.running is not None and self._failed_probe:
            self._stop_unhealthy(address)
        ended = self.running.exit() if self.running is not None else None
        if ended is not None:
            self._ended(ended)
        if self.running is None and time.monotonic() >= self._due:
            self._attempt(volumes, netns, address)

    # Starting

    def _attempt(self, volumes: Volumes, netns: Path, address: str) -> None:
        if self._pull_error:
            self._back_off_pull()
            return
        try:
            image = self._node.images.ensure(self.spec["image"], self.spec.get("imagePullPolicy"), self._emit)
        except ImageError as error:
            self._pull_error = str(error) if error.reason == "ErrImagePull" else ""
            shown = PULL_ERROR_SHOWN_SECONDS if self._pull_error else CONFIG_RETRY_SECONDS
            self._wait(error.reason, str(error), shown)
            return
        self._pull.reset()
        try:
            attempt = self.view.restarts + self._was_started
            pod = self._with_address(address)
            wanted = launch.build(self._node, pod, self.spec, image, volumes, netns, attempt)
        except (ConfigError, MountError, AllocationError, ApiError) as error:
            self._emit("Failed", f"Error: {error}", True)
            self._wait("CreateContainerConfigError", str(error), CONFIG_RETRY_SECONDS)
            return
        self._start(wanted, image, address)

    def _with_address(self, address: str) -> Object:
        """The pod as its own environment may refer to it: it had no address when it was created."""
        status = {**(self._pod.get("status") or {}), "podIP": address, "hostIP": self._node.host.me.address}
        return {**self._pod, "status": status}

    def _back_off_pull(self) -> None:
        words = f'Back-off pulling image "{self.spec["image"]}"'
        self._emit("BackOff", words, False)
        self._emit("Failed", "Error: ImagePullBackOff", True)
        self._wait("ImagePullBackOff", f"{words}: ErrImagePull: {self._pull_error}", self._pull.advance())
        self._pull_error = ""

    def _wait(self, reason: str, message: str, seconds: float) -> None:
        self.view.state = {"waiting": {"reason": reason, "message": message}}
        self._due = time.monotonic() + seconds

    def _start(self, wanted: Launch, image: Image, address: str) -> None:
        self.view.restarts += self._was_started
        self._was_started = True
        record = Record(secrets.token_hex(32), self.view.restarts, 0, "", image.name, image.repo_digest, time.time())
        self.view.image, self.view.image_id, self.view.container_id = image.name, image.repo_digest, record.id
        self.view.ready = self.view.started = False
        self._failed_probe = ""
        self._emit("Created", "Container created", False)
        try:
            self.running = Container.start(uid_of(self._pod), self.name, wanted, record)
        except (StartError, OSError) as error:
            self._emit("Failed", f"Error: {error}", True)
            self._terminated(Exit(128, time.time()), "StartError", str(error))
            self._plan_restart(128)
            return
        self._emit("Started", "Container started", False)
        self.view.state = {"running": {"startedAt": _stamp(record.started)}}
        self._post_start(address)
        self._start_probes(address)

    def _post_start(self, address: str) -> None:
        hook = (self.spec.get("lifecycle") or {}).get("postStart")
        if hook and self.running is not None:
            try:
                hooks.run(hook, self.spec, address, self.running, HOOK_SECONDS)
            except hooks.HookError as error:
                self._emit("FailedPostStartHook", f"PostStartHook failed: {error}", True)
                self._failed_probe = "postStart"

    # Probes

    def _start_probes(self, address: str) -> None:
        if self.running is not None:
            self._probers = Probers(self.spec, address, self.running, self._probed, self._probe_failed)
            self._probers.start(started=self.view.started)

    def _probed(self, kind: str, passed: bool) -> None:
        if kind == "readiness":
            self.view.ready = passed
        elif kind == "startup" and passed:
            self.view.started = True
        elif not passed:
            self._failed_probe = kind
        self._wake()

    def _probe_failed(self, kind: str, message: str) -> None:
        self._emit("Unhealthy", f"{kind.capitalize()} probe failed: {message}", True)

    # Ending

    def _stop_unhealthy(self, address: str) -> None:
        kind, self._failed_probe = self._failed_probe, ""
        self._emit("Killing", f"Container {self.name} failed {kind} probe, will be restarted", False)
        probe = self.spec.get(f"{kind}Probe") or {}
        default = self._pod["spec"].get("terminationGracePeriodSeconds", 30)
        self.stop(address, float(probe.get("terminationGracePeriodSeconds") or default))

    def stop(self, address: str, grace: float) -> None:
        """preStop, SIGTERM, and SIGKILL when the grace (seconds) is over; returns when the container has ended."""
        self._stop_probes()
        if self.running is None:
            return
        deadline = time.monotonic() + grace
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook and grace > 0:
            try:
                hooks.run(hook, self.spec, address, self.running, grace)
            except hooks.HookError as error:
                self._emit("FailedPreStopHook", f"PreStopHook failed: {error}", True)
        self.running.terminate()
        # Two seconds are left to a container even when its hook took all of the grace.
        if not self.running.wait(max(deadline - time.monotonic(), 2.0 if grace else 0.0)):
            self.running.kill()
            self.running.wait(LONGEST_BACK_OFF)

    def finish(self) -> None:
        """Take note of the end of a container that was stopped for good."""
        self._stop_probes()
        ended = self.running.exit() if self.running is not None else None
        if ended is not None:
            self._terminated(ended, ended.reason)
        self._due = NEVER

    def _stop_probes(self) -> None:
        if self._probers is not None:
            self._probers.stop()

    def _ended(self, ended: Exit) -> None:
        self._stop_probes()
        if self.running is not None and ended.finished - self.running.record.started >= STEADY_SECONDS:
            self._crash.reset()
        self._terminated(ended, ended.reason, self._last_words(ended))
        self._plan_restart(ended.code)

    def _last_words(self, ended: Exit) -> str:
        """The end of the log of a container that failed, where its terminationMessagePolicy asks for it."""
        if ended.code == 0 or self.spec.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return ""
        log = launch.log_file(self._pod, self.name, self.view.restarts)
        return log.read_text(errors="replace")[-MESSAGE_LENGTH:] if log.exists() else ""

    def _terminated(self, ended: Exit, reason: str, message: str = "") -> None:
        started = self.running.record.started if self.running is not None else 0.0
        self.running = None
        self.view.ready = self.view.started = False
        terminated = {
            "exitCode": ended.code,
            "reason": reason,
            "startedAt": _stamp(started),
            "finishedAt": _stamp(ended.finished),
            "containerID": f"containerd://{self.view.container_id}",
        }
        self.view.state = {"terminated": {**terminated, **({"message": message} if message else {})}}

    def _plan_restart(self, code: int) -> None:
        policy = self._pod["spec"].get("restartPolicy", "Always")
        if policy == "Never" or (code == 0 and (self._is_init or policy == "OnFailure")):
            self._due = NEVER
            return
        seconds = self._crash.advance()
        self.view.last_state = self.view.state
        if not seconds:
            self._due = time.monotonic()
            return
        where = f"{name_of(self._pod)}_{namespace_of(self._pod)}({uid_of(self._pod)})"
        self._emit("BackOff", f"Back-off restarting failed container {self.name} in pod {where}", True)
        message = f"back-off {_duration(seconds)} restarting failed container={self.name} pod={where}"
        self._wait("CrashLoopBackOff", message, seconds)

    def _emit(self, reason: str, message: str, warning: bool) -> None:
        self._node.recorder.emit(self._pod, reason, message, "kubelet", warning=warning)


def stop_all(runners: list[ContainerRunner], address: str, grace: float) -> None:
    """Stop containers at the same time; returns when all have ended."""
    threads = [threading.Thread(target=r.stop, args=(address, grace), name=f"stop {r.name}") for r in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for runner in runners:
        runner.finish()


def _stamp(seconds: float) -> str:
    return timestamp(datetime.datetime.fromtimestamp(seconds, datetime.UTC))


def _duration(seconds: float) -> str:
    """As Go prints a duration: 1m20s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
