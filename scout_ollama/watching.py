"""Looking again and again until it is done, or until nothing moves any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from scout_ollama.errors import Trouble

MOST_SECONDS = 1800
# The API itself may be away for a moment, while K3s restarts or etcd elects.
UNANSWERED_SECONDS = 60
POLL_SECONDS = 1.0


class Look(Protocol):
    """What one look found."""

    @property
    def places(self) -> Mapping[str, str]:
        """Where each part stands, in words, by its name."""

    @property
    def is_done(self) -> bool:
        """Whether there is nothing more to wait for."""

    @property
    def is_stuck(self) -> bool:
        """Whether no part is about to move by itself."""


T = TypeVar("T", bound=Look)


def watch(
    look: Callable[[], T],
    tell: Callable[[str, str], None],
    *,
    patience: float,
    most_seconds: float = MOST_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> T:
    """Look until it is done, or stuck and unmoved for ``patience`` seconds, or took too long; return the last look.

    ``tell`` hears of each part (its name, where it stands) whenever that changes. To come where it has been before, as
    a container does that crashes again and again, is not to move.

    Raises:
        Trouble: there was no answer for a minute.
    """
    deadline = time.monotonic() + most_seconds
    last: Mapping[str, str] = {}
    been: set[tuple[str, str]] = set()
    answered = moved = time.monotonic()
    while True:
        try:
            now = look()
        except Trouble:
            if time.monotonic() - answered > UNANSWERED_SECONDS:
                raise
            time.sleep(poll_seconds)
            continue
        answered = time.monotonic()
        places = now.places
        for part, place in places.items():
            if last.get(part) != place:
                tell(part, place)
        if places.items() - been:
            moved = time.monotonic()
        been |= places.items()
        last = places
        if now.is_done or time.monotonic() > deadline:
            return now
        if now.is_stuck and time.monotonic() - moved > patience:
            return now
        time.sleep(poll_seconds)
