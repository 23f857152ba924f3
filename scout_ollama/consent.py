"""A plan is made only if a person agreed to it: beforehand, by an answer, or by typing the cluster's name."""

from __future__ import annotations

import sys

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster
from scout_ollama.proposal import Consent, Outcome, Proposal, Request
from scout_ollama.sizes import counted


def given(cluster: Cluster, proposal: Proposal, request: Request) -> bool:
    """Return whether the plan that was just shown may be made.

    With patient data, and for what takes something away, the cluster's name has to be typed.
    """
    if request.consent is Consent.YES:
        return True
    what = f"{counted(sum(1 for _ in proposal.plan), 'change')} on {cluster.name}"
    if cluster.environment == "phi" or proposal.destructive:
        return _asked(f"Type the cluster's name to make {what}: ") == cluster.name
    return _asked(f"Make {what}? [y/N] ").lower() in ("y", "yes")


def refuse_without_terminal(request: Request, outcome: Outcome) -> None:
    """Refuse a plan with changes that nobody agreed to and nobody can be asked about.

    Raises:
        Trouble: that is so.
    """
    if request.consent is Consent.ASK and outcome.plan:
        raise Trouble(
            f"{outcome.cluster.name}: nothing was changed",
            why="the plan must be agreed to, and there is no terminal to ask on",
            next="the same command with --yes, or with --plan to see only the plan",
        )


def _asked(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
