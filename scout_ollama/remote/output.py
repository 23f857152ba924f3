"""What a command prints, collected as it comes: bounded, free of rc-file noise, handed on line by line."""

from __future__ import annotations

from collections.abc import Callable

from scout_ollama.remote.script import STARTED

LIMIT_BYTES = 64 * 1024 * 1024


class TooMuchOutput(Exception):
    """The command printed more than LIMIT_BYTES."""


class _Lines:
    """Cuts a stream of bytes into lines."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = bytearray()  # what came after the last end of a line

    def feed(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._rest += first
        for line in others:
            self._on_line(_text(self._rest))
            self._rest = bytearray(line)

    def end(self) -> None:
        if self._rest:
            self._on_line(_text(self._rest))


class Output:
    """Both output streams of one command. Raises TooMuchOutput from ``stdout`` and ``stderr``."""

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._out = bytearray()
        self._err = bytearray()
        self._begin = -1  # where the script's own standard output begins, once that is known
        self._lines = (_Lines(on_line), _Lines(on_line)) if on_line else None

    @property
    def started(self) -> bool:
        """Whether the script began: otherwise all of the output is somebody else's."""
        return self._begin >= 0

    def stdout(self, data: bytes) -> None:
        """Take in bytes from standard output."""
        self._out += data
        self._check_size()
        if not self.started:
            at = self._out.find(STARTED, max(0, len(self._out) - len(data) - len(STARTED)))
            if at < 0:
                return
            self._begin = at + len(STARTED)
            data = bytes(self._out[self._begin :])
        if self._lines:
            self._lines[0].feed(data)

    def stderr(self, data: bytes) -> None:
        """Take in bytes from standard error."""
        self._err += data
        self._check_size()
        if self._lines:
            self._lines[1].feed(data)

    def end(self) -> tuple[str, str]:
        """Standard output and standard error as text."""
        if self._lines:
            for lines in self._lines:
                lines.end()
        return _text(self._out[max(self._begin, 0) :]), _text(self._err)

    def _check_size(self) -> None:
        if len(self._out) + len(self._err) > LIMIT_BYTES:
            raise TooMuchOutput


def _text(data: bytes | bytearray) -> str:
    return data.decode(errors="replace")
