"""What a person sees, on standard error, and what a program reads, on standard output. All of it goes into the log."""

from __future__ import annotations

import json
import sys
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from scout_ollama.changes import Plan
from scout_ollama.errors import Trouble, printable
from scout_ollama.logs import LOGGER
from scout_ollama.progress import Progress
from scout_ollama.proposal import Outcome
from scout_ollama.secrets import masked, masked_values
from scout_ollama.sizes import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Distinct on dark and light terminals alike; a host keeps its colour from run to run.
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
STILL_SECONDS = 15.0
"""How often something that takes long says that it still goes on."""


class Reporter:
    """Tells a person what happens, every line with its host in front. NO_COLOR and dumb terminals are respected."""

    def __init__(self, hosts: Iterable[str], *, as_json: bool = False) -> None:
        self._as_json = as_json
        self._width = max((len(name) for name in hosts), default=0)
        self._console = stderr_console()

    def say(self, host: str, line: str) -> None:
        """Print one line about one host."""
        self._print(host, line)

    def progress(self, host: str, progress: Progress) -> None:
        """Print how far something is about one host, or a cluster; with ``as_json`` a program can read the line."""
        if self._as_json:
            from scout_ollama import results  # its models take long to make

            self._write(json.dumps(results.progress(host, progress)), "")
        else:
            self.say(host, str(progress))

    def heading(self, line: str) -> None:
        """Print a line about the run as a whole."""
        self._write(line, "bold")

    @contextmanager
    def working(self, host: str, title: str, *, quiet: bool = False) -> Iterator[None]:
        """Say what is being done, unless ``quiet``, and every ``STILL_SECONDS`` that it still is."""
        if not quiet:
            self.say(host, title)
        over = threading.Event()

        def tell() -> None:
            seconds = STILL_SECONDS
            while not over.wait(STILL_SECONDS):
                self.say(host, f"{title}: still at it after {seconds:.0f} s")
                seconds += STILL_SECONDS

        threading.Thread(target=tell, daemon=True).start()
        try:
            yield
        finally:
            over.set()

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
        self.heading(f"{cluster}: {counted(sum(map(len, same.values())), 'change')}")
        for (title, lines), hosts in same.items():
            self._print(hosts[0], title + (f"  (and on {', '.join(hosts[1:])})" if len(hosts) > 1 else ""))
            if in_full or any(_is_replaced(line) for line in lines):
                for line in lines:
                    self._print("", f"    {line}", style=_style_of(line))

    def warning(self, trouble: Trouble) -> None:
        """Print something that does not stop the run."""
        self._write(str(trouble), "yellow")

    def trouble(self, trouble: Trouble) -> None:
        """Print what went wrong, with why and what to type next."""
        self._write(str(trouble), "red")

    def outcome(self, outcome: Outcome) -> None:
        """Print what came of a run: every trouble with why and what to type next, a table of hosts, what undoes it."""
        for trouble in outcome.all_troubles:
            self.trouble(trouble)
        rows = outcome.rows
        name = outcome.cluster.name
        if outcome.made or (outcome.result and outcome.all_troubles):
            self._table(_table(rows))
        if outcome.result:
            made = f", {counted(len(outcome.made), 'change')} made" if outcome.made else ""
            self.heading(f"{name}: {outcome.result}{made}{', proved' if outcome.proved else ''}")
        if outcome.has_trouble:
            undone = tuple(host for host, changes, trouble in rows if trouble or not changes)
            self.heading(f"{name}: when mended: {outcome.request.again(undone, name)}")
        if outcome.undo:
            self.heading(f"{name}: to undo it: {outcome.undo}")

    def _print(self, host: str, line: str, style: str = "") -> None:
        from rich.text import Text

        LOGGER.info("> %s %s", host, line)
        prefix = Text(
            printable(masked(host)).ljust(self._width), style=COLOURS[zlib.crc32(host.encode()) % len(COLOURS)]
        )
        with suppress(OSError):  # the terminal may be gone
            self._console.print(prefix, Text(printable(masked(line)), style=style), soft_wrap=True)

    def _write(self, text: str, style: str) -> None:
        LOGGER.info("%s", text)
        with suppress(OSError):
            self._console.print(printable(masked(text)), style=style, markup=False, highlight=False)

    def _table(self, table: Table) -> None:
        with suppress(OSError):
            self._console.print(table, soft_wrap=False)


def stderr_console() -> Console:
    """Return the console for people: standard error, so that standard output stays for data."""
    from scout_ollama import terminal  # Rich takes long to import

    return terminal.stderr()


def print_troubles(troubles: Sequence[Trouble]) -> None:
    """Print trouble for people."""
    reporter = Reporter(())
    for trouble in troubles:
        reporter.trouble(trouble)


def print_json(document: Any) -> None:
    """Print a JSON document, and nothing else, on standard output."""
    json.dump(masked_values(document), sys.stdout, indent=2, default=lambda value: masked(str(value)))
    print(flush=True)


def print_text(renderable: Any, *, soft_wrap: bool = False, wide: bool = False) -> None:
    """Print what a person asked to see on standard output; with ``soft_wrap`` no line is broken, as for commands.

    ``wide`` is for tables that 80 columns are too few for: they take more where there is no terminal.
    """
    from scout_ollama import terminal  # Rich takes long to import

    terminal.stdout(wide=wide).print(renderable, soft_wrap=soft_wrap)


def _table(rows: Sequence[tuple[str, int, str | None]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("host", "result", ""):
        table.add_column(heading, overflow="fold")
    for host, changes, trouble in rows:
        result = "failed" if trouble else "done" if changes else "as it was"
        detail = trouble or (counted(changes, "change") if changes else "")
        table.add_row(
            *(Text(printable(masked(cell))) for cell in (host, result, detail)), style="red" if trouble else ""
        )
    return table


def _is_replaced(line: str) -> bool:
    return line.strip()[:1] in ("~", "-")


def _style_of(line: str) -> str:
    return {"+": "green", "-": "red", "~": "yellow"}.get(line.strip()[:1], "")
