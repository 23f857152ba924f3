"""A host over SSH: one connection, kept; one channel for each script."""

from __future__ import annotations

import contextlib
import select
import shlex
import threading
import time

import fabric
import paramiko

from scout_ollama.inventory import Host, Site
from scout_ollama.known_hosts import KnownHosts
from scout_ollama.remote import connection, failures
from scout_ollama.remote.base import ScriptRemote
from scout_ollama.remote.conversation import Conversation, Disconnected
from scout_ollama.remote.output import Output
from scout_ollama.remote.script import Script
from scout_ollama.remote.transport import Transport

_CHUNK_BYTES = 64 * 1024
_POLL_SECONDS = 1.0


class SshRemote(ScriptRemote):
    """Connects at its first script, and again if the connection was lost since the last one."""

    def __init__(self, host: Host, known_hosts: KnownHosts) -> None:
        super().__init__(host)
        self._known_hosts = known_hosts
        self._connection: fabric.Connection | None = None
        self._connecting = threading.Lock()
        self._missed: Exception | None = None  # what came of connecting ahead, until the next script raises it
        self._closed = False

    @classmethod
    def connect(cls, site: Site, host: Host) -> SshRemote:
        """A remote for a host of the site; nothing is contacted yet."""
        return cls(host, KnownHosts.load(site.known_hosts))

    def connect_ahead(self) -> None:
        """See Remote. Waiting for a host that is away begins here, and is not begun again by the script."""
        with self._connecting:
            try:
                self._connect()
            except Exception as error:
                self._missed = error

    def close(self) -> None:
        """Disconnect for good; what still runs on the host ends when its timeout does."""
        self._closed = True  # first, and without waiting for the lock: whoever is connecting now looks at it afterwards
        if self._connection:
            connection.close(self._connection)

    def _open(self) -> fabric.Connection:
        with self._connecting:
            if missed := self._missed:
                self._missed = None
                raise missed
            return self._connect()

    def _connect(self) -> fabric.Connection:
        if self._connection and not self._connection.is_connected:
            connection.close(self._connection)
            self._connection = None
        if not self._connection and not self._closed:
            self._connection = connection.connect(self.host, self._known_hosts)
        if not self._connection or self._closed:
            self.close()
            raise failures.disconnected(self.host)
        return self._connection

    def _execute(self, argv: list[str], payload: bytes, output: Output, deadline: float) -> int:
        opened = self._open()
        try:
            channel = opened.transport.open_session()
            channel.exec_command(shlex.join(argv))
            threading.Thread(target=_feed, args=(channel, payload), daemon=True).start()
            status = _collect(channel, output, deadline)
        except BaseException as error:
            # All of the connection: to close the channel alone waits for whoever is writing, which may be for ever.
            connection.close(opened)
            if isinstance(error, paramiko.SSHException | EOFError | OSError) and not isinstance(error, TimeoutError):
                raise Disconnected(str(error) or "the host hung up") from error
            raise
        with contextlib.suppress(EOFError, OSError):  # the script has ended, whatever happens to its connection now
            channel.close()
        return status

    def _begin(self, script: Script, argv: list[str], payload: bytes) -> Conversation:
        opened = self._open()
        try:
            channel = opened.transport.open_session()
            channel.set_combine_stderr(True)
            channel.exec_command(shlex.join(argv))
            channel.sendall(payload)
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise failures.hung_up(self.host, script, str(error)) from error
        return _SshConversation(self.host, script, channel)


class _SshConversation(Conversation):
    """A conversation over a channel of its own."""

    def __init__(self, host: Host, script: Script, channel: paramiko.Channel) -> None:
        super().__init__(host, script)
        self._channel = channel

    def close(self) -> None:
        """See Conversation."""
        with contextlib.suppress(EOFError, OSError):
            self._channel.shutdown_write()

    def _send(self, data: bytes) -> None:
        if self._channel.closed or self._channel.eof_received:
            raise Disconnected("it has ended")
        self._channel.sendall(data)

    def _receive(self, seconds: float) -> bytes:
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._channel.settimeout(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
                data: bytes = self._channel.recv(_CHUNK_BYTES)
            except TimeoutError:
                if time.monotonic() >= deadline:
                    raise
                _expect_life(self._channel.transport)
                continue
            if not data:  # Paramiko says so of a lost connection too
                _expect_life(self._channel.transport)
            return data


def _expect_life(transport: Transport) -> None:
    """Raise Disconnected if the connection is lost."""
    try:
        transport.expect_life()
    except paramiko.SSHException as error:
        raise Disconnected(str(error)) from error
    if not transport.is_active():
        raise Disconnected(str(transport.get_exception() or "the host hung up"))


def _feed(channel: paramiko.Channel, payload: bytes) -> None:
    # Never Invoke's in_stream, which feeds a byte every 10 ms.
    with contextlib.suppress(OSError, EOFError):  # a script need not read its input; a lost connection shows elsewhere
        channel.sendall(payload)
        channel.shutdown_write()


def _collect(channel: paramiko.Channel, output: Output, deadline: float) -> int:
    """Gather output until the command has ended, and return its exit status, negative if a signal ended it.

    Raises TimeoutError at the deadline (on the monotonic clock), TooMuchOutput, and EOFError or a
    paramiko.SSHException when the connection is lost.
    """
    readable = select.poll()
    readable.register(channel.fileno(), select.POLLIN)
    while True:
        all_said = channel.closed or channel.eof_received  # asked before reading, or the last words could be missed
        while channel.recv_ready():
            output.stdout(channel.recv(_CHUNK_BYTES))
        while channel.recv_stderr_ready():
            output.stderr(channel.recv_stderr(_CHUNK_BYTES))
        if all_said and channel.exit_status_ready():
            return _exit_status(channel)
        if time.monotonic() > deadline:
            raise TimeoutError
        channel.transport.expect_life()
        if all_said:  # from now on the descriptor is always readable
            channel.status_event.wait(_POLL_SECONDS)
        else:
            readable.poll(_POLL_SECONDS * 1000)


def _exit_status(channel: paramiko.Channel) -> int:
    status: int = channel.recv_exit_status()
    if status < 0:
        # A signal ended the command, or the connection was lost: Paramiko closes the channels of a lost connection
        # just before it marks the transport inactive.
        channel.transport.join(_POLL_SECONDS)
        if not channel.transport.is_active():
            raise channel.transport.get_exception() or EOFError
    return status
