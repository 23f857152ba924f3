"""The API server's refusals, in words for a person."""

from __future__ import annotations

import re

from scout_ollama.errors import Trouble


def refusal(text: str) -> Trouble:
    """Turn the API server's refusal of a trial apply into trouble; a conflict says who owns which field.

    The server's text for a conflict (Kubernetes 1.36): ``conflict with "MANAGER" using apps/v1: .spec.replicas``.
    Several fields of one manager follow as ``- .field`` lines.
    """
    conflicts: list[str] = []
    manager = ""
    for line in text.splitlines():
        found = re.search(
            r'conflicts? with "([^"]+)"(?: with subresource "[^"]+")?(?: using \S+?)?:\s*(\.\S.*)?$', line
        )
        if found:
            manager = found[1]
            if found[2]:
                conflicts.append(f"{found[2].strip()} is owned by {manager}")
        elif manager and line.startswith("- ."):
            conflicts.append(f"{line[2:].strip()} is owned by {manager}")
    if conflicts:
        return Trouble(
            "another manager owns fields that the manifests set",
            why="\n".join(conflicts),
            next="put back what was set by hand, or give the field up there:"
            " kubectl get OBJECT --show-managed-fields -o yaml shows who set it and when",
        )
    return Trouble(
        "the cluster refuses the manifests",
        why=text.strip() or "it gave no reason",
        next="inv render shows what was sent; the field named above is the one to mend",
    )
