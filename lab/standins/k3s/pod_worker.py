"""One pod on this node, from admission to removal, in a thread of its own. The events' texts are the kubelet's."""

import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from lab.standins.k3s import cluster_dns, containers, gpus, launch, pod_network, pod_status, volumes
from lab.standins.k3s.api import ApiError
from lab.standins.k3s.bell import Bell
from lab.standins.k3s.container_runner import ContainerRunner, stop_all
from lab.standins.k3s.containerd_config import has_runtime, with_drop_ins
from lab.standins.k3s.journal import log
from lab.standins.k3s.node_context import NodeContext
from lab.standins.k3s.objects import (
    Object,
    condition,
    is_deleted,
    name_of,
    namespace_of,
    requests_of,
    timestamp,
    uid_of,
)

MOUNT_RETRY_SECONDS = (0.5, 122.0)  # the first and the longest, doubling
BINDING_SECONDS = 0.2
SANDBOX_RETRY_SECONDS = 10.0
STATUS_RETRY_SECONDS = 1.0
HOST_NETWORK = Path("/proc/1/ns/net")


class Going(Exception):
    """The pod is being deleted, or is gone from the API."""


class PodWorker:
    """Runs a pod. `update` tells it what the API says; it ends when nothing of the pod is left on the node."""

    def __init__(self, node: NodeContext, pod: Object, take_address: Callable[[Object], str]) -> None:
        self._thread = threading.Thread(target=self._run, name=f"pod {namespace_of(pod)}/{name_of(pod)}", daemon=True)
        self.uid = uid_of(pod)
        self._node = node
        self._pod = pod
        self._gone = False
        self._take_address = take_address
        self._bell = Bell()
        spec = pod["spec"]
        self._init = [ContainerRunner(node, pod, c, self.wake, init=True) for c in spec.get("initContainers") or []]
        self._containers = [ContainerRunner(node, pod, c, self.wake) for c in spec["containers"]]
        self._address = ""
        self._netns = HOST_NETWORK
        self._volumes: dict[str, tuple[Path, bool]] = {}
        self._reported: Object = {}

    @property
    def pod(self) -> Object:
        return self._pod

    def update(self, pod: Object | None) -> None:
        """The pod as the API has it now; None when it is gone."""
        self._gone = pod is None
        self._pod = pod or self._pod
        self.wake()

    def wake(self) -> None:
        self._bell.ring()

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._live()
        except Going:
            pass
        except Exception as error:  # a defect: it must be seen, and the next round begins anew with the pod
            log("error", f"pod {namespace_of(self._pod)}/{name_of(self._pod)}: {type(error).__name__}: {error}")
            raise
        finally:
            self._stop()

    def _live(self) -> None:
        self._restore()
        self._check_going()
        finished = (self._pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
        if finished or not self._admit():
            self._wait_for_deletion()
        self._report()
        self._volumes = self._set_up_volumes()
        self._set_up_network()
        self._report()
        self._run_init_containers()
        self._supervise()

    def _wait_for_deletion(self) -> None:
        while True:
            self._pause(None)

    # Beginning

    def _restore(self) -> None:
        """What an earlier run of the service left of the pod."""
        status = self._pod.get("status") or {}
        netns = pod_network.find(self.uid)
        if netns is not None:
            self._netns, self._address = netns, status.get("podIP", "")
        for runners, key in ((self._init, "initContainerStatuses"), (self._containers, "containerStatuses")):
            recorded = {s["name"]: s for s in status.get(key) or []}
            for runner in runners:
                runner.restore(recorded.get(runner.name) or {}, self._address)

    def _admit(self) -> bool:
        if any(c.get("restartPolicy") for c in self._pod["spec"].get("initContainers") or []):
            return self._reject("init containers with a restartPolicy are not supported by this stand-in")
        count = int(requests_of(self._pod["spec"]).get(gpus.RESOURCE, 0))
        if any(r.running for r in [*self._init, *self._containers]):
            self._node.gpus.hold(self.uid, count)
            return True
        try:
            if count:
                self._node.gpus.allocate(self.uid, count)
        except gpus.AllocationError as error:
            return self._reject(str(error))
        return True

    def _reject(self, message: str) -> bool:
        self._emit("UnexpectedAdmissionError", message, warning=True)
        self._write_status(pod_status.rejected("UnexpectedAdmissionError", message))
        return False

    def _set_up_volumes(self) -> dict[str, tuple[Path, bool]]:
        wait, longest = MOUNT_RETRY_SECONDS
        while True:
            try:
                return volumes.set_up(self._pod, self._node)
            except volumes.Unbound:
                self._pause(BINDING_SECONDS)
                continue
            except volumes.MountError as error:
                self._emit("FailedMount", str(error), warning=True)
            except ApiError as error:
                log("warning", f"volumes of {name_of(self._pod)}: {error}")
            self._pause(wait)
            wait = min(wait * 2, longest)

    def _set_up_network(self) -> None:
        while True:
            try:
                self._check_runtime()
                self._make_network()
                return
            except (ValueError, LookupError, OSError, ApiError, subprocess.CalledProcessError) as error:
                why = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
                message = f"Failed to create pod sandbox: rpc error: code = Unknown desc = {why}"
                self._emit("FailedCreatePodSandBox", message, warning=True)
            self._pause(SANDBOX_RETRY_SECONDS)

    def _check_runtime(self) -> None:
        """Raises ValueError when the pod's runtime class names a runtime that this node's containerd has not."""
        name = self._pod["spec"].get("runtimeClassName")
        if not name:
            return
        runtime_class = self._node.api.get("node.k8s.io/v1/runtimeclasses", "", name)
        if runtime_class is None:
            raise ValueError(f'failed to get sandbox runtime: RuntimeClass "{name}" not found')
        if not has_runtime(with_drop_ins(self._node.containerd_config), runtime_class["handler"]):
            raise ValueError(
                f'failed to get sandbox runtime: no runtime for "{runtime_class["handler"]}" is configured'
            )

    def _make_network(self) -> None:
        me = self._node.host.me
        if self._pod["spec"].get("hostNetwork"):
            self._address = me.address
        elif not self._address or pod_network.find(self.uid) is None:
            pod_network.remove(self.uid)
            self._address = self._take_address(self._pod)
            self._netns = pod_network.create(self.uid, self._address, me.pod_gateway)
        cluster_dns.write(self._pod, self._address, self._node.world.list("v1/services"))

    # Running

    def _run_init_containers(self) -> None:
        if any(c.running for c in self._containers):
            return  # adopted: they have done their work
        for runner in self._init:
            while runner.view.exit_code != 0:
                runner.step(self._volumes, self._netns, self._address)
                self._report()
                if runner.view.exit_code == 0:
                    break
                self._pause_for([runner])

    def _supervise(self) -> None:
        while True:
            for runner in self._containers:
                runner.step(self._volumes, self._netns, self._address)
            self._report()
            self._pause_for(self._containers)

    def _pause_for(self, runners: list[ContainerRunner]) -> None:
        """Sleep until a container ends, one is to be started, or somebody wakes the pod."""
        descriptors = [d for r in runners if r.running and (d := r.running.open_pidfd()) is not None]
        ended = any(r.running and not r.running.alive() for r in runners)
        soonest = min(r.next_attempt for r in runners)
        seconds = 0.0 if ended else max(soonest - time.monotonic(), 0.0)
        try:
            self._pause(None if seconds == float("inf") else seconds, descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _pause(self, seconds: float | None, descriptors: list[int] | None = None) -> None:
        """Sleep until woken, at most `seconds`. Raises Going when the pod is to be stopped."""
        self._check_going()
        select.select([self._bell.fileno(), *(descriptors or [])], [], [], seconds)
        self._bell.quiet()
        self._check_going()

    def _check_going(self) -> None:
        if self._gone or is_deleted(self._pod):
            raise Going

    def _report(self) -> None:
        addresses = {"hostIP": self._node.host.me.address, "podIP": self._address}
        views = [r.view for r in self._init], [r.view for r in self._containers]
        status = pod_status.build(self._pod, *views, addresses)
        recorded = (self._pod.get("status") or {}).get("startTime")
        status["startTime"] = recorded or self._reported.get("startTime") or timestamp()
        # The node controller may have called the pod not ready while this node was silent.
        doubted = condition(self._pod, "Ready").get("status") != condition({"status": status}, "Ready")["status"]
        if status != self._reported or doubted:
            self._write_status(status)
        if status["phase"] in ("Succeeded", "Failed"):
            self._node.gpus.release(self.uid)

    def _write_status(self, status: Object) -> None:
        try:
            self._node.api.patch("v1/pods", self._pod, {"status": status}, status=True)
            self._reported = status
        except ApiError as error:
            log("debug", f"status of pod {name_of(self._pod)}: {error}")
            if error.code != HTTPStatus.NOT_FOUND:
                threading.Timer(STATUS_RETRY_SECONDS, self.wake).start()

    # Ending

    def _stop(self) -> None:
        metadata = self._pod["metadata"]
        grace = 0.0 if self._gone else float(metadata.get("deletionGracePeriodSeconds") or 0)
        running = [r for r in [*self._init, *self._containers] if r.running]
        for runner in running:
            self._emit("Killing", f"Stopping container {runner.name}")
        stop_all([*self._init, *self._containers], self._address, grace)
        pod_network.remove(self.uid)
        self._node.gpus.release(self.uid)
        volumes.tear_down(self.uid)
        containers.remove_pod(self.uid)
        shutil.rmtree(launch.log_directory(self._pod), ignore_errors=True)
        if is_deleted(self._pod) and not self._gone:
            self._report()
            self._let_go()

    def _let_go(self) -> None:
        """Tell the API that nothing of the pod is left, until it hears."""
        while not self._gone:
            try:
                self._node.api.delete("v1/pods", self._pod, grace=0)
                return
            except ApiError as error:
                if error.code in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    return
                log("debug", f"removing pod {name_of(self._pod)}: {error}")
            time.sleep(STATUS_RETRY_SECONDS)

    def _emit(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._node.recorder.emit(self._pod, reason, message, "kubelet", warning=warning)
