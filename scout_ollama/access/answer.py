"""What came of one try to reach Ollama, as ``knock`` in scripts/host/endpoint.sh reports it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Literal

from scout_ollama.facts import Section

Outcome = Literal["untried", "unresolved", "refused", "silent", "broken", "answered"]

# curl's exit status where there was no connection at all.
_NO_COMMAND, _UNRESOLVED, _TIMED_OUT, _REFUSED = 127, 6, 28, 7
_ANSWER = re.compile(r"^answer (\d{3}) (\S+) (.*)$", re.MULTILINE)

# What says no: where there is no such way, or not for this host. A redirect leads to HTTPS.
REFUSALS = frozenset({301, 302, 307, 308, 401, 403, 404, 405})
# The ingress let the request through, and found no Ollama that would answer it.
LET_THROUGH = frozenset({502, 503, 504})


@dataclass(frozen=True)
class Answer:
    """One try: how far it got, the HTTP status if it got that far, and whether it was Ollama that answered."""

    outcome: Outcome
    seen: str
    status: int = 0
    ollama: bool = False
    json: bool = False

    @property
    def unconnected(self) -> bool:
        """Whether no connection came about."""
        return self.outcome in ("unresolved", "refused", "silent")


def parsed(section: Section) -> Answer:
    """Read one section of try-access.sh; one that is missing was not tried."""
    if section.status == _NO_COMMAND:
        return Answer("untried", "not tried: curl is not installed" if section.text else "not tried")
    found = _ANSWER.findall(section.text)
    status, connected, kind = found[-1] if found else ("000", "0", "")
    if int(status):
        body = section.text[: section.text.rfind("\nanswer ")]
        from_ollama = status == "200" and _is_version(body)
        seen = f"Ollama answers (HTTP {status})" if from_ollama else f"HTTP {status}"
        return Answer("answered", seen, int(status), from_ollama, kind.startswith("application/json"))
    if section.status == _UNRESOLVED:
        return Answer("unresolved", "the name does not resolve")
    if section.status == _REFUSED:
        return Answer("refused", "no connection")
    if section.status == _TIMED_OUT and not re.search("[1-9]", connected):
        return Answer("silent", "no connection (timed out)")
    return Answer("broken", "connected, but no HTTP answer")


def _is_version(body: str) -> bool:
    """Whether this is what Ollama answers to /api/version."""
    try:
        return isinstance(json.loads(body)["version"], str)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
