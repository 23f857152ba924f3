"""inv check: everything that must hold for a site to serve, looked at from the ground up; nothing is changed."""

from scout_ollama.doctor.command import command, explain

__all__ = ["command", "explain"]
