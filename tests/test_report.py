"""What a person sees of a run, and what a program gets."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from scout_ollama import report, results
from scout_ollama.changes import Plan, Stage
from scout_ollama.errors import Trouble
from scout_ollama.inventory import load_site
from scout_ollama.progress import Progress
from scout_ollama.proposal import Consent, Outcome, Request
from scout_ollama.remote import Remote
from scout_ollama.report import Reporter, print_json

HOSTS = ["phi-gpu-1", "phi-gpu-2", "scout-prod-1"]


@dataclass(frozen=True)
class Shown:
    """A change that is only ever looked at."""

    host: str | None
    title: str
    lines: tuple[str, ...]

    def difference(self) -> list[str]:
        return list(self.lines)

    def make(self, remote: Remote) -> None:
        raise AssertionError(f"made on {remote.host.name} by a report")


def plan(*changes: Shown) -> Plan:
    return Plan((Stage("stage", changes),))


def reported(capsys: pytest.CaptureFixture[str], plan: Plan, *, in_full: bool = False) -> list[str]:
    Reporter(HOSTS).plan("phi", plan, in_full=in_full)
    out, err = capsys.readouterr()
    assert out == "", "standard output is for data"
    return [line.rstrip() for line in err.splitlines()]


NEW = Shown("phi-gpu-1", "pull x", ("+ image x",))
CHANGED = Shown("phi-gpu-1", "write /etc/x", ("~ a: 1 → 2", "+ b: 3"))


# -- the plan


def test_an_empty_plan_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert reported(capsys, plan()) == ["phi: nothing to do"]


def test_what_is_the_same_on_several_hosts_is_shown_once_and_counted_for_each(
    capsys: pytest.CaptureFixture[str],
) -> None:
    same = [Shown(host, "pull x", ("+ image x",)) for host in ("phi-gpu-1", "phi-gpu-2")]
    assert reported(capsys, plan(*same)) == [
        "phi: 2 changes",
        "phi-gpu-1    pull x  (and on phi-gpu-2)",
    ]


def test_the_same_title_with_another_difference_is_shown_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    other = Shown("phi-gpu-2", "write /etc/x", ("~ a: 0 → 2",))
    lines = reported(capsys, plan(CHANGED, other))
    assert [line for line in lines if "write" in line] == ["phi-gpu-1    write /etc/x", "phi-gpu-2    write /etc/x"]


def test_of_what_is_new_the_name_is_enough_before_a_question_and_all_is_shown_in_full(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not any("+ image x" in line for line in reported(capsys, plan(NEW)))
    assert any("+ image x" in line for line in reported(capsys, plan(NEW), in_full=True))


def test_what_is_replaced_is_always_shown_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line.strip() for line in reported(capsys, plan(NEW, CHANGED))]
    assert "~ a: 1 → 2" in lines
    assert "+ b: 3" in lines
    assert "- Secret ollama/tls" in [
        line.strip() for line in reported(capsys, plan(Shown(None, "delete", ("- Secret ollama/tls",))))
    ]


def test_what_is_changed_in_the_cluster_stands_under_the_clusters_name(capsys: pytest.CaptureFixture[str]) -> None:
    lines = reported(capsys, plan(Shown(None, "create Service ollama/ollama", ("Service", "  + port: 1"))))
    assert lines[1].split(maxsplit=1) == ["phi", "create Service ollama/ollama"]


def test_every_line_that_is_not_the_detail_of_another_names_its_host_or_its_cluster(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = reported(capsys, plan(NEW, CHANGED, Shown(None, "create Service", ("+ a: b",))), in_full=True)
    reporter = Reporter(HOSTS)
    reporter.say("phi-gpu-2", "pull x")
    reporter.trouble(Trouble("does not answer", host="scout-prod-1", why="off\nfor good", next="power it on"))
    reporter.warning(Trouble("lacks a model", host="phi-gpu-1", next="inv pull-models"))
    lines += capsys.readouterr().err.splitlines()
    outer = [line for line in lines if not line.startswith("  ")]
    assert len(outer) == 7
    assert all(line.split()[0].rstrip(":") in {*HOSTS, "phi"} for line in outer)


def test_square_brackets_are_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    field = "~ spec.containers[name=ollama].args[0]: [red]a[/red] → b"
    assert any(field in line for line in reported(capsys, plan(Shown("phi-gpu-1", "change [bold]", (field,)))))


def test_a_long_line_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter(HOSTS).say("phi-gpu-1", "x" * 500)
    assert capsys.readouterr().err == "phi-gpu-1    " + "x" * 500 + "\n"


def test_nothing_that_a_host_says_reaches_the_terminal_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "CrashLoopBackOff\x1b]0;owned\x07\x1b[2J\r\x9b31m\ud800"
    reporter = Reporter(HOSTS)
    reporter.say("phi-gpu-1", hostile)
    reporter.heading(hostile)
    reporter.plan("phi", plan(Shown("phi-gpu-1", hostile, (f"~ {hostile}",))), in_full=True)
    reporter.trouble(Trouble(hostile, host="phi-gpu-1", why=hostile, next=hostile))
    told = capsys.readouterr().err
    assert "CrashLoopBackOff" in told
    assert not set(told) & set("\x1b\x07\r\x9b\ud800")


# -- colours

PROGRAM = """
from scout_ollama.changes import Plan
from scout_ollama.errors import Trouble
from scout_ollama.report import Reporter
reporter = Reporter(["phi-gpu-1"])
reporter.say("phi-gpu-1", "pull x")
reporter.plan("phi", Plan(()), in_full=True)
reporter.warning(Trouble("lacks a model", host="phi-gpu-1"))
reporter.trouble(Trouble("does not answer", host="phi-gpu-1"))
"""


def on_a_terminal(**environment: str) -> str:
    """What the program prints on a real terminal."""
    inherited = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "COLORTERM")
    }
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=Path(__file__).parent.parent,
            env={**inherited, "TERM": "xterm-256color", **environment},
            stderr=theirs,
            timeout=60,
            check=True,
        )
        return os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[" in on_a_terminal()


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_that_wants_no_escape_codes_gets_none(environment: dict[str, str]) -> None:
    told = on_a_terminal(**environment)
    assert "phi-gpu-1: does not answer" in told
    assert "\x1b" not in told


# -- for programs


def test_a_plan_for_a_program_has_host_title_and_difference() -> None:
    assert plan(NEW, Shown(None, "create Service", ())).shown == [
        {"host": "phi-gpu-1", "title": "pull x", "difference": ["+ image x"]},
        {"host": None, "title": "create Service", "difference": []},
    ]


def test_a_trouble_for_a_program_has_its_four_parts() -> None:
    trouble = Trouble("does not answer", host="phi-gpu-1", why="off", next="power it on")
    expected = {"host": "phi-gpu-1", "what": "does not answer", "why": "off", "next": "power it on"}
    assert results.trouble_of(trouble) == expected


def test_the_schema_of_what_programs_get_does_not_drift() -> None:
    there = (Path(__file__).parent.parent / "docs/output.schema.json").read_text()
    assert there == results.schema_text(), "python -m scout_ollama.results > docs/output.schema.json"


def test_json_is_alone_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"phi": {"changes": [], "made": False, "path": Path("/x")}}
    print_json(document)
    out, err = capsys.readouterr()
    assert json.loads(out) == {"phi": {"changes": [], "made": False, "path": "/x"}}
    assert err == ""


# -- at the end of a run


def outcome(**troubles: str) -> Outcome:
    """A run on three hosts: a change on each that has no trouble."""
    site = load_site(Path(__file__).parent.parent / "hosts")
    ended = Outcome(site.clusters["phi"], Request("inv deploy-ollama --hosts phi --yes", Consent.YES))
    ended.host_troubles = {f"phi-{host.replace('_', '-')}": Trouble(what) for host, what in troubles.items()}
    ended.host_troubles = {host: Trouble(trouble.what, host=host) for host, trouble in ended.host_troubles.items()}
    ended.made = [(host, "pull x") for host in site.clusters["phi"].hosts if host not in ended.host_troubles]
    ended.undo = "inv rollback-ollama --hosts phi --to 3"
    ended.settle()
    return ended


def test_a_run_ends_with_a_table_of_hosts_what_does_the_rest_and_what_undoes_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Reporter(HOSTS).outcome(outcome(gpu_2="cannot pull x"))
    lines = [line.rstrip() for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "phi-gpu-2: cannot pull x",
        "host       result",
        "phi-gpu-1  done    1 change",
        "phi-gpu-2  failed  cannot pull x",
        "phi-gpu-3  done    1 change",
        "phi: failed, 2 changes made",
        "phi: when mended: inv deploy-ollama --hosts phi --yes",
        "phi: to undo it: inv rollback-ollama --hosts phi --to 3",
    ]


def test_a_table_keeps_to_the_width_of_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    Reporter(HOSTS).outcome(outcome(gpu_2="cannot pull docker.io/ollama/ollama:0.24.0 because of this and that"))
    table = capsys.readouterr().err.partition("host ")[2].partition("phi: failed")[0]
    assert len(table.splitlines()) > 4, "it is folded"
    assert max(map(len, table.splitlines())) <= 40


def test_what_takes_long_says_that_it_is_still_at_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "STILL_SECONDS", 0.05)
    reporter, told = Reporter(HOSTS), ""
    deadline = time.monotonic() + 10
    with reporter.working("phi-gpu-1", "pull x"):
        while told.count("still at it") < 2 and time.monotonic() < deadline:
            told += capsys.readouterr().err
    assert told.startswith("phi-gpu-1    pull x\nphi-gpu-1    pull x: still at it after ")


def test_how_far_something_is_can_be_read_by_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress("copied", 760, 2000, 72.0, {"phi-gpu-1": (600, 1000), "phi-gpu-2": (160, 1000)})
    Reporter(HOSTS).progress("phi", progress)
    assert "copied 760 B of 2.0 kB, 72 B/s, 17 s left; phi-gpu-1 60 %, phi-gpu-2 16 %" in capsys.readouterr().err
    Reporter(HOSTS, as_json=True).progress("phi", progress)
    line = json.loads(capsys.readouterr().err)
    jsonschema.validate(line, results.schema_of("progress"))
    assert (line["host"], line["done"], line["seconds_left"]) == ("phi", 760, 1240 / 72)
    assert line["hosts"]["phi-gpu-2"] == {"done": 160, "total": 1000}
