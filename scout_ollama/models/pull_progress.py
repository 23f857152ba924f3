"""How far a pull is, from the lines of its Job's log: which layer, how much of it, how fast, how long still."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from scout_ollama.outside import from_json
from scout_ollama.progress import Progress
from scout_ollama.shapes import check, size

SAY_SECONDS = 5.0


@dataclass
class PullProgress:
    """Hears each line and tells one now and then: at once what is new, of a layer that goes on every few seconds."""

    say: Callable[[str], None]
    show: Callable[[Progress], None]
    clock: Callable[[], float] = time.monotonic
    _began: tuple[str, float, int] = ("", 0.0, 0)  # the layer, when it was first heard of, and its bytes then
    _said: str = ""
    _at: float = field(default=float("-inf"))

    def hear(self, line: str) -> None:
        """Take in a line: ``MODEL JSON``, as ``pull-models.sh`` prints it, or something else."""
        if line == "adopted":
            self._tell("a Job of an earlier run still pulls there: it is awaited", line)
            return
        model, _, text = line.partition(" ")
        try:
            value = from_json(text)
            check(value, {"status": str, "total": size, "completed": size})
        except ValueError:
            return
        status, total, completed = value.get("status", ""), value.get("total", 0), value.get("completed", 0)
        if total:
            self._layer(model, status, total, completed)
        elif status:
            self._tell(f"{model}: {status}", f"{model} {status}")

    def _layer(self, model: str, status: str, total: int, completed: int) -> None:
        now = self.clock()
        layer = f"{model} {status}"
        if layer != self._began[0]:
            self._began = (layer, now, completed)
        _, began, before = self._began
        rate = (completed - before) / (now - began) if now > began else 0.0
        if self._is_due(layer):
            self.show(Progress(f"{model}: {status}:", completed, total, rate))

    def _tell(self, text: str, kind: str) -> None:
        if self._is_due(kind):
            self.say(text)

    def _is_due(self, kind: str) -> bool:
        now = self.clock()
        if kind == self._said and now - self._at < SAY_SECONDS:
            return False
        self._said, self._at = kind, now
        return True
