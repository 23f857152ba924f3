"""What the remotes that run scripts have in common: read, run and put in terms of one command with its input."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from scout_ollama.inventory import Host
from scout_ollama.remote import failures
from scout_ollama.remote.protocol import CommandFailed, Result
from scout_ollama.remote.script import Script

_TIMED_OUT = 124  # what timeout(1) makes of a command it ended, and 137 when it had to kill it
_KILLED = 137

_PUT = "put"
_ASK_SUDO = Script(
    "ask-sudo",
    """
    [ "$(id -u)" -ne 0 ] || { echo root; exit; }
    command -v sudo >/dev/null || { echo missing; exit; }
    sudo -n -- sh -c : && echo allowed
    """,
)


class ScriptRemote(ABC):
    """A host on which scripts are run one way, by ``_execute``."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._sudo: bool | None = None  # whether commands for root need sudo; None until the host was asked

    @abstractmethod
    def _execute(
        self, script: Script, argv: list[str], payload: bytes, timeout: float, on_line: Callable[[str], None] | None
    ) -> Result:
        """Run ``argv`` with ``payload`` on standard input. Raises RemoteError unless it ends by itself in time."""

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
        return self._run(script, args, stdin, sudo, timeout, check, None)

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
        return self._run(script, args, stdin, sudo, timeout, check, on_line)

    def put(self, content: bytes, path: str, *, mode: int = 0o644, owner: str = "", sudo: bool = False) -> None:
        """See Remote."""
        result = self.run(
            Script.load(_PUT), path, f"{mode:o}", owner, str(len(content)), stdin=content, sudo=sudo, check=False
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
        script: Script,
        args: tuple[str, ...],
        stdin: bytes,
        sudo: bool,
        timeout: float,
        check: bool,
        on_line: Callable[[str], None] | None,
    ) -> Result:
        length, payload = script.payload(stdin)
        argv = script.argv(length, args, sudo=sudo and self._needs_sudo(), timeout=timeout)
        result = self._execute(script, argv, payload, timeout, on_line)
        if result.status in (_TIMED_OUT, _KILLED) and result.seconds >= timeout:
            raise failures.took_too_long(self.host, script, timeout, result)
        if check and result.status:
            raise CommandFailed(script.name, result)
        return result

    def _needs_sudo(self) -> bool:
        if self._sudo is None:
            self._sudo = self._ask_sudo()
        return self._sudo

    def _ask_sudo(self) -> bool:
        answer = self.read(_ASK_SUDO, check=False)
        match answer.stdout.strip():
            case "root":
                return False
            case "allowed":
                return True
            case "missing":
                raise failures.sudo_missing(self.host)
        raise failures.sudo_refused(self.host, answer)
