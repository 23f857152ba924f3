"""Models: pulled once on staging, verified there, copied to every node, published on all, versioned by digest.

``installing`` is what ``deploy-ollama`` puts into its own plan.
"""

from scout_ollama.models.command import propose
from scout_ollama.models.list_command import command as list_models
from scout_ollama.models.prune_command import propose as propose_prune
from scout_ollama.models.rollback_command import propose as propose_rollback
from scout_ollama.models.verify_command import propose as propose_verify

__all__ = [
    "list_models",
    "propose",
    "propose_prune",
    "propose_rollback",
    "propose_verify",
]
