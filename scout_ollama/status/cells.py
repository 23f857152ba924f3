"""How a cell is written."""

from __future__ import annotations

from scout_ollama import sizes
from scout_ollama.status.document import Cell


def ok(text: str) -> Cell:
    """All is well."""
    return Cell(state="ok", text=text)


def warn(text: str, what: str, *, why: str = "", next: str = "") -> Cell:
    """It works, and somebody should know."""
    return Cell(state="warn", text=text, what=what, why=why, next=next)


def broken(text: str, what: str, *, why: str = "", next: str = "") -> Cell:
    """It does not work."""
    return Cell(state="broken", text=text, what=what, why=why, next=next)


def unknown(why: str) -> Cell:
    """Nobody could tell, because of something that is told elsewhere."""
    return Cell(state="unknown", text="unknown", why=why)


def ago(seconds: float) -> str:
    """Return how long ago something was: ``12 min ago``."""
    days = int(seconds // 86400)
    return f"{days} days ago" if days >= 2 else f"{sizes.left(max(0.0, seconds))} ago"
