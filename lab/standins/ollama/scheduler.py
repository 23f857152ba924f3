"""Which models are loaded: one slot for each weights file, as the real scheduler keeps them.

Asking for the same weights with other load options (num_ctx …) unloads and loads again: tags derived from one base
that are used in turn reload every time. Loads happen one after the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.standins.ollama import answers, gguf, golang
from lab.standins.ollama.answers import Engine
from lab.standins.ollama.golang import log
from lab.standins.ollama.model import Model
from lab.standins.ollama.settings import Settings

_MODELS_PER_GPU = 3
_POLL_SECONDS = 0.05
_LOAD_OPTIONS = {"num_ctx": 0, "num_batch": 512, "num_gpu": -1, "main_gpu": 0, "use_mmap": None, "num_thread": 0}
"""Options fixed when a model is loaded, with their defaults; all others belong to a single request."""


class Busy(Exception):
    """Too many requests wait already."""


class LoadFailed(Exception):
    """The weights cannot be loaded; `missing` if there is no such file."""

    def __init__(self, message: str, *, missing: bool = False) -> None:
        super().__init__(message)
        self.missing = missing


class Cancelled(Exception):
    """The client went away while it waited."""


@dataclass
class Slot:
    """A loaded model. Times are seconds."""

    model: Model
    options: dict[str, Any]
    header: gguf.Header
    size: int
    size_vram: int
    keep_alive: float
    engine: Engine
    """What answers requests."""
    expires: float = field(default_factory=time.monotonic)
    users: int = 0

    @property
    def context_length(self) -> int:
        """The context in tokens: never more than the model was trained for."""
        wanted, trained = int(self.options["num_ctx"]), self.header.of_architecture("context_length")
        return min(wanted, trained or wanted)

    @property
    def seconds_left(self) -> float:
        return self.keep_alive if self.users else self.expires - time.monotonic()


class Scheduler:
    """Loads models on request and forgets them when their time is over. Safe to use from many threads."""

    def __init__(self, settings: Settings, gpu_count: int, default_context: int) -> None:
        self._settings = settings
        self._gpu_count = gpu_count
        self._default_context = default_context
        self._most = settings.max_loaded_models or _MODELS_PER_GPU * max(1, gpu_count)
        self._slots: dict[str, Slot] = {}
        self._waiting = 0
        self._changed = threading.Condition()
        self._loading = threading.Lock()

    def load_options(self, model: Model, request: dict[str, Any]) -> dict[str, Any]:
        """The options a load depends on: the request's over the model's over the server's. Raises LoadFailed."""
        given = {**model.options, **request}
        options = {name: given.get(name, default) for name, default in _LOAD_OPTIONS.items()}
        for name, value in options.items():
            if name.startswith("num_") and not isinstance(value, int | float):
                raise LoadFailed(f'option "{name}" must be of type integer')
        options["num_ctx"] = max(4, options["num_ctx"] or self._settings.context_length or self._default_context)
        return options

    @contextmanager
    def use(
        self, model: Model, request: dict[str, Any], keep_alive: float | None, gone: Callable[[], bool]
    ) -> Iterator[Slot]:
        """The model's slot, loaded if need be, held until the block ends.

        `keep_alive` (seconds, None for what holds already) counts from then; `gone` says whether the client left,
        which ends a load. Raises Busy, LoadFailed, Cancelled.
        """
        slot = self._acquire(model, self.load_options(model, request), keep_alive, gone)
        try:
            yield slot
        finally:
            with self._changed:
                slot.users -= 1
                slot.expires = time.monotonic() + slot.keep_alive
                self._reap()
                self._changed.notify_all()

    def unload(self, model: Model) -> None:
        """Let a model go as soon as nobody uses it."""
        with self._changed:
            if slot := self._slots.get(model.slot):
                slot.keep_alive, slot.expires = 0.0, time.monotonic()
            self._reap()

    def loaded(self) -> list[Slot]:
        """What is loaded now, the one that stays longest first."""
        with self._changed:
            self._reap()
            return sorted(self._slots.values(), key=lambda slot: -slot.seconds_left)

    def _acquire(
        self, model: Model, options: dict[str, Any], keep_alive: float | None, gone: Callable[[], bool]
    ) -> Slot:
        with self._changed:
            self._reap()
            if (slot := self._slots.get(model.slot)) and _fits(slot, model, options):
                return _take(slot, keep_alive)
            if self._waiting > self._settings.max_queue:
                raise Busy("server busy, please try again.  maximum pending requests exceeded")
            self._waiting += 1
        try:
            while not self._loading.acquire(timeout=_POLL_SECONDS):
                _check(gone)
            try:
                return self._load(model, options, keep_alive, gone)
            finally:
                self._loading.release()
        finally:
            with self._changed:
                self._waiting -= 1

    def _load(self, model: Model, options: dict[str, Any], keep_alive: float | None, gone: Callable[[], bool]) -> Slot:
        with self._changed:
            while True:
                self._reap()
                slot = self._slots.get(model.slot)
                if slot and _fits(slot, model, options):
                    return _take(slot, keep_alive)
                victim = slot or (self._victim() if len(self._slots) >= self._most else None)
                if victim is None:
                    break
                if victim.users == 0:
                    self._forget(victim, "reloading" if victim is slot else "making room")
                    continue
                self._changed.wait(_POLL_SECONDS)
                _check(gone)
        slot = self._loaded_slot(model, options, gone)
        with self._changed:
            self._slots[model.slot] = slot
            return _take(slot, keep_alive)

    def _loaded_slot(self, model: Model, options: dict[str, Any], gone: Callable[[], bool]) -> Slot:
        header = check_weights(model.weights)
        finished = time.monotonic() + self._settings.load_seconds
        while (left := finished - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
            _check(gone)
        size = header.file_size
        on_gpu = self._gpu_count > 0 and options["num_gpu"] != 0
        log("INFO", "loaded runners", count=len(self._slots) + 1, model=model.weights, num_ctx=options["num_ctx"])
        engine = answers.engine(model, header, options["num_ctx"], self._settings.token_seconds)
        return Slot(model, options, header, size, size if on_gpu else 0, self._settings.keep_alive, engine)

    def _victim(self) -> Slot:
        return min(self._slots.values(), key=lambda slot: (slot.users > 0, slot.keep_alive))

    def _reap(self) -> None:
        for slot in list(self._slots.values()):
            if slot.users == 0 and slot.expires <= time.monotonic():
                self._forget(slot, "expired")

    def _forget(self, slot: Slot, why: str) -> None:
        log("INFO", "unloading", model=slot.model.weights, reason=why)
        self._slots.pop(slot.model.slot, None)
        self._changed.notify_all()


def check_weights(weights: Path | None) -> gguf.Header:
    """The header of weights that a load would accept. Raises LoadFailed."""
    if weights is None:
        raise LoadFailed("no weights", missing=True)
    try:
        return gguf.read_header(weights)
    except OSError as error:
        raise LoadFailed(golang.error_text(error, "open", weights), missing=not weights.exists()) from error
    except gguf.BadFile as error:
        raise LoadFailed(str(error)) from error


def _fits(slot: Slot, model: Model, options: dict[str, Any]) -> bool:
    held = (slot.options, slot.model.adapters, slot.model.projectors)
    return held == (options, model.adapters, model.projectors)


def _take(slot: Slot, keep_alive: float | None) -> Slot:
    slot.users += 1
    if keep_alive is not None:
        slot.keep_alive = keep_alive
    return slot


def _check(gone: Callable[[], bool]) -> None:
    if gone():
        raise Cancelled("client connection closed before llama-server finished loading, aborting load")
