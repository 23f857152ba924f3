"""The one gate around everything that changes a host: the plan is shown, agreed to, and made, stage by stage."""

from __future__ import annotations

import enum
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from scout_ollama.changes import Change, Plan, Say, Stage
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.remote import Remote


class Consent(enum.Enum):
    """What a person said about the plan beforehand."""

    ASK = "ask"
    YES = "yes"
    PLAN_ONLY = "plan only"


@dataclass
class Made:
    """What came of a plan: the trouble of each host, and of the cluster as a whole."""

    troubles: dict[str, Trouble] = field(default_factory=dict)
    cluster: list[Trouble] = field(default_factory=list)

    @property
    def all(self) -> list[Trouble]:
        """Every trouble there was."""
        return [*self.troubles.values(), *self.cluster]


def agreed(cluster: str, consent: Consent) -> bool:
    """Return whether the plan that was just shown may be made.

    Raises:
        Trouble: nobody can be asked, because there is no terminal.
    """
    if consent is Consent.YES:
        return True
    if consent is Consent.PLAN_ONLY:
        return False
    if not sys.stdin.isatty():
        raise Trouble(
            f"{cluster}: nothing was changed",
            why="the plan must be agreed to, and there is no terminal to ask on",
            next="the same command with --yes, or with --plan to see only the plan",
        )
    print(f"Make these changes on {cluster}? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def make(plan: Plan, fleet: Fleet, servers: Sequence[str], troubled: dict[str, Trouble], say: Say) -> Made:
    """Make a plan's changes. A host's trouble stops that host and nothing else.

    ``servers`` are the hosts through which the cluster can be changed, in order; ``troubled`` are hosts that are left
    alone from the start. What waits for a troubled host is not made, and said so.
    """
    made = Made(dict(troubled))
    for stage in plan.stages:
        if not stage.one_at_a_time:
            _make_on_hosts(stage, fleet, made, say)
        else:
            _make_one_at_a_time(stage, fleet, made, say)
        for change in stage.changes:
            if change.host is None:
                _make_in_cluster(change, stage.waits_for, fleet, servers, made, say)
    return made


def _make_on_hosts(stage: Stage, fleet: Fleet, made: Made, say: Say) -> None:
    by_host: dict[str, list[Change]] = {}
    for change in stage.changes:
        if change.host is not None and change.host not in made.troubles:
            by_host.setdefault(change.host, []).append(change)

    def make_all(remote: Remote) -> None:
        for change in by_host[remote.host.name]:
            say(remote.host.name, change.title)
            change.make(remote)

    made.troubles |= fleet.map(make_all, list(by_host)).failed


def _make_one_at_a_time(stage: Stage, fleet: Fleet, made: Made, say: Say) -> None:
    for at, change in enumerate(stage.changes):
        if change.host is None or change.host in made.troubles:
            continue
        _make_on_hosts(Stage(stage.name, (change,)), fleet, made, say)
        if change.host in made.troubles:
            for rest in stage.changes[at + 1 :]:
                if rest.host is not None and rest.host not in made.troubles:
                    made.troubles[rest.host] = Trouble(
                        f"left alone: {rest.title} was not tried",
                        host=rest.host,
                        why=f"{change.host} did not come back from it, and one node at a time may be away",
                        next=f"mend {change.host} first, then the same command again",
                    )
            return


def _make_in_cluster(
    change: Change, waits_for: Sequence[str], fleet: Fleet, servers: Sequence[str], made: Made, say: Say
) -> None:
    held_by = [host for host in waits_for if host in made.troubles]
    if held_by:
        made.cluster.append(
            Trouble(
                f"held back: {change.title}",
                why=f"it would replace running pods, and {', '.join(held_by)} is not ready for it",
                next="mend that first, then the same command again; until then everything runs as it did",
            )
        )
        return
    server = next((name for name in servers if name not in made.troubles), None)
    if server is None:
        made.cluster.append(
            Trouble(
                f"not done: {change.title}",
                why="no server of the cluster is left without trouble",
                next="mend one of them, then the same command again",
            )
        )
        return
    say(server, change.title)
    made.cluster += fleet.map(change.make, [server]).failed.values()
