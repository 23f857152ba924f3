"""This machine as a host: the same scripts, started the same way, without SSH."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from typing import IO

from scout_ollama.inventory import Host
from scout_ollama.remote.base import ScriptRemote
from scout_ollama.remote.conversation import Conversation
from scout_ollama.remote.output import Output
from scout_ollama.remote.script import Script

_CHUNK_BYTES = 64 * 1024


class LocalRemote(ScriptRemote):
    """Runs scripts on this machine, as the user who runs this program."""

    def connect_ahead(self) -> None:
        """Nothing to connect to."""

    def close(self) -> None:
        """Nothing to close."""

    def _execute(self, argv: list[str], payload: bytes, output: Output, deadline: float) -> int:
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
            try:
                _collect(process, payload, output, deadline)
            except BaseException:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGTERM)
                raise
        return process.returncode

    def _begin(self, script: Script, argv: list[str], payload: bytes) -> Conversation:
        pipe = subprocess.PIPE
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True)
        talk = _LocalConversation(self.host, script, process)
        talk.say(payload.decode())
        return talk


class _LocalConversation(Conversation):
    """A conversation with a process of this machine."""

    def __init__(self, host: Host, script: Script, process: subprocess.Popen[bytes]) -> None:
        super().__init__(host, script)
        self._process = process

    def close(self) -> None:
        """See Conversation."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _send(self, data: bytes) -> None:
        assert self._process.stdin
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _receive(self, seconds: float) -> bytes:
        assert self._process.stdout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(seconds):
                raise TimeoutError
        data = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
        if not data:
            self._process.stdout.close()
            self._process.wait()
        return data


def _collect(process: subprocess.Popen[bytes], payload: bytes, output: Output, deadline: float) -> None:
    """Serve all three streams at once, so that none can block another, until the process has ended.

    Raises TimeoutError at the deadline (on the monotonic clock), and TooMuchOutput.
    """
    assert process.stdin
    assert process.stdout
    assert process.stderr
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE, _writer(process.stdin, payload))
        selector.register(process.stdout, selectors.EVENT_READ, _reader(process.stdout, output.stdout))
        selector.register(process.stderr, selectors.EVENT_READ, _reader(process.stderr, output.stderr))
        while selector.get_map():
            ready = selector.select(max(0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                at_end = key.data()
                if at_end:
                    selector.unregister(key.fileobj)
                    if key.fileobj is process.stdin:
                        process.stdin.close()
    try:
        process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _writer(stream: IO[bytes], payload: bytes) -> Callable[[], bool]:
    """A function that writes what fits and says whether that was the last of it."""
    rest = memoryview(payload)

    def write() -> bool:
        nonlocal rest
        try:
            rest = rest[os.write(stream.fileno(), rest[:_CHUNK_BYTES]) :]
        except BrokenPipeError:  # a script need not read its input
            rest = rest[:0]
        return not rest

    return write


def _reader(stream: IO[bytes], take: Callable[[bytes], None]) -> Callable[[], bool]:
    """A function that reads what is there and says whether that was the end."""

    def read() -> bool:
        data = os.read(stream.fileno(), _CHUNK_BYTES)
        take(data)
        return not data

    return read
