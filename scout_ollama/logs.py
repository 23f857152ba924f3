"""One file for each command that contacts hosts: what it said and what it had hosts do, without secrets."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path

from scout_ollama.errors import Trouble, printable
from scout_ollama.pipes import let_reader_go
from scout_ollama.secrets import masked

KEPT = 500
LOGGER = logging.getLogger("scout_ollama")


class _Masking(logging.Formatter):
    """The last step before the write."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        return printable(masked(f"{moment} {super().format(record)}"))


class Log(logging.FileHandler):
    """A file that appears with its first line."""

    def __init__(self, command: str) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.path = directory() / f"{moment}-{command}-{os.getpid()}.log"
        super().__init__(self.path, encoding="utf-8", delay=True, errors="replace")
        self.setFormatter(_Masking())

    def status_of(self, command: Callable[[], int | None]) -> int:
        """Return the exit status of a command; what it raises is told and logged, and status 1.

        Status 1 is also what a command ends with whose reader has left.
        """
        try:
            status = command() or 0
            sys.stdout.flush()
            return status
        except BrokenPipeError:
            LOGGER.info("nobody reads what is printed any more", exc_info=True)
            let_reader_go()
        except Trouble as trouble:
            LOGGER.info("%s", trouble)
            _tell(str(trouble))
        except KeyboardInterrupt:
            _tell("interrupted: what is listed above was done; the same command again does the rest")
        except Exception as error:
            LOGGER.exception("fault")
            _tell(f"unexpected {type(error).__name__}: {error}\n  why: this is a fault in scout-ollama")
            _tell(f"  next: report it with {self.path}")
        return 1

    def name_it(self) -> None:
        """Tell where the log is, if there is one."""
        if self.path.exists():
            _tell(f"log: {self.path}")

    def _open(self) -> TextIOWrapper:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for old in sorted(self.path.parent.glob("*.log"))[: -KEPT + 1]:
            old.unlink(missing_ok=True)
        self.path.touch(mode=0o600)
        return super()._open()


def directory() -> Path:
    """Return where this user's logs are: ``$XDG_STATE_HOME/scout-ollama/logs``."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state) / "scout-ollama" / "logs"


def audit_file() -> Path:
    """Return this user's own audit, which has the same lines as the clusters'."""
    return directory().parent / "audit.jsonl"


def _tell(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        print(printable(masked(text)), file=sys.stderr, flush=True)


@contextmanager
def of(command: str) -> Iterator[Log]:
    """Log what is said to ``LOGGER`` for as long as it takes."""
    log = Log(command)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    LOGGER.addHandler(log)
    try:
        yield log
    finally:
        LOGGER.removeHandler(log)
        log.close()
