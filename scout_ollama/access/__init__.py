"""Whether a shared Ollama's access control holds, tried from every host of the site that is not its own."""

from scout_ollama.access.command import command, rows
from scout_ollama.access.matrix import Matrix

__all__ = ["Matrix", "command", "rows"]
