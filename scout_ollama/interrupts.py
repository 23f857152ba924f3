"""Signals that end a run: a terminal that goes away and a polite kill are the same to it as Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def as_ctrl_c() -> Iterator[None]:
    """Raise KeyboardInterrupt on each of them. One that is ignored, as by nohup(1), stays ignored."""
    with _handling(_interrupt):
        yield


@contextmanager
def held_off() -> Iterator[None]:
    """Ignore them all, for what must be finished and takes a moment."""
    with _handling(signal.SIG_IGN):
        yield


@contextmanager
def put_off() -> Iterator[None]:
    """Raise KeyboardInterrupt at the end, if one of them came meanwhile."""
    came = threading.Event()
    with _handling(lambda _number, _frame: came.set()):
        yield
    if came.is_set():
        raise KeyboardInterrupt


@contextmanager
def _handling(handler: object) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, old in before.items():
        if old is not signal.SIG_IGN:
            signal.signal(number, handler)  # type: ignore[arg-type]  # a function or SIG_IGN
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
