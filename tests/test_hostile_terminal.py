"""What hosts, servers and people wrote is text on a terminal and in a log: nothing in it is obeyed."""

from __future__ import annotations

import io
import logging
import re
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from scout_ollama import audit, terminal
from scout_ollama.errors import Trouble, printable
from scout_ollama.logs import Log
from scout_ollama.progress import Progress
from scout_ollama.report import Reporter, print_text

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m[red]x[/red][link=https://evil.example.edu]y[/link] :smile:\r\x08"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
TEXTS = st.text(st.characters(max_codepoint=0x1FF)) | st.just(HOSTILE)
moderate = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def record(text: str) -> audit.Record:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    return audit.Record(run=text, began=now, who=text, machine=text, command=text, cluster=text, reason=text, undo=text)


@moderate
@given(TEXTS)
@example(HOSTILE)
def test_nothing_that_is_printed_drives_the_terminal(capsys: pytest.CaptureFixture[str], text: str) -> None:
    table = Table(text)
    table.add_row(text, Text(text))
    print_text(table, wide=True)
    print_text(audit.table([record(text)]), wide=True)
    print_text(text, soft_wrap=True)
    reporter = Reporter([text])
    reporter.say(text, text)
    reporter.heading(text)
    reporter.trouble(Trouble(text, host=text, why=text, next=text))
    reporter.progress(text, Progress(text, 1, 2))
    out, err = capsys.readouterr()
    assert not CONTROLS.search(out + err)


def test_markup_is_shown_as_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    marked = "[red]x[/red] [link=https://evil.example.edu]y[/link] :smile:"
    table = Table("")
    table.add_row(marked)
    print_text(table, wide=True)
    print_text(marked)
    Reporter([]).say("phi", marked)
    out, err = capsys.readouterr()
    assert (out + err).count(marked) == 3


def test_colours_are_still_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    console = terminal.stdout()
    console.file = io.StringIO()
    console.print(Text("\x1b[2Jred", style="red"))
    assert console.file.getvalue() == "\x1b[31m\N{REPLACEMENT CHARACTER}[2Jred\x1b[0m\n"


def test_what_is_watched_again_and_again_is_text_too() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, color_system=None)
    with Live(console=console, auto_refresh=False) as live:
        live.update(terminal.Printable(Group(HOSTILE, Text(HOSTILE))), refresh=True)
    assert "\x1b]0;" not in file.getvalue()
    assert "\x07" not in file.getvalue()


@given(TEXTS)
def test_a_line_of_the_log_can_be_looked_at(text: str) -> None:
    handler = Log("test")
    line = handler.format(logging.LogRecord("x", logging.INFO, "", 0, "> %s", (text,), None))
    assert not CONTROLS.search(line)
    assert line.endswith(printable(f"> {text}"))
