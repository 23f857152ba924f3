"""The node's GPUs and who has them: the accounts of the device plugin and the kubelet."""

import re
import subprocess
import threading

RESOURCE = "nvidia.com/gpu"
LIST_SECONDS = 10


class AllocationError(Exception):
    """A pod asks for more GPUs than are free; the text is the kubelet's."""


def list_gpus() -> list[str]:
    """The UUIDs that `nvidia-smi -L` lists; none when it is missing, fails or hangs."""
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=LIST_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    lines = [line for line in done.stdout.splitlines() if line.strip()]
    return [match[1] if (match := re.search(r"UUID: ([^)\s]+)", line)) else f"GPU-{i}" for i, line in enumerate(lines)]


class Ledger:
    """Which GPUs there are and which pod holds which."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registered = False
        self._present: list[str] = []
        self._held: dict[str, list[str]] = {}

    def refresh(self, *, registered: bool) -> int:
        """Look again; how many there are to give, which needs a device plugin that has registered itself."""
        found = list_gpus()
        with self._lock:
            self._present = found
            self._registered = registered
        return len(found) if registered else 0

    def allocate(self, pod_uid: str, count: int) -> list[str]:
        """The UUIDs for the pod, the same when it asks again. Raises AllocationError."""
        with self._lock:
            if pod_uid in self._held:
                return self._held[pod_uid]
            if not self._registered:
                raise AllocationError(
                    f"Allocate failed due to cannot allocate unregistered device {RESOURCE}, which is unexpected"
                )
            taken = {uuid for held in self._held.values() for uuid in held}
            free = [uuid for uuid in self._present if uuid not in taken]
            if len(free) < count:
                raise AllocationError(
                    f"Allocate failed due to requested number of devices unavailable for {RESOURCE}. "
                    f"Requested: {count}, Available: {len(free)}, which is unexpected"
                )
            self._held[pod_uid] = free[:count]
            return self._held[pod_uid]

    def hold(self, pod_uid: str, count: int) -> None:
        """Note what a pod that runs already has, whether or not the GPUs are still seen."""
        with self._lock:
            taken = {uuid for held in self._held.values() for uuid in held}
            free = [uuid for uuid in self._present if uuid not in taken]
            self._held.setdefault(pod_uid, free[:count])

    def release(self, pod_uid: str) -> None:
        with self._lock:
            self._held.pop(pod_uid, None)
