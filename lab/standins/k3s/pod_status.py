"""A pod's status as kubectl shows it, from what its containers do. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.standins.k3s.objects import Object, condition, make_condition


@dataclass
class ContainerState:
    """What is known of one container of a pod."""

    name: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    restarts: int = 0
    ready: bool = False
    started: bool = False
    image: str = ""
    image_id: str = ""
    container_id: str = ""

    def status(self, wanted_image: str) -> Object:
        made: Object = {
            "name": self.name,
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "restartCount": self.restarts,
            "image": self.image or wanted_image,
            "imageID": self.image_id,
            "started": self.started,
        }
        if self.container_id:
            made["containerID"] = f"containerd://{self.container_id}"
        return made

    @property
    def exit_code(self) -> int | None:
        """The exit code of a container that has ended and is not waiting to be started again."""
        terminated = self.state.get("terminated")
        return int(terminated["exitCode"]) if terminated else None


def build(
    pod: Object, init: list[ContainerState], containers: list[ContainerState], addresses: Mapping[str, str]
) -> Object:
    """The status; `addresses` has hostIP and, once the network is there, podIP."""
    images = {c["name"]: c["image"] for k in ("initContainers", "containers") for c in pod["spec"].get(k) or []}
    initialized = all(c.exit_code == 0 for c in init)
    not_ready = [c.name for c in containers if not c.ready]
    phase = _phase(pod["spec"], init, containers)
    made: Object = {
        "phase": phase,
        "hostIP": addresses["hostIP"],
        "hostIPs": [{"ip": addresses["hostIP"]}],
        "qosClass": qos_class(pod["spec"]),
        "conditions": _conditions(
            pod, initialized, not_ready, [c.name for c in init if c.exit_code != 0], phase, addresses
        ),
        "containerStatuses": [c.status(images[c.name]) for c in containers],
    }
    if addresses.get("podIP"):
        made |= {"podIP": addresses["podIP"], "podIPs": [{"ip": addresses["podIP"]}]}
    if init:
        made["initContainerStatuses"] = [c.status(images[c.name]) for c in init]
    return made


def rejected(reason: str, message: str) -> Object:
    """The status of a pod that the node did not admit."""
    return {"phase": "Failed", "reason": reason, "message": f"Pod was rejected: {message}"}


def _phase(spec: Mapping[str, Any], init: list[ContainerState], containers: list[ContainerState]) -> str:
    policy = spec.get("restartPolicy", "Always")
    if policy == "Never" and any(c.exit_code for c in init):
        return "Failed"
    codes = [c.exit_code for c in containers]
    if any(code is None for code in codes):
        started = any("running" in c.state or c.last_state or c.exit_code is not None for c in containers)
        return "Running" if started else "Pending"
    if policy == "Always":
        return "Running"
    if all(code == 0 for code in codes):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _conditions(
    pod: Object,
    initialized: bool,
    not_ready: list[str],
    not_initialized: list[str],
    phase: str,
    addresses: Mapping[str, str],
) -> list[Object]:
    def made(kind: str, status: bool, reason: str = "", message: str = "") -> Object:
        return make_condition(condition(pod, kind), kind, status, reason, message)

    words = f"containers with unready status: [{' '.join(not_ready)}]"
    unready = ("", "") if not not_ready else ("ContainersNotReady", words)
    if phase == "Succeeded":
        unready = ("PodCompleted", "")
    ready = not not_ready and initialized
    waiting = f"containers with incomplete status: [{' '.join(not_initialized)}]"
    return [
        made("PodReadyToStartContainers", bool(addresses.get("podIP"))),
        made("Initialized", initialized, *(() if initialized else ("ContainersNotInitialized", waiting))),
        made("Ready", ready, *unready),
        made("ContainersReady", ready, *unready),
        made("PodScheduled", True),
    ]


def qos_class(spec: Mapping[str, Any]) -> str:
    """Guaranteed, Burstable or BestEffort, by cpu and memory of all containers."""
    guaranteed, any_set = True, False
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        resources = container.get("resources") or {}
        limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
        for resource in ("cpu", "memory"):
            any_set = any_set or resource in limits or resource in requests
            same = requests.get(resource, limits.get(resource)) == limits.get(resource)
            guaranteed = guaranteed and resource in limits and same
    return "Guaranteed" if any_set and guaranteed else "Burstable" if any_set else "BestEffort"
