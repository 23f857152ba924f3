"""Many hosts at once: one bounded fan-out, where what came back and what went wrong are both values."""

from __future__ import annotations

import itertools
import queue
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from scout_ollama.errors import Trouble, places
from scout_ollama.inventory import Host, Site
from scout_ollama.remote import Reader, Remote

if TYPE_CHECKING:
    from scout_ollama.lock import Hold

T = TypeVar("T")

AT_ONCE = 40
"""Hosts worked on at the same time: threads serve well up to here."""

Connect = Callable[[Site, Host], Remote]


def by_ssh(site: Site, host: Host) -> Remote:
    """Return a remote over SSH; nothing is contacted yet."""
    # Here, before threads begin that would all wait for it.
    from scout_ollama.remote.ssh import SshRemote

    return SshRemote.connect(site, host)


@dataclass(frozen=True)
class Ok(Generic[T]):
    """What the function returned for a host."""

    value: T


@dataclass(frozen=True)
class Failed:
    """Why there is no value for a host."""

    trouble: Trouble


class Bug(Trouble):
    """Something nobody foresaw, which is a fault of ours; ``traceback`` is for whoever mends it."""

    def __init__(self, host: str, error: Exception) -> None:
        super().__init__(
            f"unexpected {type(error).__name__}: {error}",
            host=host,
            why="this is a fault in scout-ollama\n" + places(error),
            next="report it with the lines above",
        )
        self.traceback = "".join(traceback.format_exception(error))


class Outcomes(dict[str, Ok[T] | Failed]):
    """The outcome for each host, by name, in the order in which the hosts were given."""

    @property
    def ok(self) -> dict[str, T]:
        """The values, of the hosts that have one."""
        return {name: outcome.value for name, outcome in self.items() if isinstance(outcome, Ok)}

    @property
    def failed(self) -> dict[str, Trouble]:
        """The troubles, of the hosts that have one."""
        return {name: outcome.trouble for name, outcome in self.items() if isinstance(outcome, Failed)}

    def values_or_raise(self) -> dict[str, T]:
        """All values; raises the first host's Trouble if there is any."""
        for trouble in self.failed.values():
            raise trouble
        return self.ok


def run_on(names: Iterable[str], function: Callable[[str], T], limit: int = AT_ONCE) -> Outcomes[T]:
    """Call ``function`` with every name, at most ``limit`` at a time. A failure is an outcome and stops nobody else.

    On Ctrl-C no further call begins and KeyboardInterrupt is raised at once; calls that have begun are left alone.
    """
    names = list(names)
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        waiting.put(name)
    done: dict[str, Ok[T] | Failed] = {}
    interrupted = threading.Event()

    def work() -> None:
        while not interrupted.is_set():
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            done[name] = _outcome(name, function)

    # Daemon threads, not a pool: Python waits for a pool's threads at exit, and one may be waiting for a dead host.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(limit, len(names)))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except BaseException:
        interrupted.set()
        raise
    return Outcomes({name: done[name] for name in names})


class Fleet:
    """One connection to each host for the whole run, opened when it is first needed. A context manager."""

    def __init__(self, site: Site, connect: Connect = by_ssh) -> None:
        self._site = site
        self._hosts = {host.name: host for host in site.hosts}
        self._connect = connect
        self._remotes: dict[str, Remote] = {}
        self._making = threading.Lock()
        self._closed = False

    def _remote(self, name: str) -> Remote:
        """The remote of a host, the same one each time. Raises Trouble once the fleet is closed."""
        with self._making:
            if self._closed:  # whoever is still at work after Ctrl-C must not connect again
                raise Trouble("is not connected to any more", host=name, why="the run was ended")
            if name not in self._remotes:
                self._remotes[name] = self._connect(self._site, self._hosts[name])
            return self._remotes[name]

    def expect(self, names: Iterable[str]) -> None:
        """Begin to connect to hosts that will be asked next, beside what comes before that."""
        for name in itertools.islice(names, AT_ONCE):
            _connect_ahead(self._remote(name))

    def read(self, function: Callable[[Reader], T], names: Iterable[str], limit: int = AT_ONCE) -> Outcomes[T]:
        """Call ``function`` with each named host, to look at it, as run_on does. Ctrl-C closes the connections."""
        return self._run_on(names, lambda name: function(self._remote(name)), limit)

    def change(self, hold: Hold, function: Callable[[Remote], T], names: Iterable[str]) -> Outcomes[T]:
        """Call ``function`` with each named host, to change it, as ``read``; not without the lock of its cluster."""

        def changed(name: str) -> T:
            hold.check()
            return function(self._remote(name))

        return self._run_on(names, changed)

    def apart(self, name: str) -> Remote:
        """Return a remote of a host with a connection of its own, begun at once; whoever asks for it closes it."""
        remote = self._connect(self._site, self._hosts[name])
        _connect_ahead(remote)
        return remote

    def _run_on(self, names: Iterable[str], function: Callable[[str], T], limit: int = AT_ONCE) -> Outcomes[T]:
        try:
            return run_on(names, function, limit)
        except KeyboardInterrupt:
            self.close()
            raise

    def close(self) -> None:
        """Close every connection, all at once."""
        with self._making:
            self._closed = True
        run_on(self._remotes, lambda name: self._remotes[name].close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _connect_ahead(remote: Remote) -> None:
    threading.Thread(target=remote.connect_ahead, daemon=True).start()


def _outcome(name: str, function: Callable[[str], T]) -> Ok[T] | Failed:
    try:
        return Ok(function(name))
    except Trouble as trouble:
        return Failed(trouble)
    except Exception as error:
        return Failed(Bug(name, error))
