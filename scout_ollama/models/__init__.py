"""Models: pulled once on staging, verified there, copied to every node, published on all, versioned by digest.

``installing`` is what ``deploy-ollama`` puts into its own plan.
"""
