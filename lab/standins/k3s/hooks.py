"""Lifecycle hooks of a container: preStop and postStart."""

import subprocess
import time
from collections.abc import Mapping
from typing import Any

from lab.standins.k3s import probes
from lab.standins.k3s.containers import Container


class HookError(Exception):
    """A hook failed; the text is the kubelet's."""


def run(hook: Mapping[str, Any], spec: Mapping[str, Any], address: str, container: Container, timeout: float) -> None:
    """Run one hook for at most `timeout` seconds. Raises HookError."""
    if "sleep" in hook:
        time.sleep(min(float(hook["sleep"]["seconds"]), timeout))
    elif "exec" in hook:
        command = hook["exec"]["command"]
        try:
            done = container.exec(command, timeout)
        except (subprocess.TimeoutExpired, OSError) as error:
            raise HookError(
                f"Exec lifecycle hook ({command}) for Container {spec['name']!r} failed: {error}"
            ) from error
        if done.returncode != 0:
            raise HookError(f"command '{' '.join(command)}' exited with {done.returncode}: {done.stderr}")
    elif "httpGet" in hook:
        result = probes.run({"httpGet": hook["httpGet"], "timeoutSeconds": timeout}, spec, address, container)
        if not result.ok:
            raise HookError(result.message)
