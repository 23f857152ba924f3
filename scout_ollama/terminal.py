"""Consoles through which whatever is said stays text: no control character and no markup of it is obeyed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook
from rich.control import Control
from rich.segment import Segment

from scout_ollama.errors import printable


def stdout(*, wide: bool = False) -> Console:
    """Return the console for what was asked to be seen; ``wide``: more than 80 columns where there is no terminal."""
    console = _console(stderr=False)
    if wide and not console.is_terminal:
        console.width = 200
    return console


def stderr() -> Console:
    """Return the console for people, beside which standard output stays for data; it breaks no lines."""
    return _console(stderr=True, soft_wrap=True)


def _console(*, stderr: bool, soft_wrap: bool = False) -> Console:
    # Rich leaves bold in under NO_COLOR.
    console = Console(
        stderr=stderr,
        soft_wrap=soft_wrap,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        emoji=False,
        highlight=False,
    )
    console.push_render_hook(_TextOnly())
    return console


class _TextOnly(RenderHook):
    """Holds for what is printed; what a Live shows is added after it, and has to be Printable itself."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [one if isinstance(one, Control) else Printable(one) for one in renderables]


@dataclass(frozen=True)
class Printable:
    """Something to show, without control characters in its text; Rich's own, for colours, are made after this."""

    inner: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for segment in console.render(self.inner, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
