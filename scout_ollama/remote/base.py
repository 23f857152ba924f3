"""What the remotes that run scripts have in common: read, run and put in terms of one command with its input."""

from __future__ import annotations

import logging
import shlex
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from scout_ollama.inventory import Host
from scout_ollama.remote import failures
from scout_ollama.remote.conversation import Conversation, Disconnected
from scout_ollama.remote.output import Output, TooMuchOutput
from scout_ollama.remote.protocol import CommandFailed, RemoteError, Result
from scout_ollama.remote.script import TIMED_OUT, Script, local_deadline

_ASK_SUDO = Script(
    "ask-sudo",
    """
    [ "$(id -u)" -ne 0 ] || { echo root; exit; }
    command -v sudo >/dev/null || { echo missing; exit; }
    sudo -n -- sh -c : && echo allowed
    """,
)

_logger = logging.getLogger(__name__)


class ScriptRemote(ABC):
    """A host on which scripts are run one way, by ``_execute``."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    def _execute(self, argv: list[str], payload: bytes, output: Output, deadline: float) -> int:
        """Run ``argv`` with ``payload`` on standard input; return its status, negative if a signal ended it.

        Raises TimeoutError at the deadline (on the monotonic clock), TooMuchOutput as ``output`` does, Disconnected
        when the host is lost meanwhile and RemoteError when it was not even reached.
        """

    @abstractmethod
    def _begin(self, script: Script, argv: list[str], payload: bytes) -> Conversation:
        """Start ``argv`` with ``payload`` on standard input, which stays open. Raises RemoteError."""

    @abstractmethod
    def connect_ahead(self) -> None:
        """See Remote."""

    @abstractmethod
    def close(self) -> None:
        """See Remote."""

    def read(
        self,
        script: Script,
        *args: str,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float = 60,
        check: bool = True,
    ) -> Result:
        """See Reader."""
        return self._run("read", script, args, stdin, sudo, timeout, check, None)

    def run(
        self,
        script: Script,
        *args: str,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float = 600,
        check: bool = True,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """See Remote."""
        return self._run("run", script, args, stdin, sudo, timeout, check, on_line)

    def converse(self, script: Script, *args: str, sudo: bool = False, timeout: float = 86400) -> Conversation:
        """See Remote."""
        length, payload = script.payload(b"")
        argv = script.argv(length, args, sudo=sudo, timeout=timeout)
        began = time.monotonic()
        talk = self._begin(script, argv, payload)
        talk.why_not_started = lambda said: self._why_not_started(script, said, sudo=sudo)
        _log(self.host, "converse", script, args, f"begun in {time.monotonic() - began:.2f} s")
        return talk

    def put(self, content: bytes, path: str, *, mode: int = 0o644, owner: str = "", sudo: bool = False) -> None:
        """See Remote."""
        result = self.run(
            Script.load("put"), path, f"{mode:o}", owner, str(len(content)), stdin=content, sudo=sudo, check=False
        )
        if result.status:
            raise CommandFailed(f"writing {path}", result)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(
        self,
        kind: str,
        script: Script,
        args: tuple[str, ...],
        stdin: bytes,
        sudo: bool,
        timeout: float,
        check: bool,
        on_line: Callable[[str], None] | None,
    ) -> Result:
        length, payload = script.payload(stdin)
        argv = script.argv(length, args, sudo=sudo, timeout=timeout)
        output = Output(on_line)
        began = time.monotonic()
        status: int | str = "lost"
        try:
            status = self._execute(argv, payload, output, began + local_deadline(timeout))
        except TooMuchOutput:
            raise failures.too_much_output(self.host, script) from None
        except TimeoutError:
            raise failures.did_not_end(self.host, script, timeout) from None
        except Disconnected as error:
            raise failures.connection_lost(self.host, script, str(error), timeout) from error
        finally:
            _log(self.host, kind, script, args, f"{status} in {time.monotonic() - began:.2f} s")
        result = Result(self.host.name, status, *output.end(), time.monotonic() - began)
        if result.seconds >= timeout and (status < 0 or status in TIMED_OUT):
            raise failures.took_too_long(self.host, script, timeout, result)
        if status < 0:
            raise failures.killed(self.host, script)
        if not output.started:
            raise self._why_not_started(script, f"{result.stdout}\n{result.stderr}", sudo=sudo)
        if check and result.status:
            raise CommandFailed(script.name, result)
        return result

    def _why_not_started(self, script: Script, said: str, *, sudo: bool) -> RemoteError:
        """The login shell, or sudo, ended before the script began: ``said`` is theirs."""
        if sudo:
            answer = self.read(_ASK_SUDO, check=False)
            match answer.stdout.strip():
                case "missing":
                    return failures.sudo_missing(self.host)
                case "":
                    return failures.sudo_refused(self.host, answer)
        return failures.not_started(self.host, script, said)


def _log(host: Host, kind: str, script: Script, args: tuple[str, ...], outcome: str) -> None:
    """Every command that a host is given has its line in the run's log."""
    _logger.info("%s %s %s -> %s", host.name, kind, shlex.join([script.name, *args]), outcome)
