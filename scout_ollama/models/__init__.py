"""Models: pulled once on staging, verified there, copied to every node, published on all, versioned by digest.

``stages_for`` is what ``deploy-ollama`` puts into its own plan.
"""

from scout_ollama.models.command import propose, prove
from scout_ollama.models.stages import Bringing, stages_for

__all__ = ["Bringing", "propose", "prove", "stages_for"]
