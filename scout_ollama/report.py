"""What a person sees, on standard error, and what a program reads, on standard output."""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from scout_ollama.changes import Plan
from scout_ollama.errors import Trouble, printable

if TYPE_CHECKING:
    from rich.console import Console

# Distinct on dark and light terminals alike; a host keeps its colour from run to run.
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")


class Reporter:
    """Tells a person what happens, every line with its host in front. NO_COLOR and dumb terminals are respected."""

    def __init__(self, hosts: Iterable[str]) -> None:
        self._width = max((len(name) for name in hosts), default=0)
        self._console = stderr_console()

    def say(self, host: str, line: str) -> None:
        """Print one line about one host."""
        self._print(host, line)

    def heading(self, line: str) -> None:
        """Print a line about the run as a whole."""
        self._console.print(printable(line), style="bold", markup=False, highlight=False)

    def plan(self, cluster: str, plan: Plan, *, in_full: bool) -> None:
        """Print what will differ, what is the same on several hosts once.

        Of what is new the lines are shown only with ``in_full``: that it is new says enough before a question.
        """
        same: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for change in plan:
            same.setdefault((change.title, tuple(change.difference())), []).append(change.host or cluster)
        if not same:
            self.heading(f"{cluster}: nothing to do")
            return
        self.heading(f"{cluster}: {sum(map(len, same.values()))} changes")
        for (title, lines), hosts in same.items():
            self._print(hosts[0], title + (f"  (and on {', '.join(hosts[1:])})" if len(hosts) > 1 else ""))
            if in_full or any(_is_replaced(line) for line in lines):
                for line in lines:
                    self._print("", f"    {line}", style=_style_of(line))

    def warning(self, trouble: Trouble) -> None:
        """Print something that does not stop the run."""
        self._console.print(str(trouble), style="yellow", markup=False, highlight=False)

    def troubles(self, troubles: Sequence[Trouble]) -> None:
        """Print every trouble, each with why and what to type next."""
        for trouble in troubles:
            self._console.print(str(trouble), style="red", markup=False, highlight=False)

    def _print(self, host: str, line: str, style: str = "") -> None:
        from rich.text import Text

        prefix = Text(host.ljust(self._width), style=COLOURS[zlib.crc32(host.encode()) % len(COLOURS)])
        self._console.print(prefix, Text(printable(line), style=style), soft_wrap=True)


def stderr_console() -> Console:
    """Return the console for people: standard error, so that standard output stays for data."""
    from rich.console import Console

    # Rich leaves bold in under NO_COLOR.
    return Console(stderr=True, soft_wrap=True, color_system=None if os.environ.get("NO_COLOR") else "auto")


def print_json(document: Any) -> None:
    """Print a JSON document, and nothing else, on standard output."""
    json.dump(document, sys.stdout, indent=2, default=str)
    print()


def print_text(renderable: Any, *, soft_wrap: bool = False) -> None:
    """Print what a person asked to see on standard output; with ``soft_wrap`` no line is broken, as for commands."""
    from rich.console import Console

    Console().print(renderable, soft_wrap=soft_wrap)


def trouble_as_json(trouble: Trouble) -> dict[str, str | None]:
    """Return a trouble as ``host``, ``what``, ``why`` and ``next``."""
    return {"host": trouble.host, "what": trouble.what, "why": trouble.why, "next": trouble.next}


def plan_as_json(plan: Plan) -> list[dict[str, Any]]:
    """Return a plan as a list of ``host`` (null for the cluster), ``title`` and ``difference`` (lines)."""
    return [{"host": c.host, "title": c.title, "difference": c.difference()} for c in plan]


def _is_replaced(line: str) -> bool:
    return line.strip()[:1] in ("~", "-")


def _style_of(line: str) -> str:
    return {"+": "green", "-": "red", "~": "yellow"}.get(line.strip()[:1], "")
