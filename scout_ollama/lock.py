"""A cluster's lock: held on its first server by a process that lives as long as the run does.

``scripts/host/hold-lock.sh`` says how. The same process writes the run's line into the audit, so that a run that is
killed is audited too.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from enum import Enum

from scout_ollama import audit, interrupts
from scout_ollama.audit import Record
from scout_ollama.errors import Trouble
from scout_ollama.hints import on
from scout_ollama.remote import Conversation, Remote, RemoteError, Script

STATE = "/var/lib/scout-ollama"
PULSE_SECONDS = 10.0  # longer than the connection is idle before it asks the host for a sign of life
PATIENCE_SECONDS = 60
ANSWER_SECONDS = 30.0

_logger = logging.getLogger(__name__)

Tell = Callable[[str], None]


class Place(Enum):
    """Where a run stands: ``LOCK`` excludes every other one there, ``BESIDE`` nobody; both are audited."""

    LOCK = "lock"
    BESIDE = "beside"


class Locked(Trouble):
    """Somebody else has the lock."""


class Hold:
    """A run's hold, from ``take`` until ``end``. A thread of its own gives the signs of life."""

    def __init__(self, remote: Remote, talk: Conversation, record: Record) -> None:
        self.record = record
        self._remote = remote
        self._talk = talk
        self._saying = threading.Lock()
        self._over = threading.Event()
        threading.Thread(target=self._live, daemon=True).start()

    def check(self) -> None:
        """Make sure that the hold is still ours.

        Raises:
            Trouble: it was lost, so that nothing more may be changed.
        """
        try:
            self._say(".")
        except RemoteError as error:
            raise Trouble(
                f"{self.record.cluster}: its lock was lost, so nothing more is changed",
                why=f"{error}\nits server was rebooted, the connection broke, or somebody released the lock",
                next=f"inv show-lock --hosts {self.record.cluster}; then the same command again: it does the rest",
            ) from error

    def update(self, **values: object) -> None:
        """Change the record, on the host too: the audit says this if nothing more is heard of the run."""
        # That the hold is lost is for check() and end() to say.
        with self._saying, contextlib.suppress(RemoteError):
            self.record = self.record.model_copy(update=values)
            self._talk.say(self.record.line() + "\n")

    def end(self) -> None:
        """Have the record audited, and let go.

        Raises:
            Trouble: the host cannot write it now; what is on record there is added by the next run.
        """
        self._over.set()
        try:
            _hang_up(self._talk, self.record)
        except RemoteError:
            self._end_late()

    def _end_late(self) -> None:
        """The hold was lost, and the record that stood then may be audited already: add the last one beside it."""
        try:
            talk = self._remote.converse(Script.load("hold-lock"), *_arguments(Place.BESIDE, self.record, 0), sudo=True)
            _await_turn(talk, self.record, lambda _: None)
            _begin(talk, self.record)
            _hang_up(talk, self.record)
        except Trouble as error:
            host = self._remote.host
            raise Trouble(
                f"how this run ended could not be written into the audit: {self.record.result}",
                host=host.name,
                why=f"{error}\nthe audit there will say that it was cut off; this run's own log has the rest",
                next=on(host, f"sudo df -h {STATE}"),
            ) from error

    def _say(self, text: str) -> None:
        with self._saying:
            self._talk.say(text)

    def _live(self) -> None:
        while not self._over.wait(PULSE_SECONDS):
            try:
                self._say(".")
            except RemoteError as error:
                _logger.warning("%s: the lock was lost: %r from %r", self.record.cluster, error.why, error.__cause__)
                return


def take(remote: Remote, record: Record, tell: Tell, *, place: Place = Place.LOCK, wait_seconds: int = 0) -> Hold:
    """Take the lock of the cluster whose first server ``remote`` is; ``tell`` hears of runs that were cut off before.

    Raises:
        Locked: somebody else has it, also after ``wait_seconds``.
        Trouble: the server cannot be asked, or cannot write the audit; nothing was begun.
    """
    try:
        talk = remote.converse(Script.load("hold-lock"), *_arguments(place, record, wait_seconds), sudo=True)
        _await_turn(talk, record, tell, wait_seconds)
        return _begun(remote, talk, record)
    except RemoteError as error:
        raise Trouble(
            f"{record.cluster}: its lock cannot be taken, so nothing was begun",
            host=remote.host.name,
            why=f"{error.what}\n{error.why}\nlock, audit and kept revisions of a cluster are on its first server",
            next=f"{error.next}\nif that host is gone for good: name another server first in {record.cluster}.yaml",
        ) from error


def _begun(remote: Remote, talk: Conversation, record: Record) -> Hold:
    """Return the hold; one that Ctrl-C comes into the making of is given back, with its line."""
    try:
        with interrupts.put_off():
            _begin(talk, record)
            hold = Hold(remote, talk, record)
    except KeyboardInterrupt:
        hold.update(result="interrupted")
        hold.end()
        raise
    return hold


def _arguments(place: Place, record: Record, wait_seconds: int) -> tuple[str, ...]:
    name = "lock" if place is Place.LOCK else f"beside-{record.run}"
    return STATE, name, str(wait_seconds), str(PATIENCE_SECONDS)


def _await_turn(talk: Conversation, record: Record, tell: Tell, wait_seconds: int = 0) -> None:
    holder: Record | None = None
    while (line := talk.hear(ANSWER_SECONDS + wait_seconds)) != "yours":
        word, _, rest = (line or "").partition(" ")
        if word == "left" and (left := audit.parse(rest)):
            tell(f"a run was cut off before it could end: {left.told()}")
        elif word == "held":
            holder = audit.parse(rest)
            if wait_seconds:
                tell(f"waiting up to {wait_seconds} s for {holder.told() if holder else 'who has the lock'}")
        elif line is None:
            raise _locked(record.cluster, holder, wait_seconds)
        else:
            raise _refused(record.cluster, line, talk)


def _begin(talk: Conversation, record: Record) -> None:
    talk.say(record.line() + "\n")
    if (line := talk.hear(ANSWER_SECONDS)) != "begun":
        raise _refused(record.cluster, line, talk)


def _hang_up(talk: Conversation, record: Record) -> None:
    """Say no more, and wait until it is told that this record was audited, and not an earlier one."""
    talk.close()
    said = _all_that_is_said(talk)
    audited = [audit.parse(line.removeprefix("ended ")) for line in said if line.startswith("ended ")]
    if audited != [audit.parse(record.line())]:  # what is too long for a line is shortened there
        raise RemoteError("hold-lock could not write the audit", why="\n".join(said))


def _all_that_is_said(talk: Conversation) -> list[str]:
    said = []
    while (line := talk.hear(ANSWER_SECONDS)) is not None:
        said.append(line)
    return said


def _locked(cluster: str, holder: Record | None, waited: int) -> Locked:
    return Locked(
        f"{cluster} is locked{f' after {waited} s' if waited else ''}: nothing was begun",
        why=holder.told() if holder else "another run has just begun",
        next=f"inv show-lock --hosts {cluster}; or the same command with --lock-wait SECONDS",
    )


def _refused(cluster: str, line: str | None, talk: Conversation) -> Trouble:
    said = [line, *_all_that_is_said(talk)] if line is not None else ["it hung up"]
    return Trouble(
        f"{cluster}: nothing was begun, as it could not be audited",
        why="\n".join(said),
        next=f"make room under {STATE} on the cluster's first server, then the same command again",
    )
