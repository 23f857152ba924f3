"""One cell of proof: from where something was tried, what should have come of it, and what did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from scout_ollama.errors import Trouble

Verdict = Literal["ok", "hole", "fault", "could not tell"]


@dataclass(frozen=True)
class Row:
    """One thing tried from one host. ``where`` narrows what was tried: a node, a path; rows may differ in it alone.

    A ``hole`` is open to somebody it should not be open to, a ``fault`` is anything else that is not as it should be. A
    row that is ``ok`` and has a ``cause`` is a warning.
    """

    host: str
    tried: str
    where: str
    expected: str
    seen: str
    verdict: Verdict
    cause: str = ""
    next: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the row with ``tried`` in one piece."""
        return {
            "host": self.host,
            "tried": f"{self.tried} {self.where}".strip(),
            "expected": self.expected,
            "seen": self.seen,
            "verdict": self.verdict,
            "cause": self.cause,
            "next": self.next,
        }

    def trouble(self, verdict: str) -> Trouble:
        """The row as a message under its host's name, in words that stand alone."""
        what = f"{verdict}: {self.tried} {self.where}".rstrip()
        return Trouble(
            f"{what}: {self.seen}, expected: {self.expected}", host=self.host, why=self.cause, next=self.next
        )

    def at(self, where: str) -> Row:
        """The same row for another place, or for several."""
        return replace(self, where=where)
