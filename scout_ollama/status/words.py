"""What table and page say alike."""

from __future__ import annotations

from scout_ollama.sizes import counted
from scout_ollama.status.document import SiteStatus, State

KINDS = {"ollama": "shared Ollama", "scout": "Scout", "staging": "images and models for the air gap"}
STATES: dict[State, str] = {"ok": "ok", "warn": "warning", "unknown": "unknown", "broken": "broken"}


def headline(status: SiteStatus) -> str:
    """Return how the site is, in a few words: ``2 things broken, 1 warning``."""
    broken = sum(problem.state == "broken" for problem in status.problems)
    warnings = sum(problem.state == "warn" for problem in status.problems)
    said = [counted(broken, "thing") + " broken"] if broken else []
    said += [counted(warnings, "warning")] if warnings else []
    return ", ".join(said) or ("All is well" if status.state == "ok" else "Not everything could be told")
