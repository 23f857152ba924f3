"""How far something is that takes minutes or hours, for a person and for a program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from scout_ollama import sizes


@dataclass(frozen=True)
class Progress:
    """So many of so many bytes of ``what``, ``rate`` bytes a second; ``parts`` are done and total of each host."""

    what: str
    done: int
    total: int
    rate: float = 0.0
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float | None:
        """How long it still takes at this rate; None while nobody can tell."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None

    def __str__(self) -> str:
        """Return it as one line: bytes, rate, time left, and how far each host is that is not there yet."""
        text = f"{self.what} {sizes.shown(self.done)} of {sizes.shown(self.total)}"
        if self.seconds_left:
            text += f", {sizes.shown(self.rate)}/s, {sizes.left(self.seconds_left)} left"
        parts = [f"{host} {100 * done // total} %" for host, (done, total) in self.parts.items() if done < total]
        return "; ".join([text, ", ".join(parts)]) if parts else text


Show = Callable[[str, Progress], None]
"""Shows how far something is about one host, or a cluster: ``show(host, progress)``."""
