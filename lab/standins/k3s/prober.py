"""A container's probes, each in a thread of its own that sleeps between its questions."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.standins.k3s import probes
from lab.standins.k3s.containers import Container

Report = Callable[[str, bool], None]
"""Called with the kind of probe, and whether it succeeded or failed as often as its threshold says."""


class Probers:
    """All probes of one running container: `startup` alone until it succeeds, then `liveness` and `readiness`."""

    def __init__(
        self,
        spec: Mapping[str, Any],
        address: str,
        container: Container,
        report: Report,
        failed: Callable[[str, str], None],
    ) -> None:
        self._spec = spec
        self._address = address
        self._container = container
        self._report = report
        self._failed = failed  # told of each single failure: kind and message
        self._stopped = threading.Event()

    def start(self, *, started: bool) -> None:
        """Begin; `started` when the container passed its startup probe in an earlier run of the service."""
        if "startupProbe" in self._spec and not started:
            self._run("startup", self._after_startup)
            return
        if not started:
            self._report("startup", True)
        self._after_startup(passed=True)

    def stop(self) -> None:
        self._stopped.set()

    def _after_startup(self, passed: bool) -> None:
        if not passed:
            return
        for kind in ("liveness", "readiness"):
            if f"{kind}Probe" in self._spec:
                self._run(kind, None)
        if "readinessProbe" not in self._spec:
            self._report("readiness", True)

    def _run(self, kind: str, then: Callable[[bool], None] | None) -> None:
        name = f"{kind} probe of {self._spec['name']}"
        threading.Thread(target=self._loop, args=(kind, then), name=name, daemon=True).start()

    def _loop(self, kind: str, then: Callable[[bool], None] | None) -> None:
        probe = self._spec[f"{kind}Probe"]
        period = float(probe.get("periodSeconds") or 10)
        thresholds = {True: probe.get("successThreshold") or 1, False: probe.get("failureThreshold") or 3}
        last, count = None, 0
        self._stopped.wait(max(probe.get("initialDelaySeconds") or 0, 0))
        while not self._stopped.is_set():
            begun = time.monotonic()
            result = probes.run(probe, self._spec, self._address, self._container)
            if self._stopped.is_set():
                return
            count = count + 1 if result.ok == last else 1
            last = result.ok
            if not result.ok:
                self._failed(kind, result.message)
            if count >= thresholds[result.ok]:
                self._report(kind, result.ok)
                if then is not None:
                    then(result.ok)
                    return
            self._stopped.wait(max(period - (time.monotonic() - begun), 0.1))
