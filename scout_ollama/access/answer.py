"""What came of one try to reach Ollama, as ``knock`` in scripts/host/endpoint.sh reports it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from scout_ollama.facts import Section
from scout_ollama.outside import from_json

Outcome = Literal["untried", "failed", "unresolved", "refused", "silent", "closed", "hung", "answered"]

# curl's exit status, where there was no HTTP answer.
_NO_COMMAND, _TIMED_OUT = 127, 28
_UNCONNECTED: dict[int, tuple[Outcome, str]] = {
    6: ("unresolved", "the name does not resolve"),
    7: ("refused", "no connection"),
    _TIMED_OUT: ("silent", "timed out"),
}
_CLOSED = frozenset({35, 52, 56})  # while TLS began, before an answer, or by a reset
_ANSWER = re.compile(r"^answer (\d{3}) (\S+) (.*)$", re.MULTILINE)

# What says no: there is no such way, or not for this host.
NO_WAY = frozenset({403, 404, 405})
# The same where somebody is sent elsewhere: to HTTPS, or to a login.
REFUSALS = NO_WAY | {301, 302, 307, 308, 401}
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

    @property
    def turned_away(self) -> bool:
        """Whether whoever asked can be sure to get nothing: no connection, or one that the other side ended."""
        return self.unconnected or self.outcome == "closed"


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
    if re.search("[1-9]", connected):
        ended = section.status in _CLOSED
        return Answer("closed" if ended else "hung", "connection closed" if ended else "connected, but no answer")
    outcome, seen = _UNCONNECTED.get(section.status, ("failed", f"curl failed ({section.status})"))
    return Answer(outcome, seen)


def _is_version(body: str) -> bool:
    """Whether this is what Ollama answers to /api/version."""
    try:
        return isinstance(from_json(body)["version"], str)
    except (ValueError, KeyError, TypeError):
        return False
