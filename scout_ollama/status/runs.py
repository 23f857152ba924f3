"""Who is at work on a cluster, and how the last run ended. Pure."""

from __future__ import annotations

from datetime import datetime

from scout_ollama.audit import Record
from scout_ollama.lock import PATIENCE_SECONDS
from scout_ollama.state import State
from scout_ollama.status.cells import ago, ok, warn
from scout_ollama.status.document import Cell

BAD = ("failed", "cut off", "interrupted")
"""How a run ends that leaves something half done."""


def lock(cluster: str, kept: State) -> Cell:
    """Return whether somebody holds the lock, who and since when."""
    holding = kept.holding
    if holding is None or not holding.alive:
        return ok("free")
    hangs = holding.silent_seconds > PATIENCE_SECONDS
    why = f"no sign of life for {holding.silent_seconds} s: it may hang" if hangs else ""
    what = f"locked by {holding.record.told()}"
    return warn(f"held by {holding.record.who}", what, why=why, next=f"inv show-lock --hosts {cluster}")


def all_of(kept: State) -> list[Record]:
    """Return the runs, oldest first, with one that was cut off and waits for the next run to audit it."""
    left = [kept.holding.record] if kept.holding and not kept.holding.alive else []
    known = {record.run for record in kept.runs}
    return [*kept.runs, *(record for record in left if record.run not in known)]


def last(cluster: str, kept: State, now: datetime) -> Cell:
    """Return how the last run ended, when, and whose it was; one that was declined is none."""
    record = next((record for record in reversed(all_of(kept)) if record.result != "declined"), None)
    if record is None:
        return ok("none yet")
    text = f"{name_of(record)} {record.result} {ago((now - record.began).total_seconds())} by {record.who}"
    if record.result not in BAD:
        return ok(text)
    what = f"the last run {'was ' if record.result != 'failed' else ''}{record.result}: {record.told()}"
    return warn(text, what, why="\n".join(record.troubles), next=f"inv audit --hosts {cluster}")


def name_of(record: Record) -> str:
    """Return what a run was, in a few words: the name of its command where it was one."""
    words = record.command.split()
    return words[1] if words[:1] == ["inv"] and len(words) > 1 else record.command
