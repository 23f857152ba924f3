"""Whether a shared Ollama's access control holds, tried from every host of the site that is not its own."""

from scout_ollama.access.command import command, rows

__all__ = ["command", "rows"]
