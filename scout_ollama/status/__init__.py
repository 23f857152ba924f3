"""inv status: how the whole site is, on one screen, as JSON, or as a page. Read-only."""

from scout_ollama.status.command import command

__all__ = ["command"]
