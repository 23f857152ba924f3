"""A script on a host that goes on while lines are exchanged with it; it learns of our end by the end of its input."""

from __future__ import annotations

import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable

from scout_ollama.inventory import Host
from scout_ollama.remote import failures
from scout_ollama.remote.output import LIMIT_BYTES
from scout_ollama.remote.protocol import RemoteError
from scout_ollama.remote.script import STARTED, Script


class Disconnected(Exception):
    """The connection broke; the message says how that showed."""


class Conversation(ABC):
    """What was begun by ``Remote.converse``. Its output is standard output and standard error in one."""

    def __init__(self, host: Host, script: Script) -> None:
        self._host = host
        self._script = script
        self._heard = bytearray()
        self._searched = 0  # no line ends before this place of what was heard
        self._bytes = 0
        self._started = False
        self.why_not_started: Callable[[str], RemoteError] = functools.partial(failures.not_started, host, script)
        """Makes of what was said instead what is wrong, if the script never began."""

    def say(self, text: str) -> None:
        """Send text to the script's standard input.

        Raises:
            RemoteError: it has ended, or the connection is lost.
        """
        try:
            self._send(text.encode())
        except (OSError, EOFError, Disconnected) as error:
            raise failures.hung_up(self._host, self._script, str(error)) from error

    def hear(self, seconds: float) -> str | None:
        """Wait for the next line of its output, for at most that long; None once it has ended.

        Raises:
            RemoteError: nothing came in time, the connection is lost, the script never began, or it has said more than
                LIMIT_BYTES.
        """
        deadline = time.monotonic() + seconds
        while True:
            while (line := self._line()) is not None:
                if self._started:
                    return line.decode(errors="replace")
                self._started = line + b"\n" == STARTED  # what comes before is a login shell's own
            data = self._next(deadline)
            if not data:
                return self._last_line()
            self._take_in(data)

    def _line(self) -> bytes | None:
        """The next whole line of what was heard."""
        end = self._heard.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._heard)
            return None
        line = bytes(self._heard[:end])
        del self._heard[: end + 1]
        self._searched = 0
        return line

    def _take_in(self, data: bytes) -> None:
        self._heard += data
        self._bytes += len(data)
        if self._bytes > LIMIT_BYTES:
            raise failures.too_much_output(self._host, self._script)

    def _next(self, deadline: float) -> bytes:
        try:
            return self._receive(max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise failures.says_nothing(self._host, self._script) from error
        except (OSError, EOFError, Disconnected) as error:
            raise failures.hung_up(self._host, self._script, str(error)) from error

    def _last_line(self) -> str | None:
        line, self._heard = bytes(self._heard), bytearray()
        if not self._started:
            raise self.why_not_started(line.decode(errors="replace"))
        return line.decode(errors="replace") if line else None

    @abstractmethod
    def close(self) -> None:
        """Say no more: the script's standard input ends."""

    @abstractmethod
    def _send(self, data: bytes) -> None:
        """Raises OSError, EOFError or Disconnected when nobody reads any more."""

    @abstractmethod
    def _receive(self, seconds: float) -> bytes:
        """Some bytes of output, none at its end. Raises TimeoutError, and as _send does."""
