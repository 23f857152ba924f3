"""From what was looked at to a verdict for each check at each place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scout_ollama.checks import Finding
from scout_ollama.doctor.catalogue import ORDER
from scout_ollama.errors import Trouble

Status = Literal["pass", "warn", "fail", "could not tell"]


@dataclass(frozen=True)
class Verdict:
    """Whether one check holds at one place, a host or a cluster; if not, what is wrong, why, and what to type next."""

    check: str
    place: str
    status: Status
    what: str = ""
    why: str = ""
    next: str = ""

    @property
    def trouble(self) -> Trouble:
        """The verdict as a message."""
        return Trouble(self.what, host=self.place, why=self.why, next=self.next)


@dataclass(frozen=True)
class Look:
    """Checks that were looked at together at some places; at those that are ``blocked`` they could not be, and why."""

    checks: Sequence[str]
    places: Sequence[str]
    findings: Sequence[Finding] = ()
    blocked: Mapping[str, str] = field(default_factory=dict)

    def verdicts(self) -> Iterator[Verdict]:
        """Return a verdict for each check at each place."""
        told = {(one.check, one.host) for one in self.findings}
        for one in self.findings:
            place = one.host or self.places[0]
            yield Verdict(one.check, place, one.status, one.what, one.why, one.next)
        for check in self.checks:
            for place in self.places:
                if place in self.blocked:
                    yield Verdict(check, place, "could not tell", self.blocked[place])
                elif (check, place) not in told and (check, None) not in told:
                    yield Verdict(check, place, "pass")


def in_order(looks: Iterable[Look], places: Sequence[str]) -> list[Verdict]:
    """Return all verdicts from the ground up, and within a check by place."""
    order = {place: at for at, place in enumerate(places)}
    verdicts = dict.fromkeys(verdict for look in looks for verdict in look.verdicts())
    return sorted(verdicts, key=lambda verdict: (ORDER[verdict.check], order.get(verdict.place, len(order))))


def finding(check: str, host: str | None, trouble: Trouble) -> Finding:
    """Return a trouble as the finding of a check."""
    return Finding(check, host, trouble.what, trouble.why, trouble.next)


def not_asked(away: Mapping[str, Trouble]) -> dict[str, str]:
    """Return why nothing is known of the hosts that cannot be asked."""
    return {name: f"not asked: it {trouble.what}" for name, trouble in away.items()}


CONNECTING = ("name", "network", "host-key", "login", "sudo", "answers")


def of_connections(places: Sequence[str], failed: Mapping[str, Trouble]) -> list[Look]:
    """Return how far we came with each host: what was reached holds, what comes after nobody can tell."""
    looks = []
    for place in places:
        trouble = failed.get(place)
        if trouble is None:
            looks.append(Look(CONNECTING, [place]))
            continue
        at = CONNECTING.index(getattr(trouble, "check", "answers"))
        looks += [
            Look(CONNECTING[: at + 1], [place], [finding(CONNECTING[at], place, trouble)]),
            Look(CONNECTING[at + 1 :], [place], blocked=not_asked({place: trouble})),
        ]
    return looks
