"""What the rest of the project may do to a host: read facts, run what changes something, put a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from scout_ollama.errors import Trouble
from scout_ollama.inventory import Host
from scout_ollama.remote.script import Script

if TYPE_CHECKING:
    from scout_ollama.remote.conversation import Conversation

_TAIL_LINES = 8


@dataclass(frozen=True)
class Result:
    """What a script did: exit status, its output as text (undecodable bytes replaced), seconds it took."""

    host: str
    status: int
    stdout: str
    stderr: str
    seconds: float


class RemoteError(Trouble):
    """A host could not be reached or did not do what it was asked; ``check`` is what did not hold on the way there."""

    check: ClassVar[str] = "answers"


class HostKeyRefused(RemoteError):
    """The host's key is unknown, changed or revoked."""

    check = "host-key"


class LoginRefused(RemoteError):
    """There is no key to log in with, or the host does not take it."""

    check = "login"


class SudoRefused(RemoteError):
    """The user may not become root there."""

    check = "sudo"


class CommandFailed(RemoteError):
    """A script ended with a status other than 0; ``result`` has all of its output."""

    def __init__(self, script: str, result: Result) -> None:
        lines = (result.stderr.strip() or result.stdout.strip()).splitlines()[-_TAIL_LINES:]
        super().__init__(
            f"{script} failed with status {result.status}",
            host=result.host,
            why="\n".join(lines) or "it said nothing",
            next="mend what it says, then the same command again",
        )
        self.result = result


class Reader(Protocol):
    """A host that can only be looked at: what planning gets, so that a plan is harmless by construction."""

    @property
    def host(self) -> Host:
        """The inventory's entry."""

    def read(
        self,
        script: Script,
        *args: str,
        stdin: bytes = b"",
        sudo: bool = False,
        timeout: float = 60,
        check: bool = True,
    ) -> Result:
        """Run a script that changes nothing, for at most ``timeout`` seconds.

        Raises RemoteError when the host cannot be reached or takes too long, and CommandFailed on a status other
        than 0 unless ``check`` is false.
        """


class Remote(Reader, Protocol):
    """A host that can be changed. Usable as a context manager, which closes it."""

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
        """Run a script that changes something; ``on_line`` gets every line of output as it comes. Raises as read."""

    def put(self, content: bytes, path: str, *, mode: int = 0o644, owner: str = "", sudo: bool = False) -> None:
        """Make ``content`` the file at ``path``, all or nothing; ``owner`` is ``user[:group]``. Raises as read."""

    def converse(self, script: Script, *args: str, sudo: bool = False, timeout: float = 86400) -> Conversation:
        """Begin a script that is spoken with while it runs, for at most ``timeout`` seconds.

        Raises RemoteError when the host cannot be reached.
        """

    def connect_ahead(self) -> None:
        """Connect before the first script does; it is that script which raises what goes wrong."""

    def close(self) -> None:
        """Disconnect; what still runs on the host ends when its timeout does."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
