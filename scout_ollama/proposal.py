"""What a person asked for, what a command proposes to do about it on one cluster, and what came of it."""

from __future__ import annotations

import enum
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from scout_ollama.audit import Record, RunResult
from scout_ollama.changes import Plan, Say
from scout_ollama.checks import Finding
from scout_ollama.errors import Trouble
from scout_ollama.inventory import Cluster, Host
from scout_ollama.job import Troubles
from scout_ollama.manifests import KubeObject
from scout_ollama.remote import Result


class Consent(enum.Enum):
    """What a person said about the plan beforehand."""

    ASK = "ask"
    YES = "yes"
    PLAN_ONLY = "plan only"


@dataclass(frozen=True)
class Request:
    """One command as it was typed. ``hosts`` are those selected, none for whole clusters; ``lock_wait`` is seconds."""

    typed: str
    consent: Consent = Consent.ASK
    hosts: tuple[str, ...] = ()
    reason: str = ""
    lock_wait: int = 0
    as_json: bool = False

    @property
    def plan_only(self) -> bool:
        """Whether only the plan is wanted."""
        return self.consent is Consent.PLAN_ONLY

    @property
    def may_change(self) -> bool:
        """Whether this may end with a change: somebody agreed beforehand, or can be asked."""
        return self.consent is Consent.YES or (self.consent is Consent.ASK and sys.stdin.isatty())

    def on(self, hosts: Iterable[Host]) -> Request:
        """Return the request narrowed to some hosts."""
        return replace(self, hosts=tuple(host.name for host in hosts))

    def with_reason(self) -> Request:
        """Return the request, which says why.

        Raises:
            Trouble: it does not.
        """
        if not self.reason.strip():
            raise Trouble(
                "a reason is needed",
                why="it disturbs what runs, and whoever reads the audit will want to know",
                next=f"{self.typed} --reason 'GPU 0 shows Xid 79'",
            )
        return self

    def again(self, undone: Sequence[str], cluster: str) -> str:
        """Return the command that does it where it was not done: on some hosts, or on a cluster as a whole."""
        words = shlex.split(self.typed)
        hosts = ",".join(undone) if self.hosts and undone else cluster
        for at, word in enumerate(words):
            if word == "--":
                break
            if word == "--hosts" and at + 1 < len(words):
                words[at + 1] = hosts
            elif word.startswith("--hosts="):
                words[at] = f"--hosts={hosts}"
        return shlex.join(words)


@dataclass
class Proved:
    """What was proved, as (host, line), and what was not; ``say`` is told each line as it is proved."""

    say: Say
    lines: list[tuple[str, str]] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)

    def add(self, findings: Sequence[Finding], host: str, line: str) -> None:
        """Take findings as trouble, or their absence as the proof that ``line`` tells."""
        self.troubles += [finding.trouble() for finding in findings]
        if not findings:
            self.lines.append((host, line))
            self.say(host, line)


@dataclass
class Proposal:
    """A plan for one cluster, and what belongs to it.

    ``troubles`` are of hosts that are left alone; ``prove`` gets the troubles there are after the changes and checks
    their effect. ``objects`` is all that shall stand in the cluster afterwards, for plans that change objects: it is
    kept, so that a rollback can come back to it. ``undo`` is the command for it where that is no rollback;
    ``answers`` are what hosts said to an ad hoc command. ``quiet``: the plan is what was typed, so it is not shown.
    """

    plan: Plan
    troubles: Troubles = field(default_factory=dict)
    warnings: Sequence[Trouble] = ()
    prove: Callable[[Troubles], Proved] | None = None
    objects: Sequence[KubeObject] | None = None
    undo: str = ""
    destructive: bool = False
    quiet: bool = False
    answers: Mapping[str, Result] = field(default_factory=dict)


@dataclass
class Outcome:
    """What came of a request on one cluster, filled in as it goes."""

    cluster: Cluster
    request: Request
    plan: Plan = field(default_factory=lambda: Plan(()))
    result: RunResult | None = None
    made: list[tuple[str, str]] = field(default_factory=list)
    host_troubles: Troubles = field(default_factory=dict)
    troubles: list[Trouble] = field(default_factory=list)
    proved: list[tuple[str, str]] = field(default_factory=list)
    undo: str = ""
    is_held_back: bool = False
    answers: Mapping[str, Result] = field(default_factory=dict)
    record: Record | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The selected hosts of the cluster."""
        return tuple(name for name in self.cluster.hosts if name in self.request.hosts or not self.request.hosts)

    @property
    def rows(self) -> list[tuple[str, int, str | None]]:
        """Each selected host with the number of changes that were made there and its trouble, if it has any."""
        told: dict[str, str] = {trouble.host: trouble.what for trouble in reversed(self.all_troubles) if trouble.host}
        return [(name, sum(host == name for host, _ in self.made), told.get(name)) for name in self.hosts]

    def take(self, proposal: Proposal) -> None:
        """Start from a proposal."""
        self.plan = proposal.plan
        self.answers = proposal.answers
        # The same dictionary: a change that waits for several hosts looks there for those that have trouble by then.
        self.host_troubles = proposal.troubles

    @property
    def all_troubles(self) -> list[Trouble]:
        """Every trouble, those of hosts first."""
        return [*self.host_troubles.values(), *self.troubles]

    @property
    def has_trouble(self) -> bool:
        """Whether anything went wrong, or was cut short."""
        return bool(self.all_troubles) or self.result in ("interrupted", "failed")

    @property
    def is_pending(self) -> bool:
        """Whether there are changes that were not made."""
        return bool(self.plan) and not self.made

    def settle(self) -> None:
        """Name the result, if nothing has named it yet."""
        if self.result is None:
            self.result = "failed" if self.all_troubles else "done" if self.plan else "nothing to do"
        if not self.made:
            self.undo = ""
