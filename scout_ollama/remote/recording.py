"""A remote that writes down what it is asked, for tests: the answers come from a function or from another remote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal, Self

from scout_ollama.inventory import Host
from scout_ollama.remote.conversation import Conversation
from scout_ollama.remote.protocol import CommandFailed, Remote, Result
from scout_ollama.remote.script import Script


@dataclass(frozen=True)
class Call:
    """One thing a remote was asked. A ``put`` has its content as ``stdin`` and its path as the only argument."""

    kind: Literal["read", "run", "put", "converse"]
    script: str
    args: tuple[str, ...]
    stdin: bytes = field(repr=False, default=b"")
    sudo: bool = False
    mode: int = 0
    owner: str = ""


Answer = Callable[[Call], Result | str]
"""What a host says to a call: a result, or just the standard output of a success."""


class RecordingRemote:
    """Appends every call to ``calls``, then answers with ``answer(call)`` or passes it on to the remote ``answer``."""

    def __init__(self, host: Host, answer: Answer | Remote = lambda _: "") -> None:
        self.host = host
        self.calls: list[Call] = []
        self.closed = False
        self._answer = answer

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
        call = self._record(Call("read", script.name, args, stdin, sudo))
        if callable(self._answer):
            return self._answered(self._answer, call, check, script.name)
        return self._answer.read(script, *args, stdin=stdin, sudo=sudo, timeout=timeout, check=check)

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
        call = self._record(Call("run", script.name, args, stdin, sudo))
        if not callable(self._answer):
            return self._answer.run(
                script, *args, stdin=stdin, sudo=sudo, timeout=timeout, check=check, on_line=on_line
            )
        result = self._answered(self._answer, call, check, script.name)
        if on_line:
            for line in (result.stdout + result.stderr).splitlines():
                on_line(line)
        return result

    def put(self, content: bytes, path: str, *, mode: int = 0o644, owner: str = "", sudo: bool = False) -> None:
        """See Remote."""
        call = self._record(Call("put", "put", (path,), content, sudo, mode, owner))
        if callable(self._answer):
            self._answered(self._answer, call, True, f"writing {path}")
        else:
            self._answer.put(content, path, mode=mode, owner=owner, sudo=sudo)

    def converse(self, script: Script, *args: str, sudo: bool = False, timeout: float = 86400) -> Conversation:
        """See Remote. An answer that is text is all that is heard, line by line."""
        call = self._record(Call("converse", script.name, args, sudo=sudo))
        if not callable(self._answer):
            return self._answer.converse(script, *args, sudo=sudo, timeout=timeout)
        return RecordedConversation(self.host, script, self._answered(self._answer, call, True, script.name).stdout)

    def connect_ahead(self) -> None:
        """See Remote. It is no call: nothing happens on the host."""
        if not callable(self._answer):
            self._answer.connect_ahead()

    def close(self) -> None:
        """See Remote."""
        self.closed = True
        if not callable(self._answer):
            self._answer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record(self, call: Call) -> Call:
        self.calls.append(call)
        return call

    def _answered(self, answer: Answer, call: Call, check: bool, what: str) -> Result:
        said = answer(call)
        result = Result(self.host.name, 0, said, "", 0.0) if isinstance(said, str) else said
        if check and result.status:
            raise CommandFailed(what, result)
        return result


class RecordedConversation(Conversation):
    """Says what it was given to say, and keeps what is said to it in ``said``."""

    def __init__(self, host: Host, script: Script, lines: str) -> None:
        super().__init__(host, script)
        self.said: list[str] = []
        self._started = True
        self._lines = lines.encode()

    def close(self) -> None:
        """See Conversation."""

    def _send(self, data: bytes) -> None:
        self.said.append(data.decode())

    def _receive(self, seconds: float) -> bytes:  # noqa: ARG002 - everything is there already
        lines, self._lines = self._lines, b""
        return lines
