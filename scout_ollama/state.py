"""What a cluster's first server keeps about its runs: the lock, the audit, and the objects of the last revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from scout_ollama import audit
from scout_ollama.audit import Record
from scout_ollama.errors import Trouble
from scout_ollama.facts import Sections, facts_script, parse_sections
from scout_ollama.kube_shapes import OBJECT
from scout_ollama.lock import STATE
from scout_ollama.manifests import KubeObject, to_stdin
from scout_ollama.outside import all_from_yaml, understood, whole
from scout_ollama.remote import Reader, Remote, Script
from scout_ollama.shapes import check

KEPT = 10
"""Revisions that are kept on the server, the newest ones."""


@dataclass(frozen=True)
class Holding:
    """Who has the lock, or left it behind if not ``alive``, and the seconds since the last sign of life."""

    record: Record
    alive: bool
    silent_seconds: int


@dataclass(frozen=True)
class State:
    """What is kept; runs oldest first, revisions by number."""

    holding: Holding | None
    runs: list[Record]
    revisions: list[int]


@dataclass(frozen=True)
class Revision:
    """A revision that was just kept; ``before`` is the one that a rollback goes back to, if there is one."""

    number: int
    before: int | None


def read(remote: Reader, runs: int = 100) -> State:
    """Read what is kept, with the last so many runs.

    Raises:
        RemoteError: the host cannot be reached.
    """
    result = remote.read(facts_script("read-state"), STATE, str(runs), sudo=True)
    with understood(remote.host.name, "read-state"):
        return parse(parse_sections(result.stdout))


def parse(sections: Sections) -> State:
    """Make sense of what ``read-state.sh`` printed."""
    numbers = [name.removesuffix(".yaml") for name in sections["revisions"].text.split() if sections["revisions"].ok]
    record = audit.parse(sections["lock.record"].text) if sections["lock.record"].ok else None
    silent = whole(sections["lock.silent"].text) if sections["lock.silent"].ok else 0
    return State(
        Holding(record, sections["lock.held"].ok, silent) if record else None,
        audit.records(sections["audit"].text.splitlines() if sections["audit"].ok else []),
        sorted(whole(number) for number in numbers if number.isdecimal()),
    )


def keep(remote: Remote, objects: Sequence[KubeObject]) -> Revision:
    """Keep the objects as the next revision, and of all revisions only the newest.

    Raises:
        RemoteError: the host cannot be reached, or has no room for them.
    """
    script = Script.load("keep-revision")
    said = remote.run(script, STATE, str(KEPT), stdin=to_stdin(objects), sudo=True, timeout=60).stdout.split()
    with understood(remote.host.name, script.name):
        return Revision(whole(said[0]), whole(said[1]) if len(said) > 1 else None)


def earlier(remote: Reader, to: int | None) -> tuple[int, list[KubeObject]]:
    """Read the revision ``to``, or the one before the last; return its number and its objects.

    Raises:
        Trouble: it is not kept, or there is none before the last.
    """
    kept = read(remote, runs=0).revisions
    number = to if to is not None else next(iter(kept[-2:-1]), None)
    if number is None or number not in kept:
        raise Trouble(
            "there is no earlier revision to go back to" if number is None else f"revision {number} is not kept",
            host=remote.host.name,
            why=f"kept are {', '.join(map(str, kept))}" if kept else "none is kept: nothing was applied from here yet",
            next=f"inv audit --hosts {remote.host.cluster} names what can be undone",
        )
    return number, revision(remote, number)


def latest(remote: Reader) -> list[KubeObject]:
    """Read the objects of the last revision that is kept; none if there is no revision.

    Raises:
        RemoteError: the host cannot be reached.
    """
    kept = read(remote, runs=0).revisions
    return revision(remote, kept[-1]) if kept else []


def revision(remote: Reader, number: int) -> list[KubeObject]:
    """Read the objects of a revision that is kept.

    Raises:
        RemoteError: the host cannot be reached, or does not have it.
    """
    text = remote.read(Script.load("read-revision"), STATE, str(number), sudo=True).stdout
    with understood(remote.host.name, "read-revision"):
        return kept_objects(text)


def kept_objects(text: str) -> list[KubeObject]:
    """Return the objects in what was kept. Raises ValueError where something else stands there."""
    objects = [obj for obj in all_from_yaml(text) if obj]
    check(objects, [OBJECT])
    return objects
