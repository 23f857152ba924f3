"""status: read the site, judge it, show it; once, or again and again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from scout_ollama import files, report
from scout_ollama.errors import Trouble
from scout_ollama.fleet import Fleet
from scout_ollama.inventory import Site
from scout_ollama.open_webui.session import Session
from scout_ollama.status import facts
from scout_ollama.status.document import SiteStatus

EVERY_SECONDS = 5.0
"""How long a reading stands before the next one is taken."""


def show(site: Site, selector: str, *, as_json: bool, watch: bool, html: str) -> int:
    """Show how the selected hosts are; return 1 if anything is broken, 0 otherwise.

    Raises:
        Trouble: the selection means nothing, or the page cannot be written.
    """
    if watch and as_json:
        raise Trouble("--watch is for people", why="a program takes a reading when it wants one", next="leave one out")
    hosts = site.select(selector)
    threading.Thread(target=_load, daemon=True).start()
    sessions = {name: Session() for name in site.clusters}
    with Fleet(site) as fleet:

        def read() -> SiteStatus:
            found = facts.read(site, hosts, fleet, sessions)
            from scout_ollama.status.site import judge

            status = judge(site, hosts, found)
            if html:
                _write_page(status, Path(html), EVERY_SECONDS if watch else None)
            return status

        status = _watched(read) if watch else read()
    if as_json:
        report.print_json(status.model_dump(mode="json"))
    elif not watch:
        from scout_ollama.status import table

        report.print_text(table.of(status), wide=True)
        if status.problems:
            report.print_text(table.problems(status), soft_wrap=True)
    return 1 if status.state == "broken" else 0


def _load() -> None:
    """Import what judges and shows: it takes a while, in which the hosts are at work."""
    from scout_ollama.status import site, table  # noqa: F401


def _watched(read: Callable[[], SiteStatus]) -> SiteStatus:
    """Show one reading after the other until Ctrl-C; return the last one."""
    from rich.console import Group
    from rich.live import Live

    from scout_ollama import terminal
    from scout_ollama.status import table

    console = terminal.stdout()
    redraws = console.is_terminal and not console.is_dumb_terminal
    with Live(console=console, screen=True, auto_refresh=False) if redraws else nullcontext() as live:
        status: SiteStatus | None = None
        while True:
            try:
                status = read()
                shown = Group(table.of(status), table.problems(status))
                if live:
                    live.update(terminal.Printable(shown), refresh=True)
                else:
                    console.print(shown)
                time.sleep(EVERY_SECONDS)
            except KeyboardInterrupt:
                if status is None:
                    raise
                return status


def _write_page(status: SiteStatus, file: Path, again: float | None) -> None:
    from scout_ollama.status import page

    try:
        files.write(file, page.of(status, again).encode())
    except OSError as error:
        why = error.strerror or str(error)
        raise Trouble(f"{file} cannot be written", why=why, next=f"ls -ld {file.resolve().parent}") from None
